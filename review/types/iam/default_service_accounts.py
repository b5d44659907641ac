"""Types whose creation removes access: default service accounts disabled or deleted, members removed from a role."""

from collections.abc import Iterator

from review.findings.finding import NO, YES, Finding, Kind, Severity
from review.findings.text import span
from review.google_cloud.grants import describe_member
from review.plan.context import Context
from review.plan.model import Change
from review.plan.values import get_text

TYPES = ("google_project_default_service_accounts", "google_project_iam_member_remove")
ACTIONS = {
    "DELETE": ("are deleted: workloads that run as one of them fail", "manually, within 30 days (undelete)"),
    "DISABLE": ("are disabled: workloads that run as one of them fail", YES),
    "DEPRIVILEGE": ("lose roles/editor: workloads that run as one of them may fail", YES),
}


def findings(change: Change, context: Context) -> Iterator[Finding]:
    """Yield the principals that lose access."""
    project = span(get_text(change.present, "project") or context.names.of(change.address))
    if change.type == "google_project_iam_member_remove":
        member = describe_member(get_text(change.present, "member"))
        sentence = (
            f"{member} can no longer hold {span(get_text(change.present, 'role'))} on project {project}"
        )
        if change.after is not None:
            yield Finding(
                Kind.ACCESS,
                Severity.INTERRUPTED
                if "gserviceaccount" in get_text(change.present, "member")
                else Severity.CHANGE,
                context.where(change),
                f"{sentence}: the role is removed, even where it was granted outside this plan",
                recovery="by granting it again",
                address=change.address,
            )
        return
    if change.after is None:
        return
    words, recovery = ACTIONS.get(get_text(change.new, "action"), ("are changed in an unknown way", NO))
    yield Finding(
        Kind.SERVICE,
        Severity.INTERRUPTED,
        context.where(change),
        f"the default service accounts of project {project} {words}",
        recovery=recovery,
        size=30,
        address=change.address,
    )
