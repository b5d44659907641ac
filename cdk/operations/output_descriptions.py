"""The description of each stack output, for docs/reference/outputs.md."""

OUTPUTS: dict[str, str] = {
    "station_table": "the collected feed's table: one row per station and minute",
    "availability_view": "the rows of all feeds under common names",
    "views_dataset": "the dataset of views over the collected feed: the newest response, patterns, outages, trips",
    "quarantine_table": "the table of rejected records, rejected values and unusable responses, each with its reason",
    "empty_responses_table": "the table of valid responses without records, of feeds that accept them",
    "batch_runs_table": "the table with the run statistics of each batch",
    "landing_bucket_url": "the bucket in which the collector stores the raw response of each tick",
    "archive_bucket_url": "the bucket of archived raw responses, under UTC names",
    "artifacts_bucket_url": "the bucket of the code archives that deploys upload",
    "staging_bucket_url": "the bucket of files that a batch needs while it runs",
    "dashboard_url": "the dashboard; without `[dashboard]` in the settings there is no such output",
    "function_url": "the collector, which only its push subscription may call",
    "copier_url": "the copier, which only Cloud Scheduler may call",
    "console_links": "pages of the Google Cloud console: dataset, buckets, logs, jobs, dead letters, batch, alerts",
}
BOOTSTRAP_OUTPUTS: dict[str, str] = {
    "state_bucket": "the bucket of the Terraform states of the project",
    "ci_provider": "with `[ci]`: the identity provider that accepts GitHub's tokens; a variable of the repository",
    "ci_reader": "with `[ci]`: the service account that plans; a variable of the repository",
    "ci_deployer": "with `[ci]`: the service account that deploys from `main`; a variable of the repository",
}
