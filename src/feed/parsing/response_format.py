"""The format of a response: extract its records from JSON, NDJSON or CSV, in each supported layout."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from feed.parsing.json_decoding import check_depth, decode_json
from feed.paths import Each, FieldPath, find_values, format_path

FORMATS = ("json", "ndjson", "csv")
# More records do not fit in the collector's memory: a megabyte of `1,` is half a million records. At most one more is
# read from a body that has more.
MAX_RECORDS = 50_000
# More columns than these are no feed.
_MAX_COLUMNS = 10_000


class ResponseFormatError(ValueError):
    """The document has no records at their path: what was found, and what is expected."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.found, self.expected = found, expected


@dataclass(frozen=True)
class ResponseFormat:
    """The format of a response; by default a JSON array of objects."""

    syntax: str = "json"  # one of FORMATS
    delimiter: str = ","  # of CSV
    keyed: str = ""  # records are an object by key; the key becomes this field of each record
    columnar: bool = False  # records are an object of parallel arrays
    header: FieldPath | None = None  # records are arrays; this is the path of their field names
    nulls: tuple[str, ...] = ()  # strings that mean null

    @property
    def is_json_array(self) -> bool:
        """Whether the records are a JSON array of objects."""
        return self == JSON_ARRAY

    def parse_text(self, text: str) -> Any:
        """Return the records of NDJSON or CSV text. An invalid line of NDJSON stays a string."""
        if self.syntax == "csv":
            return _parse_csv(text, self.delimiter)
        lines = (_decode_line(line.strip()) for line in io.StringIO(text) if line.strip())
        return list(islice(lines, MAX_RECORDS + 1))

    def extract_records(self, document: Any, path: FieldPath) -> list[Any]:
        """Return the records at a path of the document. Raises ResponseFormatError."""
        found = list(find_values(document, path))
        if any(isinstance(step, Each) for step in path):
            # `a[].b` gives an array for each item of `a`; `a[]` gives the items themselves.
            found = [[item for each in found for item in (each if type(each) is list else [each])]]
        if not found:
            raise ResponseFormatError("nothing there", self._expected)
        records = self._extract_array(document, found[0], path)
        return [_replace_nulls(record, self.nulls) for record in records] if self.nulls else records

    @property
    def _expected(self) -> str:
        if self.keyed:
            return "an object of records by key"
        return "an object of parallel arrays" if self.columnar else "an array of records"

    def _extract_array(self, document: Any, found: Any, path: FieldPath) -> list[Any]:
        if self.columnar:
            return _transpose_columns(found)
        if self.keyed and type(found) is dict:
            return [_add_key(self.keyed, key, value) for key, value in found.items()]
        if self.keyed or type(found) is not list:
            raise ResponseFormatError(_describe_type(found), self._expected)
        if self.header is None:
            return found
        names = next(find_values(document, self.header), None)
        if type(names) is not list or not all(type(name) is str for name in names):
            raise ResponseFormatError(
                f"{_describe_type(names)} at {format_path(self.header)}", "an array of names"
            )
        rows = found[1:] if self.header == (*path, 0) else found
        return [dict(zip(names, row, strict=False)) if type(row) is list else row for row in rows]


JSON_ARRAY = ResponseFormat()


def _parse_csv(text: str, delimiter: str) -> list[Any]:
    """Return the records of CSV. A row with another length than the header stays a list. Raises ValueError."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = next(reader)
        rows = list(islice(filter(None, reader), MAX_RECORDS + 1))
    except csv.Error as error:
        raise ValueError(f"CSV: {error}") from None
    return [dict(zip(names, row, strict=True)) if len(row) == len(names) else row for row in rows]


def _decode_line(line: str) -> Any:
    try:
        check_depth(line.encode("utf-8", "surrogatepass"))
        return decode_json(line)
    except ValueError:
        return line


def _add_key(name: str, key: str, value: Any) -> dict[str, Any]:
    return {name: key, **value} if type(value) is dict else {name: key, "value": value}


def _transpose_columns(found: Any) -> list[Any]:
    columns = (
        {name: value for name, value in found.items() if type(value) is list} if type(found) is dict else {}
    )
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or len(columns) > _MAX_COLUMNS:
        found_type = (
            f"arrays of {', '.join(map(str, sorted(lengths)[:5]))} values"
            if lengths
            else _describe_type(found)
        )
        raise ResponseFormatError(found_type, "an object of arrays of equal length")
    rows = islice(zip(*columns.values(), strict=True), MAX_RECORDS + 1)
    return [dict(zip(columns, values, strict=True)) for values in rows]


def _replace_nulls(value: Any, nulls: tuple[str, ...]) -> Any:
    if type(value) is str:
        return None if value in nulls else value
    if type(value) is dict:
        return {key: _replace_nulls(item, nulls) for key, item in value.items()}
    return [_replace_nulls(item, nulls) for item in value] if type(value) is list else value


def _describe_type(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def infer_csv_types(records: list[Any]) -> Iterator[Any]:
    """Yield CSV records with typed values, in columns of which all strings are numbers or booleans."""
    names = dict.fromkeys(name for record in records for name in record)
    typed = {name: _convert_column([record.get(name) for record in records]) for name in names}
    for index in range(len(records)):
        yield {name: values[index] for name, values in typed.items()}


def _convert_column(texts: list[Any]) -> list[Any]:
    """Return the values of a column with their types, or the strings; numbers with a leading zero are strings."""
    values = [_decode_line(text) if type(text) is str else text for text in texts]
    is_typed = all(value is None or type(value) in {int, float, bool} for value in values)
    return values if is_typed else texts
