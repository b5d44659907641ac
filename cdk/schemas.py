"""JSON Schemas of the TOML files, generated from the code that reads them: `python -m cdk.schemas` writes both.

Editors complete and check a file with the line `#:schema PATH` at its top. A schema has names and types; rules that
depend on other keys or on the sample are checked when the file is read.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from cdk.settings import EnvironmentFile
from feed.model import EPOCH_UNITS, ON_MISMATCH, SCALAR_TYPES, Common
from feed.naming import RESERVED_NAMES
from feed.parsing.response_format import FORMATS
from feed.source.column_rules import RULES
from feed.source.folder import SOURCE_KEYS

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "schemas"
DIALECT = "http://json-schema.org/draft-07/schema#"  # what editors' TOML plugins support
ROW = re.compile(r"^\| `([\w.]+)` \| (.+?) \| (.+?) \|", re.MULTILINE)
FEED_ROW = re.compile(r"^\| ((?:`[^`]+`(?:, )?)+) \| (.*) \|$", re.MULTILINE)

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
MINUTES: Schema = {"type": "integer", "minimum": 0, "maximum": 60 * 24 * 366}


def build_environment_schema(page: str) -> Schema:
    """Return the schema of environments/*.toml, with the descriptions of `page`, the text of docs/settings.md."""
    found = msgspec.json.schema(EnvironmentFile)
    definitions = found["$defs"]
    root = definitions.pop(EnvironmentFile.__name__)
    for part in page.split("## Variables", maxsplit=1)[0].split("\n## ")[1:]:
        section = re.match(r"`\[(\w+)\]`", part)
        above = ""
        for key, decides, written in ROW.findall(part):
            above = accepted = written.replace("as above", above)
            path = [*([section[1]] if section else []), *key.split(".")]
            _describe(
                root, definitions, path, f"{_strip_markdown(decides)}; accepted: {_strip_markdown(accepted)}"
            )
    return {
        "$schema": DIALECT,
        "title": "An environment of vlille",
        **_untitled(root),
        "definitions": definitions,
    }


def build_source_schema(page: str) -> Schema:
    """Return the schema of sources/*/source.toml, with the descriptions of `page`, the text of docs/feeds.md."""
    described = {
        name.strip("[]"): _strip_markdown(meaning)
        for names, meaning in FEED_ROW.findall(page)
        for name in re.findall(r"`([^`]+)`", names)
    }
    properties = {key: _SOURCE[key] | {"description": described[key]} for key in SOURCE_KEYS}
    return {
        "$schema": DIALECT,
        "title": "A feed of vlille",
        "$comment": f"The folder's name is the table's: none of {', '.join(sorted(RESERVED_NAMES))}.",
        "type": "object",
        "properties": properties,
        "required": ["url"],
        "additionalProperties": False,
    }


def render_schema(schema: Schema) -> str:
    """Return the text of a schema's file."""
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    return text.replace("#/$defs/", "#/definitions/") + "\n"


def render_all() -> dict[str, str]:
    """Return the text of every schema by the name of its file below docs/schemas."""
    settings, feeds = ((ROOT / "docs" / name).read_text("utf-8") for name in ("settings.md", "feeds.md"))
    return {
        "environment.json": render_schema(build_environment_schema(settings)),
        "source.json": render_schema(build_source_schema(feeds)),
    }


def _describe(root: Schema, definitions: Mapping[str, Schema], path: list[str], text: str) -> None:
    """Add a description to the property at `path`, through references to other definitions."""
    *sections, key = path
    node = root
    for section in sections:
        alternatives = node["properties"].get(section, {})
        references = [each["$ref"] for each in alternatives.get("anyOf", [alternatives]) if "$ref" in each]
        if len(references) != 1:  # a table whose keys are the user's own
            return
        node = definitions[references[0].rpartition("/")[2]]
    if key in node["properties"]:
        node["properties"][key]["description"] = text


def _untitled(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "title"}


def _strip_markdown(text: str) -> str:
    """Return the plain text of Markdown."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text.replace("**", ""))


def _table(of: Schema) -> Schema:
    """Return the schema of a table whose keys are the user's own."""
    return {"type": "object", "additionalProperties": of}


def _closed(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_CHOICE = {"enum": list(ON_MISMATCH)}
_RANGE: Schema = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_PARAMETERS = _table({"anyOf": [TEXT, _closed(secret=TEXT) | {"required": ["secret"]}]})
_CONDITION = _closed(column=TEXT, equals={}) | {"required": ["column"]}
_RULE_VALUES: dict[str, Schema] = {
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "not_in_future": {"type": "boolean"},
    "not_before": {},  # a date or a time of TOML, for which JSON Schema has no type
}
_SOURCE: dict[str, Schema] = {
    **dict.fromkeys(
        ("title", "url", "licence", "description", "records", "timezone", "key", "encoding", "total"), TEXT
    ),
    **dict.fromkeys(("keyed", "header"), TEXT),
    **dict.fromkeys(("lift", "ignore", "order", "nulls"), TEXTS),
    **dict.fromkeys(("stale_minutes", "frozen_minutes"), MINUTES),
    **dict.fromkeys(("rename", "columns", "descriptions"), _table(TEXT)),
    **dict.fromkeys(("query", "headers"), _PARAMETERS),
    "format": {"enum": list(FORMATS)},
    "delimiter": TEXT | {"minLength": 1, "maxLength": 1},
    "columnar": {"type": "boolean"},
    "empty": {"enum": ["error", "ok"]},
    "on_mismatch": _CHOICE,
    "types": _table(
        {
            "anyOf": [
                {"enum": list(SCALAR_TYPES)},
                _closed(
                    type={"enum": list(SCALAR_TYPES)},
                    unit={"enum": list(EPOCH_UNITS)},
                    zone=TEXT,
                    decimal={"const": ","},
                    format=TEXT,
                ),
            ]
        }
    ),
    "common": _closed(
        **{field.name: TEXT for field in fields(Common)} | {"is_operational": {"anyOf": [TEXT, _CONDITION]}}
    ),
    "bounds": _closed(latitude=_RANGE, longitude=_RANGE),
    "rules": _table(_closed(on_mismatch=_CHOICE, **{name: _RULE_VALUES[name] for name in RULES})),
    "legacy": _closed(pattern=TEXT, timezone=TEXT, times=TEXTS),
    "join": _closed(url=TEXT, on=TEXT, records=TEXT),
    "paging": _closed(
        **dict.fromkeys(("limit", "offset", "page", "next"), TEXT),
        size={"type": "integer", "minimum": 0, "maximum": 50_000},
        max_requests={"type": "integer", "minimum": 0, "maximum": 100},
    ),
}


def main() -> None:
    """Write every schema."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in render_all().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
