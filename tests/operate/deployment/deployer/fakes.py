"""A fake cdktf that records how it was called, and resources of a small stack."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

TABLE = ("google_bigquery_table", "stations", {"deletion_protection": True})
TOPIC = ("google_pubsub_topic", "topic", {"name": "collect"})
POOL = "projects/{}/locations/global/workloadIdentityPools/vlille-github"
CI_RESOURCES = {
    "google_iam_workload_identity_pool": {"ci_pool": {"workload_identity_pool_id": "vlille-github"}},
    "google_iam_workload_identity_pool_provider": {
        "ci_provider": {
            "workload_identity_pool_id": "${google_iam_workload_identity_pool.ci_pool.workload_identity_pool_id}",
            "workload_identity_pool_provider_id": "github",
        }
    },
}
LOCK = {
    "ID": "1795642733529456",
    "Operation": "OperationTypeApply",
    "Who": "ada@laptop",
    "Created": "2026-11-25T21:38:53.523431863Z",
}


class FakeCdktf:
    """Records arguments and variables, runs the callback of a test, and returns the stack of a test."""

    def __init__(self) -> None:
        self.runs: list[list[str]] = []
        self.environ: Mapping[str, str] = {}
        self.variables: list[Mapping[str, str]] = []
        self.stack: dict[str, Any] = {}
        self.status = 0
        self.does: Callable[[], None] = lambda: None

    def given(self, environ: Mapping[str, str]) -> "FakeCdktf":
        self.environ = environ
        return self

    def synthesize(self, _stack: str, variables: Mapping[str, str]) -> dict[str, Any]:
        self.variables.append(variables)
        return self.stack

    def run(self, argv: Sequence[str]) -> int:
        self.runs.append(list(argv))
        self.does()
        return self.status

    def terraform(self, _stack: str, argv: Sequence[str], _output: Path | None = None) -> int:
        self.runs.append(list(argv))
        return self.status
