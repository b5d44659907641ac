"""What a feed is, once its folder is read: columns in table order, key, meaning of its columns."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from feed.arrangement import PLAIN, Arrangement
from feed.join import Join
from feed.paging import Paging
from feed.paths import FieldPath
from feed.request import Parameter

# BigQuery's own names, as its API returns them, so that a plan after a deploy is empty.
SCALAR_TYPES = ("STRING", "INTEGER", "FLOAT", "BOOLEAN", "TIMESTAMP", "DATETIME", "DATE", "TIME")
# What a value that does not fit its column costs, from the least to the most.
ON_MISMATCH = ("value", "row", "response")
# The first step of a path that begins at the response, as JSONPath writes it: `$.last_updated`.
ROOT = "$"
EPOCH_UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}  # in microseconds


@dataclass(frozen=True)
class Rule:
    """Which values of a column are plausible; others are kept and flagged. None: no limit."""

    minimum: float | None = None
    maximum: float | None = None
    not_in_future: timedelta | None = None  # how long after the tick is plausible
    not_before: datetime | None = None  # UTC


@dataclass(frozen=True)
class Column:
    """One column of a feed's table, and where an answer's record has its value."""

    name: str
    type: str
    mode: str = "NULLABLE"  # or REPEATED
    path: FieldPath = ()  # from the record; in a RECORD's fields, from that object
    description: str = ""
    fields: tuple["Column", ...] = ()
    unit: str | None = None  # TIMESTAMP given as a number: of EPOCH_UNITS, since 1970
    zone: str | None = None  # TIMESTAMP given as local time without an offset: its IANA zone
    observed: bool = True  # False: only null in the sample, hence STRING
    decimal: str = ""  # what stands before the fraction of a FLOAT given as text, where it is no point
    format: str = ""  # strptime pattern of a TIMESTAMP given as text
    is_flag: bool = False  # an INTEGER of which the sample has 0 and 1 only
    on_mismatch: str = "value"  # of ON_MISMATCH; of a feed's own columns, not of those inside a RECORD
    rule: Rule | None = None


COLLECTED_AT = Column(
    name="collected_at",
    type="TIMESTAMP",
    description="Minute of the tick (UTC); a redelivery may have asked later",
)


@dataclass(frozen=True)
class Condition:
    """True where `column` has one of the values `equals`."""

    column: str
    equals: tuple[str | int | bool, ...]


@dataclass(frozen=True)
class Common:
    """The feed's own column for each common one (GBFS names), None where it has none."""

    station_id: str | None = None
    name: str | None = None
    area: str | None = None  # the municipality or district that a station lies in; not a GBFS name
    latitude: str | None = None
    longitude: str | None = None
    num_bikes_available: str | None = None
    num_docks_available: str | None = None
    is_operational: str | Condition | None = None
    last_reported: str | None = None


@dataclass(frozen=True)
class Box:
    """Where stations may lie, in degrees (WGS 84)."""

    south: float
    north: float
    west: float
    east: float
    declared: bool = True  # False: the sample's own extent, which tells swapped pairs but not strays

    def holds(self, latitude: float, longitude: float) -> bool:
        """Whether the point lies inside, borders included."""
        return self.south <= latitude <= self.north and self.west <= longitude <= self.east

    def widened(self, degrees: float) -> "Box":
        """The box with so much more on each side."""
        return replace(
            self,
            south=self.south - degrees,
            north=self.north + degrees,
            west=self.west - degrees,
            east=self.east + degrees,
        )


@dataclass(frozen=True)
class Legacy:
    """How objects were named before: a strftime pattern in the local time of a zone."""

    pattern: str
    zone: ZoneInfo
    times: tuple[str, ...] = ()  # columns that tell when an answer was made


@dataclass(frozen=True)
class Feed:
    """One JSON API: where its records are and what its table looks like."""

    name: str
    title: str
    url: str
    licence: str
    description: str
    records: FieldPath
    columns: tuple[Column, ...]
    lift: tuple[FieldPath, ...] = ()
    ignore: tuple[FieldPath, ...] = ()
    key: str | None = None
    common: Common = Common()
    box: Box | None = None
    legacy: Legacy | None = None
    stale_minutes: int = 120  # without a new last_reported, the feed has stopped; 0: never
    frozen_minutes: int = 0  # in which nothing moved, the API repeats itself; 0: never
    empty_is_ok: bool = False  # an empty array of records is a response as any other
    arrangement: Arrangement = PLAIN
    paging: Paging | None = None
    join: Join | None = None  # the document whose fields the records have too
    query: tuple[Parameter, ...] = ()  # of each request, beside those of the url
    headers: tuple[Parameter, ...] = ()
    total: FieldPath | None = None  # where a response says how many records there are
    encoding: str = ""  # of responses that are no UTF-8; "": the charset of the Content-Type
    sample: bytes = field(default=b"", repr=False)

    @property
    def takes_of_response(self) -> bool:
        """Whether a column is taken from the response itself, beside its records."""
        return any(column.path[:1] == (ROOT,) for column in self.columns)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the secrets that requests need."""
        return tuple(sorted({each.secret for each in (*self.query, *self.headers) if each.secret}))

    def column(self, name: str) -> Column:
        """The column of that name; KeyError lists the names there are."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r}, only {', '.join(c.name for c in self.columns)}")
