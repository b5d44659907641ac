"""Vulnerabilities of pinned packages: found, accepted until a date, or failing.

A failed query is an error, never an empty result.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests

from delivery.dependencies import audit
from delivery.dependencies.audit import (
    Accepted,
    Finding,
    Pinned,
    classify_findings,
    find_pinned,
    find_vulnerabilities,
    read_accepted,
)
from delivery.errors import DeliveryError

pytestmark = pytest.mark.unit
TODAY = date(2026, 11, 29)
REQUESTS = Pinned("PyPI", "requests", "2.0", "requirements.txt")
MINIMATCH = Pinned("npm", "minimatch", "3.0.0", "package-lock.json")
FINDING = Finding(MINIMATCH, ("GHSA-1", "CVE-1"), "slow patterns", ("3.0.5",))
KNOWN: dict[str, dict[str, Any]] = {
    "GHSA-1": {
        "id": "GHSA-1",
        "aliases": ["CVE-1"],
        "summary": "slow\n patterns",
        "affected": [
            {
                "package": {"name": "minimatch"},
                "ranges": [
                    {"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "3.0.5"}]},
                    {"type": "GIT", "events": [{"fixed": "abcdef"}]},
                ],
            },
            {"package": {"name": "another"}, "ranges": [{"type": "SEMVER", "events": [{"fixed": "9"}]}]},
        ],
    },
    "GHSA-2": {"id": "GHSA-2", "summary": "a mistake", "withdrawn": "2026-01-01T00:00:00Z"},
}


class Osv(requests.Session):
    """A fake of osv.dev with a few vulnerabilities, in pages of one."""

    def __init__(self, known: dict[str, list[str]], status: int = 200) -> None:
        super().__init__()
        self.known, self.status, self.calls = known, status, 0

    def request(self, method: str, url: str, json: Any = None, **_: Any) -> requests.Response:  # type: ignore[override]
        self.calls += 1
        path = url.removeprefix(f"{audit.OSV}/")
        document = self._batch(json) if path == "querybatch" else KNOWN[path.removeprefix("vulns/")]
        response = requests.Response()
        response.status_code = self.status
        response._content = _bytes(document)
        return response

    def _batch(self, body: Any) -> dict[str, Any]:
        results = []
        for query in body["queries"]:
            ids = self.known.get(query["package"]["name"], [])
            at = int(query.get("page_token", "0"))
            result: dict[str, Any] = {"vulns": [{"id": each} for each in ids[at : at + 1]]} if ids else {}
            results.append(result | ({"next_page_token": str(at + 1)} if at + 1 < len(ids) else {}))
        return {"results": results}


def _bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_vulnerabilities_of_every_page_are_found_without_withdrawn_ones() -> None:
    osv = Osv({"minimatch": ["GHSA-2", "GHSA-1"]})
    assert find_vulnerabilities([MINIMATCH, REQUESTS], osv) == [FINDING]
    assert str(FINDING) == "package-lock.json: minimatch 3.0.0: GHSA-1: slow patterns; fixed in 3.0.5"


def test_many_packages_are_queried_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "QUERIES", 2)
    osv = Osv({})
    assert find_vulnerabilities([MINIMATCH, REQUESTS, REQUESTS], osv) == []
    assert osv.calls == 2


@pytest.mark.parametrize("status", [400, 503])
def test_an_invalid_response_is_a_failure_and_not_an_empty_result(status: int) -> None:
    with pytest.raises(DeliveryError, match="so nothing is known of vulnerabilities"):
        find_vulnerabilities([REQUESTS], Osv({}, status))


@pytest.mark.parametrize(
    ("accepted", "failing", "notes"),
    [
        ([], [str(FINDING)], []),
        (
            [Accepted("CVE-1", "minimatch", "ours", date(2026, 11, 29))],
            [],
            [f"accepted until 2026-11-29: {FINDING}; ours"],
        ),
        (
            [Accepted("GHSA-1", "minimatch", "ours", date(2026, 11, 28))],
            [f"{FINDING}; it was accepted until 2026-11-28: ours"],
            [],
        ),
        (
            [Accepted("GHSA-1", "requests", "another's", date(2027, 1, 1))],
            [str(FINDING)],
            ["GHSA-1 of requests is not found any more: remove it from accepted.toml"],
        ),
    ],
)
def test_a_finding_fails_unless_it_is_accepted_today(
    accepted: list[Accepted], failing: list[str], notes: list[str]
) -> None:
    assert classify_findings([FINDING], accepted, TODAY) == (failing, notes)


ENTRY = '[[accepted]]\nid = "GHSA-1"\npackage = "a"\nreason = "why"\nexpires = 2027-01-31\n'


def test_an_entry_is_read(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(ENTRY)
    assert read_accepted(file) == [Accepted("GHSA-1", "a", "why", date(2027, 1, 31))]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('reason = "why"\n', "", "entry 1 must have id, package, reason and expires"),
        ('reason = "why"', 'reason = ""', "entry 1 must have id, package, reason and expires"),
        ("expires = 2027-01-31", 'expires = "never"', "entry 1: expires must be a date such as 2027-01-31"),
        ('id = "GHSA-1"', 'id = "GHSA-1"\nmore = 1', "and no more"),
    ],
)
def test_an_entry_without_reason_or_end_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    file = tmp_path / "accepted.toml"
    file.write_text(ENTRY.replace(old, new))
    with pytest.raises(DeliveryError, match=expected):
        read_accepted(file)


def test_every_lock_of_the_project_is_read_and_what_is_accepted_has_reason_and_end() -> None:
    found = find_pinned()
    assert {"requirements.txt", "checks/requirements.txt", "package-lock.json"} <= {
        each.file for each in found
    }
    assert {("PyPI", "cdktf"), ("npm", "cdktf-cli"), ("PyPI", "pyarrow"), ("PyPI", "duckdb")} <= {
        (e.ecosystem, e.name) for e in found
    }
    assert len({(each.ecosystem, each.name, each.version) for each in found}) == len(found)
    read_accepted()


def test_without_a_connection_the_command_fails_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise requests.ConnectionError("x" * 900)

    monkeypatch.setattr(requests.Session, "request", fail)
    assert audit.main() == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert len(printed.err) < 300
    assert "run `make audit` again" in printed.err
