"""Generate an archive of any length, and the totals that its rebuild must produce.

The totals are computed while the responses are generated (bench/archives/responses.py), not by reading them.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from multiprocessing import get_context
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client as StorageClient
from isal import isal_zlib
from requests.adapters import HTTPAdapter
from rich.console import Console
from rich.progress import track

from bench.archives.responses import PARIS, GeneratedResponse, Plan, generate_responses
from bench.archives.template import Template

FEED = "vlille_ods"
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sources" / FEED / "sample.json"
GZIP = 31  # wbits: with gzip's header
UPLOADS = 16  # concurrent ones, per process

ObjectWriter = Callable[[str, bytes], None]
WriterFactory = Callable[[], AbstractContextManager[ObjectWriter]]


@dataclass
class ExpectedTotals:
    """The expected result of rebuilding one UTC day: sums over the loaded rows, and all rejections."""

    objects: int = 0
    rows: int = 0
    bikes: int = 0
    docks: int = 0
    quarantined: dict[str, str] = field(default_factory=dict)  # tick → reason
    rejected: list[tuple[str, int, str]] = field(default_factory=list)  # tick, index of the record, reason

    def __add__(self, other: "ExpectedTotals") -> "ExpectedTotals":
        return ExpectedTotals(
            self.objects + other.objects,
            self.rows + other.rows,
            self.bikes + other.bikes,
            self.docks + other.docks,
            self.quarantined | other.quarantined,
            self.rejected + other.rejected,
        )

    def count_reasons(self) -> dict[str, int]:
        """Return the number of quarantine entries by reason, for responses and records together."""
        return dict(Counter([*self.quarantined.values(), *(reason for _, _, reason in self.rejected)]))


def read_recorded_response() -> bytes:
    """Return the template of an archive: the file of VLILLE_RECORDED, or the feed's sample."""
    return Path(os.environ.get("VLILLE_RECORDED", SAMPLE)).read_bytes()


def make_tutorial_name(tick: datetime) -> str:
    """Return an object name of the original tutorial, in local time: responses of a repeated hour share one."""
    return f"data___{tick.astimezone(PARIS):%Y-%m-%d_%H:%M:%S}.json"


def make_landing_name(tick: datetime) -> str:
    """Return the name of a landed object."""
    return f"{FEED}/{tick:%Y%m%dT%H%M%SZ}.json.gz"


def make_archive_name(tick: datetime) -> str:
    """Return the name of an archived object."""
    return f"feed={FEED}/date={tick:%Y-%m-%d}/hour={tick:%H}/{tick:%Y%m%dT%H%M%SZ}.json.gz"


NAMINGS = {"tutorial": make_tutorial_name, "landing": make_landing_name, "archive": make_archive_name}


def encode_object(response: GeneratedResponse, *, is_plain: bool) -> bytes:
    """Return the content of an object: plain for the original tutorial, otherwise gzip-compressed."""
    if is_plain:
        return response.body[: len(response.body) // 2] if response.is_damaged else response.body
    compressed: bytes = isal_zlib.compress(response.body, 1, GZIP)
    return compressed[: len(compressed) * 2 // 3] if response.is_damaged else compressed


def generate_day(
    template: Template, plan: Plan, names: str, day: tuple[date, int], put: ObjectWriter
) -> ExpectedTotals:
    """Write the objects of one day of the plan, in order of time; return the expected totals."""
    is_plain, name_of, kept = names == "tutorial", NAMINGS[names], dict[str, GeneratedResponse]()
    for response in generate_responses(template, plan, *day):
        name = name_of(response.tick)
        put(name, encode_object(response, is_plain=is_plain))
        kept[name] = replace(response, body=b"")
    return _sum_responses(kept.values(), is_plain=is_plain)


def _sum_responses(responses: Iterable[GeneratedResponse], *, is_plain: bool) -> ExpectedTotals:
    totals = ExpectedTotals()
    for response in responses:
        totals.objects += 1
        totals.rows += response.rows
        totals.bikes += response.bikes
        totals.docks += response.docks
        tick = response.tick.isoformat()
        if response.reason:
            is_only_cut = response.is_damaged and is_plain
            totals.quarantined[tick] = "truncated" if is_only_cut else response.reason
        totals.rejected += [(tick, index, reason) for index, reason in response.rejected]
    return totals


def generate_archive(
    recorded: bytes, plan: Plan, names: str, sink: WriterFactory, *, processes: int = 2
) -> dict[str, ExpectedTotals]:
    """Generate all days, in parallel; return the expected totals by UTC date. `sink` must be picklable."""
    days = plan.days
    spawn, initargs = get_context("spawn"), (recorded, plan, names, sink)
    with ProcessPoolExecutor(processes, spawn, initializer=_initialize_process, initargs=initargs) as pool:
        made = track(
            pool.map(_generate_day_in_process, days),
            f"generating {sum(count for _, count in days):,} responses",
            total=len(days),
            console=Console(stderr=True),
        )
        return {day.isoformat(): totals for (day, _), totals in zip(days, made, strict=True)}


_PROCESS_GENERATOR: list[Callable[[tuple[date, int]], ExpectedTotals]] = []  # set in each process of the pool


def _initialize_process(recorded: bytes, plan: Plan, names: str, sink: WriterFactory) -> None:
    template = Template(recorded)

    def make(day: tuple[date, int]) -> ExpectedTotals:
        with sink() as put:
            return generate_day(template, plan, names, day, put)

    _PROCESS_GENERATOR[:] = [make]


def _generate_day_in_process(day: tuple[date, int]) -> ExpectedTotals:
    return _PROCESS_GENERATOR[0](day)


# --- targets --------------------------------------------------------------------------------------


@contextmanager
def write_to_folder(folder: Path) -> Iterator[ObjectWriter]:
    """Yield a writer of objects to files below a folder."""
    made: set[str] = set()

    def put(name: str, data: bytes) -> None:
        parent, _, _ = name.rpartition("/")
        if parent not in made:
            (folder / parent).mkdir(parents=True, exist_ok=True)
            made.add(parent)
        (folder / name).write_bytes(data)

    yield put


@contextmanager
def write_to_bucket(bucket: str) -> Iterator[ObjectWriter]:
    """Yield a writer of objects to a bucket of the storage emulator, with concurrent uploads.

    Of two objects with one name the later one remains, as with sequential uploads.
    """
    client = StorageClient(project="bench", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    client._http.mount("http://", HTTPAdapter(pool_maxsize=UPLOADS))
    pending: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(UPLOADS) as pool:

        def put(name: str, data: bytes) -> None:
            if name in pending or len(pending) >= 4 * UPLOADS:
                finish()
            pending[name] = pool.submit(client.bucket(bucket).blob(name).upload_from_string, data)

        def finish() -> None:
            for future in pending.values():
                future.result()
            pending.clear()

        yield put
        finish()
