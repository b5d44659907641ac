"""From a response's document to records, one object each, whichever way the response arranges them."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from feed.decoding import check_depth, decode_json
from feed.paths import Each, FieldPath, path_text, values_at

FORMATS = ("json", "ndjson", "csv")
# More rows than these do not fit in the collector's memory: a megabyte of `1,` is half a million records. No more than
# one above them is made, of a body that has more.
MAX_RECORDS = 50_000
# A column of many response times; a table of as many is no feed.
_MAX_COLUMNS = 10_000


class ArrangementError(ValueError):
    """The document has no records where they should be: what was found, and what is expected."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected


@dataclass(frozen=True)
class Arrangement:
    """How a response arranges its records; as it stands, an array of objects in JSON."""

    format: str = "json"  # of FORMATS
    delimiter: str = ","  # of CSV
    keyed: str = ""  # an object by key, which becomes this field of each record
    columnar: bool = False  # an object of parallel arrays
    header: FieldPath | None = None  # where the names of the fields are, of records that are arrays
    nulls: tuple[str, ...] = ()  # texts that mean null

    @property
    def is_plain(self) -> bool:
        """Whether records are what lies at their path, as it is."""
        return self == PLAIN

    def document(self, text: str) -> Any:
        """The document of a text that is no JSON: a list of records. A line of NDJSON that is none stays text."""
        if self.format == "csv":
            return _csv(text, self.delimiter)
        lines = (_line(line.strip()) for line in io.StringIO(text) if line.strip())
        return list(islice(lines, MAX_RECORDS + 1))

    def records(self, document: Any, path: FieldPath) -> list[Any]:
        """The records at a path of the document. Raises ArrangementError."""
        found = list(values_at(document, path))
        if any(isinstance(step, Each) for step in path):
            # `a[].b` has an array for each a, and `a[]` the items themselves.
            found = [[item for each in found for item in (each if type(each) is list else [each])]]
        if not found:
            raise ArrangementError("nothing there", self._expected)
        records = self._arranged(document, found[0], path)
        return [_without(record, self.nulls) for record in records] if self.nulls else records

    @property
    def _expected(self) -> str:
        if self.keyed:
            return "an object of records by key"
        return "an object of parallel arrays" if self.columnar else "an array of records"

    def _arranged(self, document: Any, found: Any, path: FieldPath) -> list[Any]:
        if self.columnar:
            return _rows_of_columns(found)
        if self.keyed and type(found) is dict:
            return [_with_key(self.keyed, key, value) for key, value in found.items()]
        if self.keyed or type(found) is not list:
            raise ArrangementError(_kind(found), self._expected)
        if self.header is None:
            return found
        names = next(values_at(document, self.header), None)
        if type(names) is not list or not all(type(name) is str for name in names):
            raise ArrangementError(f"{_kind(names)} at {path_text(self.header)}", "an array of names")
        rows = found[1:] if self.header == (*path, 0) else found
        return [dict(zip(names, row, strict=False)) if type(row) is list else row for row in rows]


PLAIN = Arrangement()


def _csv(text: str, delimiter: str) -> list[Any]:
    """Raises ValueError. A row of another length than the header's is no record, and stays a list."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = next(reader)
        rows = list(islice(filter(None, reader), MAX_RECORDS + 1))
    except csv.Error as error:
        raise ValueError(f"CSV: {error}") from None
    return [dict(zip(names, row, strict=True)) if len(row) == len(names) else row for row in rows]


def _line(line: str) -> Any:
    try:
        check_depth(line.encode("utf-8", "surrogatepass"))
        return decode_json(line)
    except ValueError:
        return line


def _with_key(name: str, key: str, value: Any) -> dict[str, Any]:
    return {name: key, **value} if type(value) is dict else {name: key, "value": value}


def _rows_of_columns(found: Any) -> list[Any]:
    columns = (
        {name: value for name, value in found.items() if type(value) is list} if type(found) is dict else {}
    )
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or len(columns) > _MAX_COLUMNS:
        told = f"arrays of {', '.join(map(str, sorted(lengths)[:5]))} values" if lengths else _kind(found)
        raise ArrangementError(told, "an object of arrays of one length")
    rows = islice(zip(*columns.values(), strict=True), MAX_RECORDS + 1)
    return [dict(zip(columns, values, strict=True)) for values in rows]


def _without(value: Any, nulls: tuple[str, ...]) -> Any:
    if type(value) is str:
        return None if value in nulls else value
    if type(value) is dict:
        return {key: _without(item, nulls) for key, item in value.items()}
    return [_without(item, nulls) for item in value] if type(value) is list else value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def typed_texts(records: list[Any]) -> Iterator[Any]:
    """Records of CSV with their texts as the JSON values that they write, where all of a column do."""
    names = dict.fromkeys(name for record in records for name in record)
    typed = {name: _typed([record.get(name) for record in records]) for name in names}
    for index in range(len(records)):
        yield {name: values[index] for name, values in typed.items()}


def _typed(texts: list[Any]) -> list[Any]:
    """Numbers with a leading zero are names of something."""
    values = [_line(text) if type(text) is str else text for text in texts]
    is_typed = all(value is None or type(value) in {int, float, bool} for value in values)
    return values if is_typed else texts
