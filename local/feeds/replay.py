"""Recorded responses in place of a feed's API, each at its own minute where the file names have one."""

import re
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from feed import DecompressionError, decompress
from local.errors import LocalError
from local.feeds.feed_server import RESPONSE_LIMIT

SUFFIXES = (".json", ".json.gz")
NO_RESPONSE = "the recording has no response of that minute"
# 20231026T205000Z as in an archive, 2023-09-27T0830, 2023-09-27_08-30-15; without Z, the time is local.
_STAMP = re.compile(
    r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})[T_ -](\d{2})[:h_-]?(\d{2})(?:[:_-]?\d{2})?(?:\.\d+)?(Z?)(?!\d)"
)


class Replay:
    """Recorded responses: one file, or all files of a folder and its subfolders, such as a copy of the archive.

    Where each file name of a folder has a date and a time, a minute gets the response of the same time of day, in UTC
    where the names end in Z, else in `zone`; a minute may have no response. The first requested day gets the first
    recorded day, the next one the following, in a cycle. Files with other names are used in the order of their paths,
    in a cycle: one for each requested minute.

    Raises LocalError where there is no file, or one cannot be read.
    """

    def __init__(self, path: Path, zone: ZoneInfo | None = None) -> None:
        self._files = _list_files(path)
        self._minutes: dict[datetime, int] = {}
        self._lock = threading.Lock()
        self._bytes = {file: len(_read_response(file)) for file in self._files}
        self._zone = zone or ZoneInfo("UTC")
        self._file_of_minute: dict[datetime, Path] = {}  # by the minute in the file name
        if path.is_dir():
            self._file_of_minute, is_utc = _files_by_minute(self._files)
            self._zone = ZoneInfo("UTC") if is_utc else self._zone
        self._days = sorted({minute.date() for minute in self._file_of_minute})
        self._first: date | None = None  # the first requested day
        count = f", {len(self._files):,} responses" if path.is_dir() else ""
        order = (
            f", each at its own minute ({self._zone.key})"
            if self._file_of_minute
            else " in the order of their paths"
        )
        self.description = f"replay of {path}{count}{order if path.is_dir() else ''}"

    @property
    def is_timed(self) -> bool:
        """Whether each response belongs to a minute."""
        return bool(self._file_of_minute)

    def check_sizes(self, limit: int) -> None:
        """Raise LocalError for a response that is larger than the function accepts."""
        for file, size in self._bytes.items():
            if size > limit:
                raise LocalError(
                    f"REPLAY: {file} has {size:,} bytes, and the function accepts {limit:,}: raise "
                    "collector.api_max_mebibytes in the environment's file, or leave this response out"
                )

    def has_minute(self, minute: datetime) -> bool:
        """Whether the recording has a response for a minute."""
        return not self._file_of_minute or self._recorded_minute(minute) in self._file_of_minute

    def response_at(self, minute: datetime) -> bytes:
        """Return the recorded response of a minute. Raises LocalError where there is none."""
        if self._file_of_minute:
            file = self._file_of_minute.get(self._recorded_minute(minute))
            if file is None:
                raise LocalError(f"{minute.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {NO_RESPONSE}")
            return _read_response(file)
        with self._lock:
            number = self._minutes.setdefault(minute, len(self._minutes))
        return _read_response(self._files[number % len(self._files)])

    def _recorded_minute(self, minute: datetime) -> datetime:
        local = minute.astimezone(self._zone).replace(second=0, microsecond=0, tzinfo=None, fold=0)
        with self._lock:
            self._first = self._first or local.date()
            passed = (local.date() - self._first).days
        return datetime.combine(self._days[passed % len(self._days)], local.time())


def _files_by_minute(files: list[Path]) -> tuple[dict[datetime, Path], bool]:
    """Return the first file of each minute, and whether the names are in UTC; nothing where a name has no time."""
    found: dict[datetime, Path] = {}
    zones = set()
    for file in files:
        match = _STAMP.search(file.name)
        if match is None:
            return {}, False
        *digits, zulu = match.groups()
        try:
            minute = datetime(*map(int, digits))  # type: ignore[arg-type]  # noqa: DTZ001 - as the name has it
        except ValueError:  # the 31st of February
            return {}, False
        found.setdefault(minute, file)
        zones.add(zulu)
    return (found, zones == {"Z"}) if len(zones) == 1 else ({}, False)


def _list_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise LocalError(f"REPLAY: {path} does not exist: name a recorded response, or a folder of them")
    files = sorted(each for each in path.rglob("*") if each.name.endswith(SUFFIXES) and each.is_file())
    if not files:
        raise LocalError(
            f"REPLAY: {path} and its subfolders have no file whose name ends in {' or '.join(SUFFIXES)}"
        )
    return files


def _read_response(file: Path) -> bytes:
    try:
        if file.stat().st_size > RESPONSE_LIMIT:
            raise LocalError(f"{file} has more than {RESPONSE_LIMIT} bytes, too many for a feed's response")
        return decompress(file.read_bytes(), RESPONSE_LIMIT)
    except (OSError, DecompressionError) as error:
        raise LocalError(f"the recorded response {file} cannot be read: {error}") from error
