"""The resources of a feed's pipeline, found in the stack by what they point at."""

from dataclasses import dataclass

from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.service_router.router import is_loopback
from local.services.dataproc import Dataproc
from local.services.pubsub import PubSub
from local.services.scheduler import Scheduler
from local.stack.applying import Applied
from local.stack.arguments import block

FUNCTION = "google_cloudfunctions2_function"


@dataclass(frozen=True)
class PipelineNames:
    """What the stack calls the parts of the pipeline, found by what they point at."""

    landing_bucket: str
    archive_bucket: str
    station_table: str  # project.dataset.table
    quarantine_table: str
    topic: str  # full name of the topic that ticks are published to
    push_subscription: str  # full name of the subscription that calls the function
    dead_letter_subscription: str | None  # full name of the one that holds dead letters
    collect_job: str  # scheduler jobs by short name: what publishes the tick,
    copy_job: str  # what calls the service,
    batch_job: str  # and what instantiates the workflow template
    workflow_template: str


def find_pipeline_names(environment: LocalEnvironment, applied: Applied) -> PipelineNames:
    """The parts of the feed's collection; an environment with GBFS systems has more functions, topics and jobs."""
    functions = [a for name, a in applied.attributes.items() if name.startswith(f"{FUNCTION}.")]
    services = [block(function, "service_config") for function in functions]
    service = _only(
        "function that lands", [s for s in services if "LANDING_BUCKET" in s["environment_variables"]]
    )
    env = service["environment_variables"]
    subscriptions = environment.service(PubSub).subscriptions.list()
    push = _only(
        "push subscription",
        [s for s in subscriptions if s["pushConfig"].get("pushEndpoint") == service["uri"]],
    )
    dead_topic = push["deadLetterPolicy"].get("deadLetterTopic")
    dead = [s["name"] for s in subscriptions if s["topic"] == dead_topic]
    jobs = environment.service(Scheduler).jobs.list()
    targets = {job["name"].rpartition("/")[2]: job.get("httpTarget", {}).get("uri", "") for job in jobs}
    topics: dict[str, list[str]] = {}
    for job in jobs:
        topics.setdefault(job.get("pubsubTarget", {}).get("topicName", ""), []).append(
            job["name"].rpartition("/")[2]
        )
    return PipelineNames(
        landing_bucket=env["LANDING_BUCKET"],
        archive_bucket=env["ARCHIVE_BUCKET"],
        station_table=env["STATION_TABLE"],
        quarantine_table=env["QUARANTINE_TABLE"],
        topic=push["topic"],
        push_subscription=push["name"],
        dead_letter_subscription=dead[0] if dead else None,
        collect_job=_only("scheduler job that publishes", topics[push["topic"]]),
        copy_job=_only(
            "scheduler job that calls a service", [j for j, uri in targets.items() if is_loopback(uri)]
        ),
        batch_job=_only(
            "scheduler job for the batch", [j for j, uri in targets.items() if uri.endswith(":instantiate")]
        ),
        workflow_template=_only("workflow template", environment.service(Dataproc).templates.names()),
    )


def _only[T](what: str, found: list[T]) -> T:
    if len(found) != 1:
        raise LocalError(f"the pipeline needs one {what}, the stack has {len(found)}: {found}")
    return found[0]
