"""`python -m bench.archives FOLDER`: an archive of any length, and the account that a right rebuild of it gives.

The account is made from the answers as they are made (bench/archives/responses.py), by nothing that reads them.
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

from bench.archives.responses import PARIS, Answer, Plan, Template, answers_of

FEED = "vlille_ods"
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sources" / FEED / "sample.json"
GZIP = 31  # wbits: with gzip's header
UPLOADS = 16  # at once, of each process

Put = Callable[[str, bytes], None]
Sink = Callable[[], AbstractContextManager[Put]]


@dataclass
class Account:
    """What a rebuild of one UTC day must give; sums over the rows that are loaded."""

    objects: int = 0
    rows: int = 0
    bikes: int = 0
    docks: int = 0
    quarantined: dict[str, str] = field(default_factory=dict)  # tick → reason
    rejected: list[tuple[str, int, str]] = field(default_factory=list)  # tick, index of the record, reason

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.objects + other.objects,
            self.rows + other.rows,
            self.bikes + other.bikes,
            self.docks + other.docks,
            self.quarantined | other.quarantined,
            self.rejected + other.rejected,
        )

    def reasons(self) -> dict[str, int]:
        """Reason → entries of the quarantine, whole answers and records alike."""
        return dict(Counter([*self.quarantined.values(), *(reason for _, _, reason in self.rejected)]))


def recorded_answer() -> bytes:
    """The answer that VLILLE_RECORDED names, else the feed's sample: what an archive is made like."""
    return Path(os.environ.get("VLILLE_RECORDED", SAMPLE)).read_bytes()


def original_name(tick: datetime) -> str:
    """As the original system named its objects, in local time: two answers of a repeated hour share one."""
    return f"data___{tick.astimezone(PARIS):%Y-%m-%d_%H:%M:%S}.json"


def landing_name(tick: datetime) -> str:
    """As the collector names an object today."""
    return f"{FEED}/{tick:%Y%m%dT%H%M%SZ}.json.gz"


def archive_name(tick: datetime) -> str:
    """As the copier names it."""
    return f"feed={FEED}/date={tick:%Y-%m-%d}/hour={tick:%H}/{tick:%Y%m%dT%H%M%SZ}.json.gz"


NAMES = {"original": original_name, "landing": landing_name, "archive": archive_name}


def stored_bytes(answer: Answer, *, is_plain: bool) -> bytes:
    """What an object holds: the answer itself in the original's way, else gzipped."""
    if is_plain:
        return answer.body[: len(answer.body) // 2] if answer.is_damaged else answer.body
    packed: bytes = isal_zlib.compress(answer.body, 1, GZIP)
    return packed[: len(packed) * 2 // 3] if answer.is_damaged else packed


def make_day(template: Template, plan: Plan, names: str, day: tuple[date, int], put: Put) -> Account:
    """Put the objects of one of the plan's days, in order of time; what is right about what remains of them."""
    is_plain, name_of, kept = names == "original", NAMES[names], dict[str, Answer]()
    for answer in answers_of(template, plan, *day):
        name = name_of(answer.tick)
        put(name, stored_bytes(answer, is_plain=is_plain))
        kept[name] = replace(answer, body=b"")
    return _account(kept.values(), is_plain=is_plain)


def _account(answers: Iterable[Answer], *, is_plain: bool) -> Account:
    account = Account()
    for answer in answers:
        account.objects += 1
        account.rows += answer.rows
        account.bikes += answer.bikes
        account.docks += answer.docks
        tick = answer.tick.isoformat()
        if answer.reason:
            is_only_cut = answer.is_damaged and is_plain
            account.quarantined[tick] = "truncated" if is_only_cut else answer.reason
        account.rejected += [(tick, index, reason) for index, reason in answer.rejected]
    return account


def make_archive(
    recorded: bytes, plan: Plan, names: str, sink: Sink, *, processes: int = 2
) -> dict[str, Account]:
    """Make every day, several at a time; UTC date → what is right about it. `sink` must be picklable."""
    days = plan.days
    spawn, begun = get_context("spawn"), (recorded, plan, names, sink)
    with ProcessPoolExecutor(processes, spawn, initializer=_begin, initargs=begun) as pool:
        made = track(
            pool.map(_make_day_here, days),
            f"making {sum(count for _, count in days):,} answers",
            total=len(days),
            console=Console(stderr=True),
        )
        return {day.isoformat(): account for (day, _), account in zip(days, made, strict=True)}


_HERE: list[Callable[[tuple[date, int]], Account]] = []  # of a process of the pool


def _begin(recorded: bytes, plan: Plan, names: str, sink: Sink) -> None:
    template = Template(recorded)

    def make(day: tuple[date, int]) -> Account:
        with sink() as put:
            return make_day(template, plan, names, day, put)

    _HERE[:] = [make]


def _make_day_here(day: tuple[date, int]) -> Account:
    return _HERE[0](day)


# --- where to -------------------------------------------------------------------------------------


@contextmanager
def into_folder(folder: Path) -> Iterator[Put]:
    """What puts an object into a file of its name."""
    made: set[str] = set()

    def put(name: str, data: bytes) -> None:
        parent, _, _ = name.rpartition("/")
        if parent not in made:
            (folder / parent).mkdir(parents=True, exist_ok=True)
            made.add(parent)
        (folder / name).write_bytes(data)

    yield put


@contextmanager
def into_bucket(bucket: str) -> Iterator[Put]:
    """What puts an object into a bucket of the storage emulator, several on their way.

    Of two objects of one name the later one stays, as where they were put one after the other.
    """
    client = StorageClient(project="bench", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    client._http.mount("http://", HTTPAdapter(pool_maxsize=UPLOADS))
    begun: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(UPLOADS) as pool:

        def put(name: str, data: bytes) -> None:
            if name in begun or len(begun) >= 4 * UPLOADS:
                finish()
            begun[name] = pool.submit(client.bucket(bucket).blob(name).upload_from_string, data)

        def finish() -> None:
            for future in begun.values():
                future.result()
            begun.clear()

        yield put
        finish()
