"""docs/feeds.md is run, docs/data-dictionaries.md is compared; the package stays what it promises to be."""

import ast
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feed import Feed, FeedError, load_feed, parse_response
from feed.__main__ import insert_dictionaries, main

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "feeds.md"
PACKAGE = ROOT / "src" / "feed"


def test_the_dictionaries_are_those_of_the_folders(feeds: dict[str, Feed]) -> None:
    text = (ROOT / "docs" / "data-dictionaries.md").read_text("utf-8")
    assert text == insert_dictionaries(text, feeds.values()), (
        "docs/data-dictionaries.md: run `make references`"
    )


def test_the_documents_example_works(tmp_path: Path) -> None:
    text = DOCUMENT.read_text("utf-8")
    folder = tmp_path / "tram_stops"
    folder.mkdir()
    example = text[text.index("### A whole example") : text.index("## What source.toml says")]
    for language, name in (("json", "sample.json"), ("toml", "source.toml")):
        (block,) = re.findall(rf"```{language}\n(.*?)```", example, re.DOTALL)
        (folder / name).write_text(block, "utf-8")
    feed = load_feed(folder)
    sentence = re.search(r"The table, after `collected_at`: (.*?)\n\n", text, re.DOTALL)
    assert sentence
    kinds = {"STRING": "", "FLOAT": "", "INTEGER": " (INTEGER)", "TIMESTAMP": " (TIMESTAMP)"}
    columns = [
        f"`{c.name}`" + (" (REPEATED STRING)" if c.mode == "REPEATED" else kinds[c.type])
        for c in feed.columns
    ]
    assert " ".join(sentence[1].split()) == ", ".join(columns) + "."
    outcome = parse_response(feed, feed.sample, datetime(2023, 10, 26, 20, 50, tzinfo=UTC))
    assert (len(outcome.rows), outcome.rejections, outcome.drifts) == (2, (), ())
    assert outcome.rows[1]["lines"] == []


def test_the_documents_rules_are_rules(make_feed: Callable[..., Feed]) -> None:
    text = DOCUMENT.read_text("utf-8")
    rules = text[text.index("### What a mismatch rejects") : text.index("### Schema drift")]
    blocks = re.findall(r"```toml\n(.*?)```", rules, re.DOTALL)
    record = {"id": 1, "num_bikes_available": 3, "state": "OPEN", "last_reported": "2023-10-26T20:50:00Z"}
    feeds = [make_feed([record], f'key = "id"\n{block}') for block in blocks]
    assert [{c.name: c.on_mismatch for c in feed.columns} for feed in feeds] == [
        {"id": "row", "num_bikes_available": "row", "state": "response", "last_reported": "value"},
        {"id": "row", "num_bikes_available": "value", "state": "value", "last_reported": "value"},
    ]
    assert [column.name for column in feeds[1].columns if column.rule] == [
        "num_bikes_available",
        "last_reported",
    ]


def test_every_key_of_source_toml_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    folder = ROOT / "sources" / "vlille_ods"
    with pytest.raises(FeedError) as error:
        _load_with_unknown_key(folder)
    keys = error.value.expected.removeprefix("one of ").split(", ")
    table = text[text.index("## What source.toml says") : text.index("## From sample to columns")]
    assert [key for key in keys if f"`{key}`" not in table and f"`[{key}]`" not in table] == []


def _load_with_unknown_key(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / folder.name
        copy.mkdir()
        (copy / "sample.json").write_bytes((folder / "sample.json").read_bytes())
        (copy / "source.toml").write_text(
            "unknown = 1\n" + (folder / "source.toml").read_text("utf-8"), "utf-8"
        )
        load_feed(copy)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT / "sources" / "vlille_ogc")]) == 0
    assert capsys.readouterr().out.startswith("### `vlille_ogc`: ")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
    assert main([str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err.startswith(
        f"{tmp_path / 'nowhere'}: no such file or folder; expected a feed's folder"
    )
    file = ROOT / "sources" / "vlille_ogc" / "source.toml"
    assert main([str(file)]) == 1
    assert (
        capsys.readouterr().err
        == f"{file}: found a file; expected a feed's folder or docs/data-dictionaries.md\n"
    )
    assert main([str(tmp_path)]) == 1
    document = tmp_path / "docs" / "data-dictionaries.md"
    document.parent.mkdir()
    (tmp_path / "sources" / "invented").mkdir(parents=True)
    (tmp_path / "sources/invented/source.toml").write_text("url = 'https://api.example'\nrecords = ''")
    (tmp_path / "sources/invented/sample.json").write_text(json.dumps([{"a": 1}]))
    document.write_text(
        "before\n<!-- data dictionaries: begin -->\nold\n<!-- data dictionaries: end -->\nafter\n"
    )
    assert main([str(document)]) == 0
    once = document.read_text()
    assert "old" not in once
    assert "| `a` | INTEGER |" in once
    assert (once.startswith("before\n"), once.endswith("\nafter\n")) == (True, True)
    assert main([str(document)]) == 0
    assert document.read_text() == once
    document.write_text("no markers")
    assert main([str(document)]) == 1
    assert "the document has no markers for the dictionaries" in capsys.readouterr().err


def test_standard_library_only() -> None:
    imported = {
        name.split(".")[0]
        for path in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"feed"}


def test_syntax_of_python_3_11() -> None:
    """Dataproc's image has Python 3.11."""
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--target-version", "py311"]
    done = subprocess.run(
        [*ruff, "--select", "E9", str(PACKAGE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
