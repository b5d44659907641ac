"""Artifact Registry repositories: deletion, cleanup policies, immutable tags."""

import json
from collections.abc import Iterator

from review.code.artifact_users import WORKLOADS
from review.data.destruction import destruction_finding
from review.findings.finding import NO, Finding, Kind, Severity
from review.findings.text import span
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import (
    Values,
    flatten_values,
    format_duration,
    get_blocks,
    get_flag,
    get_text,
    parse_duration,
)

TYPES = ("google_artifact_registry_repository",)
REPORTS_DELETION = True


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield which images are lost, by the deletion of the repository or by cleanup policies."""
    name = span(get_text(change.present, "repository_id") or context.names.of(change.address))
    if change.destroys:
        verb = "replaced" if change.action == "replace" else "deleted"
        sentence = f"repository {name} is {verb}, with all its images and packages"
        running = [each for each in context.of_type(*WORKLOADS) if _uses_repository(each, change)]
        if running:
            places = ", ".join(context.where(each) for each in running[:4])
            sentence = f"{sentence}; {places} cannot start new instances until their images are pushed again"
        yield destruction_finding(change, context, sentence, size=65, recovery=NO)
    if change.before is None or change.after is None:
        return
    yield from _cleanup_findings(change, context, name)
    if get_flag(change.old, "docker_config.immutable_tags") and not get_flag(
        change.new, "docker_config.immutable_tags"
    ):
        sentence = f"tags in repository {name} can be moved to other images from now on"
        yield Finding(Kind.CODE, Severity.CARE, context.where(change), sentence, address=change.address)


def _uses_repository(workload: Change, repository: Change) -> bool:
    path = "/".join(
        [
            f"{get_text(repository.old, 'location')}-docker.pkg.dev",
            get_text(repository.old, "project"),
            get_text(repository.old, "repository_id"),
            "",
        ]
    )
    return any(isinstance(leaf, str) and path in leaf for _, leaf in flatten_values(workload.old))


def _describe_cleanup_policies(values: Values) -> dict[str, str]:
    """Return the cleanup policies that delete, each in words."""
    found: dict[str, str] = {}
    for policy in get_blocks(values, "cleanup_policies"):
        if get_text(policy, "action") != "DELETE":
            continue
        words = []
        for condition in get_blocks(policy, "condition"):
            state, older = get_text(condition, "tag_state"), get_text(condition, "older_than")
            words.append(
                "without a tag" if state == "UNTAGGED" else "with a tag" if state == "TAGGED" else ""
            )
            words.append(f"older than {format_duration(parse_duration(older))}" if older else "")
            rest = {
                key: value
                for key, value in sorted(condition.items())
                if value and key not in ("tag_state", "older_than")
            }
            words.append(f"that fit {span(json.dumps(rest, sort_keys=True, default=str))}" if rest else "")
        found[get_text(policy, "id")] = " ".join(each for each in words if each)
    return found


def _cleanup_findings(change: Change, context: Context, name: str) -> Iterator[Finding]:
    old, new = _describe_cleanup_policies(change.old), _describe_cleanup_policies(change.new)
    dry = get_flag(change.new, "cleanup_policy_dry_run")
    for policy in sorted(new):
        if new[policy] != old.get(policy) or (get_flag(change.old, "cleanup_policy_dry_run") and not dry):
            before = f"; before: {old[policy] or 'all'}" if policy in old else ""
            sentence = f"images in repository {name} {new[policy] or 'of every kind'} are deleted from now on{before}"
            severity = Severity.CHANGE if dry else Severity.LOSS
            sentence = f"{sentence} (dry run: cleanup_policy_dry_run)" if dry else sentence
            yield Finding(
                Kind.DATA,
                severity,
                context.where(change),
                sentence,
                recovery=NO,
                size=25,
                address=change.address,
            )
    kept = [
        {
            get_text(each, "id")
            for each in get_blocks(side, "cleanup_policies")
            if get_text(each, "action") == "KEEP"
        }
        for side in (change.old, change.new)
    ]
    for policy in sorted(kept[0] - kept[1]):
        sentence = (
            f"images that policy {span(policy)} of repository {name} kept may be cleaned up from now on"
        )
        yield Finding(
            Kind.DATA, Severity.CARE, context.where(change), sentence, recovery=NO, address=change.address
        )
