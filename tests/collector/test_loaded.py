"""Whether the rows of a job ID are loaded, according to BigQuery's jobs."""

from dataclasses import dataclass
from typing import Any

import pytest
from google.api_core.exceptions import Forbidden, NotFound, ServiceUnavailable

from collector.loading import ATTEMPTS, is_loaded

pytestmark = pytest.mark.unit


@dataclass
class Job:
    """A job as the client shows it."""

    state: str
    error_result: dict[str, str] | None = None


DONE, RUNNING, FAILED = Job("DONE"), Job("RUNNING"), Job("DONE", {"reason": "backendError"})


@dataclass
class Jobs:
    """A client whose jobs are those of the attempts, in order; for others it raises `otherwise`."""

    attempts: list[Job]
    otherwise: Exception

    def get_job(self, job_id: str, **_: Any) -> Job:
        attempt = 0 if job_id == "tick" else int(job_id.removeprefix("tick-"))
        if attempt < len(self.attempts):
            return self.attempts[attempt]
        raise self.otherwise


def look(attempts: list[Job], otherwise: Exception) -> bool:
    client: Any = Jobs(attempts, otherwise)
    return is_loaded(client, "tick")


@pytest.mark.parametrize("missing", [NotFound, Forbidden])
@pytest.mark.parametrize(
    ("attempts", "loaded"),
    [
        ([], False),
        ([DONE], True),
        ([RUNNING], False),
        ([FAILED], False),
        ([FAILED, DONE], True),
        ([FAILED, RUNNING], False),
        ([FAILED] * ATTEMPTS, False),
    ],
)
def test_rows_are_loaded_once_a_job_has_succeeded(
    attempts: list[Job], loaded: bool, missing: type[Exception]
) -> None:
    assert look(attempts, missing("no such job")) is loaded


def test_an_unavailable_service_is_no_statement() -> None:
    with pytest.raises(ServiceUnavailable):
        look([FAILED], ServiceUnavailable("later"))  # type: ignore[no-untyped-call]
