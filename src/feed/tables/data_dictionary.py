"""Describe a feed's table for people."""

from dataclasses import fields

from feed.model import COLLECTED_AT, Column, Common, Condition, Feed
from feed.paths import format_path


def render_data_dictionary(feed: Feed) -> str:
    """Return the description of a feed's table as Markdown."""
    about = [f"### `{feed.name}`: {feed.title}", ""]
    if feed.description:
        about += [feed.description, ""]
    about += [f"- Source: <{feed.url}>" + (f" ({feed.licence})" if feed.licence else "")]
    about += [f"- Key: `{feed.key}`" if feed.key else "- Key: none, so duplicates are kept"]
    about += ["", "| Column | Type | In the response | Common name | Meaning |", "|---|---|---|---|---|"]
    common = _describe_common_names(feed.common)
    rows = [_render_dictionary_row(column, "", common) for column in (COLLECTED_AT, *feed.columns)]
    return "\n".join([*about, *(line for lines in rows for line in lines)]) + "\n"


def _describe_common_names(common: Common) -> dict[str, str]:
    names: dict[str, list[str]] = {}
    for field in fields(common):
        mapped = getattr(common, field.name)
        if isinstance(mapped, Condition):
            values = " or ".join(f"`{value}`" for value in mapped.equals)
            names.setdefault(mapped.column, []).append(f"`{field.name}` when {values}")
        elif mapped:
            names.setdefault(mapped, []).append(f"`{field.name}`")
    return {column: ", ".join(each) for column, each in names.items()}


def _render_dictionary_row(column: Column, parent: str, common: dict[str, str]) -> list[str]:
    name = parent + column.name
    kind = f"{column.type} (REPEATED)" if column.mode == "REPEATED" else column.type
    source = f"`{format_path(column.path)}`" if column.path else "the tick"
    notes = [column.description] if column.description else []
    if column.unit:
        notes.append(f"Given in {column.unit} since 1970")
    if column.zone:
        notes.append(f"Local times are of {column.zone}")
    if not column.observed:
        notes.append("Only null in the sample, hence STRING")
    cells = (f"`{name}`", kind, source, common.get(name, ""), ". ".join(notes))
    row = "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    return [
        row,
        *(line for each in column.fields for line in _render_dictionary_row(each, f"{name}.", common)),
    ]
