"""A load job that failed for a quota is not followed by another at once: failed jobs count against the quota too."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict, Forbidden

from collector import loading
from collector.loading import ATTEMPTS, QUOTA_PAUSE, LoadError, QuotaError, load_rows_once

pytestmark = pytest.mark.unit

NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)


@dataclass
class FailingJobs:
    """A client whose load jobs all fail for a reason; the jobs are kept as BigQuery keeps them."""

    reason: str
    job_ids: list[str] = field(default_factory=list)
    ended: dict[str, datetime] = field(default_factory=dict)

    def load_table_from_file(self, *_: Any, job_id: str, **__: Any) -> "FailingJobs":
        if job_id in self.ended:
            raise Conflict(job_id)  # type: ignore[no-untyped-call]
        self.job_ids.append(job_id)
        self.ended[job_id] = loading.get_utc_now()
        return self

    def result(self, **_: Any) -> None:
        kind = Forbidden if self.reason in loading.QUOTA_REASONS else BadRequest
        raise kind(self.reason)

    def get_job(self, job_id: str, **_: Any) -> Any:
        @dataclass
        class Job(FailingJobs):
            state: str = "DONE"

        job: Any = Job(self.reason)
        job.job_id, job.error_result = job_id, {"reason": self.reason, "message": "it failed"}
        job.ended = self.ended[job_id]
        return job


def load_at(client: FailingJobs, now: datetime, monkeypatch: pytest.MonkeyPatch) -> LoadError:
    monkeypatch.setattr(loading, "get_utc_now", lambda: now)
    anything: Any = client
    with pytest.raises(LoadError) as caught:
        load_rows_once(anything, "p.d.t", [{"a": 1}], [{"name": "a", "type": "INTEGER"}], "tick")
    return caught.value


@pytest.mark.parametrize("reason", sorted(loading.QUOTA_REASONS))
def test_a_quota_costs_one_job_per_pause_and_five_in_all(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, now = FailingJobs(reason), NOW
    for jobs in range(1, ATTEMPTS):
        for seconds in (0, 10, QUOTA_PAUSE.total_seconds() - 1):
            error = load_at(client, now + timedelta(seconds=seconds), monkeypatch)
            assert isinstance(error, QuotaError)
            assert len(client.job_ids) == jobs
        now += QUOTA_PAUSE
    load_at(client, now, monkeypatch)
    error = load_at(client, now + QUOTA_PAUSE, monkeypatch)
    assert "5 load jobs failed" in str(error)
    assert client.job_ids == ["tick", "tick-1", "tick-2", "tick-3", "tick-4"]


def test_the_error_names_the_time_of_the_next_job(monkeypatch: pytest.MonkeyPatch) -> None:
    error = load_at(FailingJobs("quotaExceeded"), NOW, monkeypatch)
    assert str(error) == "p.d.t: load job tick failed with quotaExceeded; no further job before 12:05:00 UTC"


def test_any_other_reason_is_retried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FailingJobs("backendError")
    error = load_at(client, NOW, monkeypatch)
    assert not isinstance(error, QuotaError)
    assert len(client.job_ids) == ATTEMPTS
