"""The names of a feed's pipeline resources, found in the stack by their relations."""

from dataclasses import dataclass

from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.service_router.router import is_loopback
from local.services.dataproc import Dataproc
from local.services.pubsub import PubSub
from local.services.scheduler import Scheduler
from local.stack.applying import Applied
from local.stack.arguments import get_block

FUNCTION = "google_cloudfunctions2_function"


@dataclass(frozen=True)
class PipelineNames:
    """The names of the resources of a feed's pipeline."""

    landing_bucket: str
    archive_bucket: str
    station_table: str  # project.dataset.table
    quarantine_table: str
    topic: str  # full name of the ticks' topic
    push_subscription: str  # full name of the subscription that calls the function
    dead_letter_subscription: str | None  # full name of the dead-letter topic's subscription
    collect_job: str  # scheduler jobs by short name: the one that publishes ticks,
    copy_job: str  # the one that calls the copier,
    batch_job: str  # and the one that instantiates the workflow template
    workflow_template: str
    gbfs_jobs: tuple[str, ...] = ()  # scheduler jobs that publish to other topics, for GBFS systems
    gbfs_subscriptions: tuple[str, ...] = ()  # full names of the push subscriptions of these topics


def find_pipeline_names(environment: LocalEnvironment, applied: Applied) -> PipelineNames:
    """Return the names for the feed's collection; an environment with GBFS systems has more functions, topics and
    jobs.
    """
    functions = [a for name, a in applied.attributes.items() if name.startswith(f"{FUNCTION}.")]
    services = [get_block(function, "service_config") for function in functions]
    service = _only(
        "function with a landing bucket",
        [s for s in services if "LANDING_BUCKET" in s["environment_variables"]],
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
        gbfs_jobs=tuple(
            job for topic, of in topics.items() if topic not in ("", push["topic"]) for job in of
        ),
        gbfs_subscriptions=tuple(
            s["name"] for s in subscriptions if s["topic"] in topics and s["topic"] != push["topic"]
        ),
    )


def _only[T](what: str, found: list[T]) -> T:
    if len(found) != 1:
        raise LocalError(
            f"a local run needs exactly one {what}, the stack has {len(found)}: "
            "compare cdk/workloads with the last commit that worked"
        )
    return found[0]
