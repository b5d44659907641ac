"""Read the records of a feed's sample response."""

from typing import Any

from feed.errors import FeedError
from feed.parsing.encoding import convert_to_utf8
from feed.parsing.join import Join, join_records, split_response
from feed.parsing.json_decoding import decode_utf8
from feed.parsing.response_format import MAX_RECORDS, ResponseFormat, ResponseFormatError, infer_csv_types
from feed.paths import FieldPath, find_values, format_path
from feed.quality.gbfs_version import read_gbfs_version
from feed.source.inference import SAMPLE
from feed.source.toml_table import Table, suggest
from feed.values.description import describe_value

SOURCE = "source.toml"


def read_sample_records(
    source: Table, sample: bytes, path: FieldPath, response_format: ResponseFormat, join: Join | None
) -> list[dict[str, Any]]:
    feed, other = source.feed, None
    try:
        is_json = response_format.syntax == "json"
        document = (
            decode_utf8(convert_to_utf8(sample)) if is_json else response_format.parse_text(sample.decode())
        )
    except ValueError as error:
        kind = response_format.syntax.upper()
        raise FeedError(
            feed, SAMPLE, "", str(error), f"{kind}: one response of the API, cut to a few records"
        ) from None
    if join is not None:
        document, other = split_response(document)
        if not isinstance(other, dict):
            found = "no joined document" if other is None else describe_value(other)
            raise FeedError(feed, SAMPLE, "", found, 'both documents: {"response": …, "joined": …}')
    try:
        records = response_format.extract_records(document, path)
    except ResponseFormatError as error:
        raise _make_no_records_error(feed, document, path, error, response_format) from None
    if response_format.syntax == "csv":
        records = list(infer_csv_types([record for record in records if isinstance(record, dict)]))
    if not records:
        raise FeedError(feed, SAMPLE, format_path(path), "an empty array", "at least one record")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise FeedError(
                feed, SAMPLE, f"{format_path(path)}[{index}]", describe_value(record), "an object"
            )
    if join is None:
        return records
    joined = join_records(join, records, other, MAX_RECORDS)
    if joined.unmatched == len(records):
        expected = f"records at {format_path(join.records)!r} of `joined` with the same {join.on!r}"
        source.section("join").refuse(
            "on", f"{join.on!r}, by which no record of {SAMPLE} matches a joined one", expected
        )
    return joined.records


def decode_sample(sample: bytes, join: Join | None) -> Any:
    """Return the document that contains the records; None if it is not JSON."""
    return _decode_documents(sample, join)[0]


def read_gbfs_versions(sample: bytes, join: Join | None) -> tuple[str | None, str | None]:
    """Return the GBFS version of the sample's document and of the joined one, as `read_gbfs_version`."""
    document, other = _decode_documents(sample, join)
    return read_gbfs_version(document), read_gbfs_version(other)


def _decode_documents(sample: bytes, join: Join | None) -> tuple[Any, Any]:
    try:
        document = decode_utf8(convert_to_utf8(sample))
    except ValueError:
        return None, None
    return split_response(document) if join else (document, None)


def _make_no_records_error(
    feed: str, document: Any, path: FieldPath, error: ResponseFormatError, response_format: ResponseFormat
) -> FeedError:
    found = list(find_values(document, path))
    keys = list(document) if isinstance(document, dict) else []
    hint = suggest(format_path(path), keys)
    expected = f"the path of {error.expected} ({SAMPLE} is {describe_value(document)})"
    if response_format.is_json_array:
        content = describe_value(found[0]) if found else "nothing"
        if found and isinstance(found[0], dict):
            hint = 'set keyed = "id" for an object of records by key, columnar = true for parallel arrays'
    else:
        content = "nothing" if not found else error.found
    return FeedError(
        feed, SOURCE, "key records", f"{format_path(path)!r}, where {SAMPLE} has {content}", expected, hint
    )
