"""Report SSH keys and login settings in the metadata of a project or an instance."""

from collections.abc import Iterator, Mapping

from review.access.arguments import access_finding
from review.findings.finding import Finding, Severity
from review.findings.text import span, spans
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import Values, get_text, get_value, is_known, unwrap_block


def ssh_key_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which SSH keys a project's or an instance's metadata adds or removes, and login settings that change."""
    old, new = _read_keys(change.old), _read_keys(change.new)
    whole = change.type.startswith("google_compute_project_metadata")
    to = "every VM of the project that does not block project keys" if whole else "it"
    if added := sorted(new - old):
        words = f"anyone with the private key of {spans(added, 5)} can log in to {to} (ssh-keys)"
        yield access_finding(change, context, Severity.WIDENED, words, size=58 if whole else 41)
    elif removed := sorted(old - new):
        yield access_finding(
            change, context, Severity.CHANGE, f"{spans(removed, 5)} can no longer log in by SSH key to {to}"
        )
    for name, is_open in (
        ("enable-oslogin", "false"),
        ("block-project-ssh-keys", "false"),
        ("serial-port-enable", "true"),
    ):
        before, after = (_read_metadata(side).get(name, "").lower() for side in (change.old, change.new))
        opens = (
            after in ("1", "true")
            if is_open == "true"
            else before in ("1", "true") and after not in ("1", "true")
        )
        if before != after and opens and (before or after):
            words = (
                f"metadata {span(name)} changes from {span(before or 'unset')} to {span(after or 'unset')}"
            )
            yield access_finding(
                change, context, Severity.WIDENED, f"{words}: this widens who can log in", size=36
            )


def _read_metadata(values: Values) -> dict[str, str]:
    if get_text(values, "key"):
        return {get_text(values, "key"): get_text(values, "value")}
    found = unwrap_block(get_value(values, "metadata"))
    return (
        {key: value for key, value in found.items() if isinstance(value, str)}
        if isinstance(found, Mapping)
        else {}
    )


def _read_keys(values: Values) -> set[str]:
    """Return each key as `user: end of the key`; a hidden or unknown entry counts as a key."""
    found = set()
    for name in ("ssh-keys", "sshKeys"):
        value = _read_metadata(values).get(name, "")
        for line in value.splitlines():
            user, _, key = line.partition(":")
            found.add(f"{user}: {key[-60:]}" if is_known(line) else line)
    return {each for each in found if each.strip(": ")}
