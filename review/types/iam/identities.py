"""Service accounts, their keys, custom roles, and pools of external identities."""

from collections.abc import Iterator

from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import plural, span, spans
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_flag, get_text, get_texts, get_value, is_known

TYPES = (
    "google_service_account",
    "google_service_account_key",
    "google_storage_hmac_key",
    "google_project_iam_custom_role",
    "google_organization_iam_custom_role",
    "google_iam_workload_identity_pool",
    "google_iam_workload_identity_pool_provider",
)
REPORTS_DELETION = True


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield created, deleted and changed identities, and what they can do."""
    if change.type == "google_service_account":
        yield from _service_account_findings(change, context)
    elif change.type.endswith("_key"):
        yield from _key_findings(change, context)
    elif change.type.endswith("custom_role"):
        yield from _custom_role_findings(change, context)
    else:
        yield from _pool_findings(change, context)


def _finding(
    change: Change, context: Context, severity: Severity, sentence: str, recovery: str = YES, *, size: int = 0
) -> Finding:
    return Finding(
        Kind.ACCESS,
        severity,
        context.where(change),
        sentence,
        recovery=recovery,
        size=size,
        address=change.address,
    )


def _service_account_findings(change: Change, context: Context) -> Iterator[Finding]:
    name = span(
        get_text(change.present, "email")
        or get_text(change.present, "account_id")
        or context.names.of(change.address)
    )
    if change.action == "replace":
        sentence = (
            f"service account {name} is deleted and recreated: all its grants are lost, even those outside "
            "this plan"
        )
        yield _finding(change, context, Severity.INTERRUPTED, sentence, NO)
    elif change.action == "delete":
        sentence = (
            f"service account {name} is deleted: workloads that run as it fail, and its grants are lost"
        )
        yield _finding(change, context, Severity.INTERRUPTED, sentence, "manually, within 30 days (undelete)")
    elif change.action == "update" and get_flag(change.old, "disabled") != get_flag(change.new, "disabled"):
        off = get_flag(change.new, "disabled")
        sentence = f"service account {name} is {'disabled: workloads that run as it fail' if off else 'enabled again'}"
        yield _finding(change, context, Severity.INTERRUPTED if off else Severity.WIDENED, sentence)


def _key_findings(change: Change, context: Context) -> Iterator[Finding]:
    account = context.format_argument(change, change.present, "service_account_id")
    if change.type == "google_storage_hmac_key":
        account = context.format_argument(change, change.present, "service_account_email")
    if change.after is not None and "create" in change.actions:
        sentence = (
            f"a key of service account {account} is created: anyone with the key can act as the account"
        )
        yield _finding(change, context, Severity.WIDENED, sentence, "yes; delete the key", size=40)
    states = get_text(change.old, "state"), get_text(change.new, "state")
    if change.action == "update" and states[0] != states[1]:
        on = states[1] == "ACTIVE"
        verb = (
            "activated: anyone with the key can act as that account"
            if on
            else "deactivated: clients that use it cannot authenticate"
        )
        sentence = f"a key of service account {account} is {verb}"
        yield _finding(
            change, context, Severity.WIDENED if on else Severity.INTERRUPTED, sentence, size=40 if on else 0
        )
    if change.destroys:
        sentence = (
            f"a key of service account {account} is deleted: clients that use it can no longer authenticate"
        )
        yield _finding(change, context, Severity.INTERRUPTED, sentence, NO)


def _custom_role_findings(change: Change, context: Context) -> Iterator[Finding]:
    name = span(
        get_text(change.present, "role_id")
        or get_text(change.present, "title")
        or context.names.of(change.address)
    )
    if (
        not is_known(get_value(change.new, "permissions"))
        and get_value(change.new, "permissions") is not None
    ):
        sentence = f"the permissions of custom role {name} are known only after the apply"
        yield _finding(change, context, Severity.WIDENED, sentence, size=20)
        return
    old, new = get_texts(change.old, "permissions"), get_texts(change.new, "permissions")
    added, removed = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    if change.before is None:
        sentence = f"custom role {name} is created: {spans(added)}; it has no effect until it is granted"
        yield _finding(change, context, Severity.CHANGE, sentence)
    elif change.after is None:
        sentence = f"custom role {name} is deleted: members with this role can no longer use {spans(removed)}"
        yield _finding(change, context, Severity.CHANGE, sentence, "manually, within 7 days (undelete)")
    else:
        if added:
            holders = _count_holders(change, context)
            sentence = f"members with custom role {name}{holders} can now also use {spans(added)}"
            yield _finding(change, context, Severity.WIDENED, sentence, size=34)
        if removed:
            sentence = f"members with custom role {name} can no longer use {spans(removed)}"
            yield _finding(change, context, Severity.CHANGE, sentence)


def _count_holders(change: Change, context: Context) -> str:
    id_ = get_text(change.old, "role_id")
    held = {grant.member for _, grant in context.all_grants if id_ and grant.role.endswith(f"/roles/{id_}")}
    return f" ({plural(len(held), 'member')} in this plan)" if held else ""


def _pool_findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which external identities can authenticate: those that match the provider's condition."""
    is_provider = change.type.endswith("_provider")
    name = span(context.names.of(change.address))
    if change.destroys:
        fails = "its id cannot be used again for 30 days"
        again = f"deleted; {fails}" if change.action == "delete" else f"replaced, which fails: {fails}"
        sentence = f"workload identity pool{' provider' if is_provider else ''} {name} is {again}"
        yield _finding(change, context, Severity.INTERRUPTED, sentence, "manually, within 30 days (undelete)")
        return
    if not is_provider:
        return
    old, new = get_text(change.old, "attribute_condition"), get_text(change.new, "attribute_condition")
    if change.before is None:
        limit = (
            f" if {span(new, 300)}"
            if new
            else ": every identity of its issuer, since it has no attribute condition"
        )
        sentence = f"external identities can authenticate through {name}{limit}"
        yield _finding(
            change,
            context,
            Severity.WIDENED if not new else Severity.CARE,
            sentence,
            size=48 if not new else 0,
        )
    elif old != new:
        limit = f" only if {span(new, 300)}" if new else ": every identity of its issuer"
        before = f"only if {span(old, 300)}" if old else "without a condition"
        sentence = f"external identities can authenticate through {name}{limit}; before: {before}"
        yield _finding(
            change, context, Severity.CHANGE if new and not old else Severity.WIDENED, sentence, size=48
        )
    for path, what in (
        ("oidc.issuer_uri", "issuer"),
        ("oidc.allowed_audiences", "audiences"),
        ("attribute_mapping", "mapping"),
    ):
        before_, after_ = get_value(change.old, path), get_value(change.new, path)
        if change.before is not None and before_ != after_ and (before_ or after_):
            sentence = f"{name} trusts another {what} from now on: {span(after_)}; before: {span(before_)}"
            yield _finding(change, context, Severity.WIDENED, sentence, size=47)
