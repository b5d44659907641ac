"""The shapes of docs/feeds.md: each a folder of sources/ made of its two blocks."""

import re
from pathlib import Path

_DOCUMENT = (Path(__file__).parents[2] / "docs" / "feeds.md").read_text("utf-8")
_SHAPES = _DOCUMENT[_DOCUMENT.index("## Shapes of responses") : _DOCUMENT.index("## When a response is not")]
# Title → the sample's format, the sample, and source.toml.
EXAMPLES = {
    title: (kind, sample, toml)
    for title, kind, sample, toml in re.findall(
        r"### ([^\n]+)\n.*?```(json|csv|ndjson)\n(.*?)```\n\n```toml\n(.*?)```", _SHAPES, re.DOTALL
    )
}
# Title → a name for its folder and its table.
NAMES = {
    "GBFS 2.3: station_status": "gbfs_2",
    "GBFS 2.3: station_status joined with station_information": "joined",
    "GBFS 3.0: station_information, a name chosen by language": "gbfs_3",
    "A list with an API key: JCDecaux": "api_key",
    "A list of key/value pairs: TfL": "pairs",
    "An object of records by key": "by_key",
    "Parallel arrays: Open-Meteo": "columnar",
    "Rows as arrays, with their names beside them": "with_header",
    "Records below nested arrays": "below_arrays",
    "CSV with a header": "csv_table",
    "Pages: Opendatasoft v2.1": "pages",
    "NDJSON": "lines",
}


def write_example(title: str, folder: Path) -> Path:
    """The folder, made of the example of that title."""
    kind, sample, toml = EXAMPLES[title]
    return write_folder(folder, kind, sample, toml)


def write_folder(folder: Path, kind: str, sample: str, toml: str) -> Path:
    """A feed's folder of a sample in that format, and of its source.toml."""
    folder.mkdir()
    (folder / f"sample.{kind}").write_text(sample, "utf-8")
    (folder / "source.toml").write_text(toml, "utf-8")
    return folder
