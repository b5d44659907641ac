"""Cloud Logging: logs of workloads are files here; metrics on them are kept, and count nothing."""

from local.stack.applying import Handler
from local.stack.arguments import storing_handler

HANDLERS: dict[str, Handler] = {
    "google_logging_metric": storing_handler(
        "logging",
        "metrics",
        name="{name}",
        unsupported="google_logging_metric: kept, but nothing counts log lines here",
    ),
    "google_logging_project_sink": storing_handler(
        "logging",
        "sinks",
        name="projects/{project}/sinks/{name}",
        unsupported="google_logging_project_sink: kept, but logs stay in files here",
    ),
    "google_logging_project_bucket_config": storing_handler(
        "logging",
        "buckets",
        name="projects/{project}/locations/{location}/buckets/{bucket_id}",
        more={"name": "{id}"},
        unsupported="google_logging_project_bucket_config: kept, but logs are files here, for as long as you keep them",
    ),
}
