"""The model of a feed: its columns in table order, its key, and what its columns mean."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from feed.parsing.join import Join
from feed.parsing.paging import Paging
from feed.parsing.response_format import JSON_ARRAY, ResponseFormat
from feed.paths import FieldPath
from feed.request.parameters import Parameter

# BigQuery's own names, as its API returns them, so that a plan after a deploy is empty.
SCALAR_TYPES = ("STRING", "INTEGER", "FLOAT", "BOOLEAN", "TIMESTAMP", "DATETIME", "DATE", "TIME")
# What a type mismatch rejects, from the least to the most.
ON_MISMATCH = ("value", "row", "response")
# The first step of a path that starts at the response instead of a record, as in JSONPath: `$.last_updated`.
ROOT = "$"
EPOCH_UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}  # in microseconds


@dataclass(frozen=True)
class Rule:
    """The plausible values of a column; None: no limit. Other values are loaded and flagged."""

    minimum: float | None = None
    maximum: float | None = None
    not_in_future: timedelta | None = None  # how long after the tick a time is plausible
    not_before: datetime | None = None  # UTC


@dataclass(frozen=True)
class Column:
    """One column of a feed's table, and where a record has its value."""

    name: str
    type: str
    mode: str = "NULLABLE"  # or REPEATED
    path: FieldPath = ()  # relative to the record; for the fields of a RECORD, to that object
    description: str = ""
    fields: tuple["Column", ...] = ()
    unit: str | None = None  # of a TIMESTAMP given as a number since 1970: one of EPOCH_UNITS
    zone: str | None = None  # of a TIMESTAMP given as local time without an offset: its IANA time zone
    observed: bool = True  # False: the sample has only null, so the type is STRING
    decimal: str = ""  # the decimal separator of a FLOAT given as text, if it is not a point
    format: str = ""  # strptime pattern of a TIMESTAMP given as text
    is_flag: bool = False  # an INTEGER for which the sample has only 0 and 1
    is_numbered: bool = (
        False  # a STRING with the IDs of stations or records, which are integers in the sample
    )
    on_mismatch: str = (
        "value"  # one of ON_MISMATCH; for top-level columns only, not for the fields of a RECORD
    )
    rule: Rule | None = None


COLLECTED_AT = Column(
    name="collected_at",
    type="TIMESTAMP",
    description="Minute of the tick (UTC), even if a redelivery requested it later",
)


@dataclass(frozen=True)
class Condition:
    """True if `column` has one of the values `equals`."""

    column: str
    equals: tuple[str | int | bool, ...]


@dataclass(frozen=True)
class Common:
    """The feed's column for each common name (taken from GBFS); None if it has none."""

    station_id: str | None = None
    name: str | None = None
    area: str | None = None  # the municipality or district that a station lies in; not a GBFS name
    latitude: str | None = None
    longitude: str | None = None
    num_bikes_available: str | None = None
    num_docks_available: str | None = None
    is_operational: str | Condition | None = None
    last_reported: str | None = None
    capacity: str | None = None


@dataclass(frozen=True)
class Box:
    """The area in which stations may be, in degrees (WGS 84)."""

    south: float
    north: float
    west: float
    east: float
    is_declared: bool = True  # False: computed from the sample; a point outside may be valid

    def contains(self, latitude: float, longitude: float) -> bool:
        """Return whether the point is inside, borders included."""
        return self.south <= latitude <= self.north and self.west <= longitude <= self.east

    def expand(self, degrees: float) -> "Box":
        """Return the box, extended by so many degrees on each side."""
        return replace(
            self,
            south=self.south - degrees,
            north=self.north + degrees,
            west=self.west - degrees,
            east=self.east + degrees,
        )


@dataclass(frozen=True)
class Legacy:
    """The names of old objects: a strftime pattern in the local time of a time zone."""

    pattern: str
    zone: ZoneInfo
    times: tuple[str, ...] = ()  # columns with the time at which a response was created


@dataclass(frozen=True)
class Feed:
    """One API: where its records are, and the columns of its table."""

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
    stale_minutes: int = 120  # without a new last_reported the feed is stale; 0: never
    frozen_minutes: int = 0  # without any change the feed is frozen; 0: never
    empty_is_ok: bool = False  # a response without records is valid
    response_format: ResponseFormat = JSON_ARRAY
    paging: Paging | None = None
    join: Join | None = None  # the second document, whose fields are added to the records
    query: tuple[Parameter, ...] = ()  # parameters of each request, in addition to those of `url`
    headers: tuple[Parameter, ...] = ()
    total: FieldPath | None = None  # where a response has the total number of records
    encoding: str = ""  # of responses that are not UTF-8; "": the charset of the Content-Type
    # The GBFS version of the sample, and of its joined document; "": it declares none; None: no GBFS document.
    gbfs_versions: tuple[str | None, str | None] = (None, None)
    sample: bytes = field(default=b"", repr=False)

    @property
    def has_response_columns(self) -> bool:
        """Whether a column is taken from the response itself, outside of its records."""
        return any(column.path[:1] == (ROOT,) for column in self.columns)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that requests need."""
        return tuple(sorted({each.secret for each in (*self.query, *self.headers) if each.secret}))

    def column(self, name: str) -> Column:
        """Return the column with that name. Raises KeyError with the existing names."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r}, only {', '.join(c.name for c in self.columns)}")
