"""`make audit`: known vulnerabilities of every pinned package, and base images that are not pinned.

What each requirements.txt and package-lock.json pins is looked up at https://osv.dev, which has the advisories that
pip-audit and `npm audit` report. What is accepted, why and until when is in checks/accepted.toml.
"""

import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import batched
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cdk.artifacts.bill_of_materials import read_requirements
from delivery.dependencies.base_images import ROOT, find_dockerfiles, find_unpinned
from delivery.errors import DeliveryError

OSV = "https://api.osv.dev/v1"
ACCEPTED = ROOT / "checks" / "accepted.toml"
REQUIREMENTS = (
    "requirements.txt",
    "*/requirements.txt",
    "src/*/requirements.txt",
    "bench/*/requirements.txt",
)
QUERIES = 1000  # that OSV takes in one call
MOST_PAGES = 20
TIMEOUT_S = 60
NEXT = "update what has a fix (`make lock`), or accept a finding, with its reason and a date, in checks/accepted.toml"
RETRY = Retry(total=4, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)


@dataclass(frozen=True, order=True)
class Pinned:
    """A package of an ecosystem (PyPI or npm), and the first file that pins it."""

    ecosystem: str
    name: str
    version: str
    file: str


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a package; `ids` are its own and its aliases, `fixed` the versions without it."""

    package: Pinned
    ids: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version is known"
        where = f"{self.package.file}: {self.package.name} {self.package.version}"
        return f"{where}: {self.ids[0]}: {self.summary}; {fixed}"


@dataclass(frozen=True)
class Accepted:
    """A finding that does not fail the audit until the day `expires`."""

    id: str
    package: str
    reason: str
    expires: date


def read_accepted(file: Path = ACCEPTED) -> list[Accepted]:
    """Read the accepted findings. Raises DeliveryError for an entry that lacks one of its four values."""
    entries = tomllib.loads(file.read_text("utf-8")).get("accepted", [])
    found = []
    for number, entry in enumerate(entries, 1):
        if set(entry) != {"id", "package", "reason", "expires"} or not all(entry.values()):
            raise DeliveryError(
                f"{file.name}: entry {number} must have id, package, reason and expires, and no more"
            )
        if type(entry["expires"]) is not date:
            raise DeliveryError(f"{file.name}: entry {number}: expires must be a date such as 2027-01-31")
        found.append(Accepted(**entry))
    return found


def find_pinned(root: Path = ROOT) -> list[Pinned]:
    """Return the packages that the checkout's requirements.txt files and package-lock.json pin, each once."""
    found: dict[tuple[str, str, str], Pinned] = {}
    files = [file for pattern in REQUIREMENTS for file in root.glob(pattern)]
    for file in sorted(files):
        for each in read_requirements(file.read_text("utf-8")):
            key = ("PyPI", each.name, each.version)
            found.setdefault(key, Pinned(*key, str(file.relative_to(root))))
    for name, version in _read_lock(root / "package-lock.json"):
        key = ("npm", name, version)
        found.setdefault(key, Pinned(*key, "package-lock.json"))
    return sorted(found.values())


def _read_lock(file: Path) -> Iterator[tuple[str, str]]:
    packages = json.loads(file.read_text("utf-8"))["packages"]
    for path, package in packages.items():
        if path and not package.get("link"):
            yield package.get("name") or path.rpartition("node_modules/")[2], package["version"]


def find_vulnerabilities(packages: Iterable[Pinned], session: requests.Session) -> list[Finding]:
    """Return OSV's vulnerabilities of the packages, in their order. Raises DeliveryError."""
    found = []
    details: dict[str, dict[str, Any]] = {}
    for batch in batched(packages, QUERIES, strict=False):
        for package, ids in zip(batch, _query_ids(batch, session), strict=True):
            for each in ids:
                if each not in details:
                    details[each] = _call(session, "GET", f"vulns/{each}")
                if "withdrawn" not in details[each]:
                    found.append(_make_finding(package, details[each]))
    return found


def _query_ids(packages: Sequence[Pinned], session: requests.Session) -> list[list[str]]:
    """Return the IDs of each package's vulnerabilities; long lists are paged."""
    found: list[list[str]] = [[] for _ in packages]
    page_tokens: dict[int, str] = dict.fromkeys(range(len(packages)), "")
    for _ in range(MOST_PAGES):
        if not page_tokens:
            return found
        order = list(page_tokens)
        queries = [
            {
                "version": packages[n].version,
                "package": {"name": packages[n].name, "ecosystem": packages[n].ecosystem},
            }
            | ({"page_token": page_tokens[n]} if page_tokens[n] else {})
            for n in order
        ]
        results = _call(session, "POST", "querybatch", {"queries": queries}).get("results", [])
        if len(results) != len(order):
            raise DeliveryError(
                f"osv.dev returned {len(results)} results for {len(order)} packages: run the audit again"
            )
        page_tokens = {}
        for n, result in zip(order, results, strict=True):
            found[n] += [str(each["id"]) for each in (result or {}).get("vulns", [])]
            if token := (result or {}).get("next_page_token"):
                page_tokens[n] = token
    raise DeliveryError(f"osv.dev returned more than {MOST_PAGES} pages for one package: run the audit again")


def _call(session: requests.Session, method: str, path: str, body: Any = None) -> dict[str, Any]:
    try:
        response = session.request(method, f"{OSV}/{path}", json=body, timeout=TIMEOUT_S)
        response.raise_for_status()
        document: dict[str, Any] = response.json()
    except (requests.RequestException, ValueError) as error:
        raise DeliveryError(
            f"{method} {path} of osv.dev failed ({type(error).__name__}), so nothing is known of "
            "vulnerabilities: check this host's connection and proxy, then run `make audit` again"
        ) from None
    return document


def _make_finding(package: Pinned, document: dict[str, Any]) -> Finding:
    ranges = [
        event["fixed"]
        for affected in document.get("affected", [])
        if affected.get("package", {}).get("name", "").lower() == package.name.lower()
        for each in affected.get("ranges", [])
        if each.get("type") != "GIT"
        for event in each.get("events", [])
        if "fixed" in event
    ]
    summary = " ".join(str(document.get("summary") or document.get("details") or "no summary").split())[:200]
    ids = (str(document["id"]), *map(str, document.get("aliases", [])))
    return Finding(package, ids, summary, tuple(dict.fromkeys(ranges)))


def classify_findings(
    findings: Iterable[Finding], accepted: Iterable[Accepted], today: date
) -> tuple[list[str], list[str]]:
    """Return what fails the audit, and what is only reported: accepted findings and unused entries."""
    failing, notes = [], []
    unused = {(each.id, each.package): each for each in accepted}
    by_id = dict(unused)
    for finding in findings:
        keys = [(each, finding.package.name) for each in finding.ids]
        entry = next((by_id[key] for key in keys if key in by_id), None)
        if entry is None:
            failing.append(str(finding))
            continue
        unused.pop((entry.id, entry.package), None)
        if entry.expires < today:
            failing.append(f"{finding}; it was accepted until {entry.expires}: {entry.reason}")
        else:
            notes.append(f"accepted until {entry.expires}: {finding}; {entry.reason}")
    notes += [
        f"{id_} of {package} is not found any more: remove it from accepted.toml" for id_, package in unused
    ]
    return failing, notes


def main() -> int:
    """Print the findings and return the exit status: 1 if one is not accepted, or if the audit failed."""
    try:
        accepted, packages = read_accepted(), find_pinned()
        with requests.Session() as session:
            session.mount("https://", HTTPAdapter(max_retries=RETRY))
            findings = find_vulnerabilities(packages, session)
    except DeliveryError as error:
        print(error, file=sys.stderr)
        return 1
    failing, notes = classify_findings(findings, accepted, datetime.now(UTC).date())
    failing += find_unpinned(find_dockerfiles())
    counted = f"{len(packages)} pinned packages, {len(failing)} findings that are not accepted"
    print("\n".join([*notes, *failing, counted]))
    if failing:
        print(NEXT, file=sys.stderr)
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
