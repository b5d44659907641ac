"""Cloud Logging: workloads log to files; log-based metrics, sinks and buckets are stored only."""

from local.stack.applying import Handler
from local.stack.arguments import make_store_only_handler

HANDLERS: dict[str, Handler] = {
    "google_logging_metric": make_store_only_handler(
        "logging",
        "metrics",
        name="{name}",
        unsupported="google_logging_metric: stored only; log entries are not counted",
    ),
    "google_logging_project_sink": make_store_only_handler(
        "logging",
        "sinks",
        name="projects/{project}/sinks/{name}",
        unsupported="google_logging_project_sink: stored only; logs stay in files",
    ),
    "google_logging_project_bucket_config": make_store_only_handler(
        "logging",
        "buckets",
        name="projects/{project}/locations/{location}/buckets/{bucket_id}",
        computed_attributes={"name": "{id}"},
        unsupported="google_logging_project_bucket_config: stored only; log files stay until you delete them",
    ),
}
