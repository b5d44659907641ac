"""Archives of code compared by file, by line and by required version; hostile archives within limits."""

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review.code.archive_comparison import compare_archives
from review.findings.text import strip_markup
from review.plan import archives
from review.plan.archives import Archive, find_artifact, read_artifact

pytestmark = pytest.mark.unit

Files = Mapping[str, str | bytes]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def summarize_changes(old: Files, new: Files) -> str:
    return strip_markup(
        compare_archives(
            read_artifact("a.zip", zipped(old)), read_artifact("b.zip", zipped(new)), str
        ).summary
    )


HASHES = " \\\n    --hash=sha256:"
CASES: list[tuple[str, Files, Files, str]] = [
    ("the same", {"a.py": "x"}, {"a.py": "x"}, "no file differs"),
    ("one line", {"a.py": "x\ny\n"}, {"a.py": "x\nz\n"}, "a.py (+1 −1)"),
    ("moved lines", {"a.py": "x\ny\n"}, {"a.py": "y\nx\n"}, "a.py (+0 −0)"),
    ("added and removed", {"a.py": "x"}, {"b.py": "x"}, "a.py removed, b.py added"),
    ("added", {"a.py": "x"}, {"a.py": "x", "b.py": "x"}, "b.py added"),
    ("removed", {"a.py": "x", "b.py": "x"}, {"a.py": "x"}, "b.py removed"),
    ("binary", {"a.bin": b"\0\1"}, {"a.bin": b"\0\2"}, "a.bin (binary)"),
    (
        "requirements",
        {"requirements.txt": f"requests==2.31.0{HASHES}aa\nflask==3.0\ngone>=1\n"},
        {
            "requirements.txt": f"requests==2.32.0{HASHES}bb\nflask==3.0\nnew[extra]==1.0 ; python_version > '3'\n"
        },
        "requirements.txt (+3 −3); requirements: gone >=1 is removed, new 1.0 is added, requests 2.31.0 → 2.32.0",
    ),
    (
        "installed packages",
        {"pyarrow-19.0.dist-info/METADATA": "v1", "pyarrow/x.py": "1"},
        {"pyarrow-20.0.dist-info/METADATA": "v2", "pyarrow/x.py": "2"},
        "pyarrow-19.0.dist-info/METADATA removed, pyarrow-20.0.dist-info/METADATA added, pyarrow/x.py (+1 −1); "
        "requirements: pyarrow 19.0 → 20.0",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_differs_between_two_archives_is_reported(old: Files, new: Files, expected: str) -> None:
    assert summarize_changes(old, new) == expected


def test_the_line_that_changes_is_shown_with_its_surroundings() -> None:
    old = "".join(f"line {number}\n" for number in range(1, 30))
    found = compare_archives(
        read_artifact("a", zipped({"a.py": old})),
        read_artifact("b", zipped({"a.py": old.replace("line 20\n", "line twenty\n")})),
        str,
    )
    assert found.files[0].lines == (
        "@@ -18,5 +18,5 @@", " line 18", " line 19", "-line 20", "+line twenty", " line 21", " line 22",
    )  # fmt: skip


def test_a_single_file_named_by_its_content_is_compared_all_the_same() -> None:
    found = compare_archives(
        read_artifact("x/main-aa.py", b"a\n"), read_artifact("x/main-bb.py", b"b\n"), str
    )
    assert strip_markup(found.summary) == "main-bb.py (+1 −1)"
    assert found.files[0].lines[1:] == ("-a", "+b")


def test_a_secret_in_code_is_masked_before_it_is_cut_into_lines() -> None:
    found = compare_archives(
        read_artifact("a", zipped({"a.py": "key = 1"})),
        read_artifact("b", zipped({"a.py": "key = 'one\ntwo'"})),
        lambda text: text.replace("one\ntwo", "HIDDEN"),
    )
    assert found.files[0].lines[1:] == ("-key = 1", "+key = 'HIDDEN'")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (zipped({"a": "x"})[:-8], "its file list is truncated"),
        (b"PK\x03\x04 and nothing else", "its file list is truncated"),
        (zipped({"a": "x"}).replace(b"PK\x01\x02", b"PK\x09\x09"), "it is not a readable zip archive"),
        (
            zipped({"a": "x"})[:-10] + struct.pack("<I", 2**31) + zipped({"a": "x"})[-6:],
            "more files than the limit",
        ),
    ],
    # The bytes of an archive contain its creation time, so the test names would differ between workers.
    ids=["end cut off", "beginning only", "damaged list", "a list of two thousand million"],
)
def test_a_damaged_archive_is_reported_as_damaged(content: bytes, problem: str) -> None:
    found = read_artifact("a.zip", content)
    assert problem in found.problem
    assert "cannot be read" in compare_archives(found, read_artifact("b", zipped({})), str).summary


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_FILE", 1000)
    bomb = zipped({"a.py": b"0" * 10_000_000, "b.py": b"1"})
    lying = bytearray(bomb)
    at = bomb.index(b"PK\x01\x02")
    lying[at + 24 : at + 28] = struct.pack("<I", 10)  # the size in the zip's directory
    for content in (bomb, bytes(lying)):
        found = read_artifact("a.zip", content)
        assert found.files["a.py"].content is None
        assert found.files["b.py"].content == b"1"


def test_the_unpacked_size_of_an_archive_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_READ", 50)
    found = read_artifact("a.zip", zipped({f"{index}.py": "x" * 20 for index in range(10)}))
    assert sum(len(each.content or b"") for each in found.files.values()) <= 50
    assert len(found.files) == 10


def test_a_name_that_is_in_an_archive_twice_is_reported() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.py", "harmless")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.py", "not so")
    found = compare_archives(
        read_artifact("a", zipped({"a.py": "x"})), read_artifact("b", buffer.getvalue()), str
    )
    assert "duplicate entries: a.py" in strip_markup(found.summary)


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "/etc/passwd",
        ".env",
        "a/.git/config",
        "x.tfstate",
        "x.tfstate.backup",
        "secrets.tfvars",
        "link",
        "folder",
        "missing",
        "",
        "nul\0",
    ],
)
def test_nothing_is_read_but_artifacts_below_the_folder(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "a/.git").mkdir(parents=True)
    (root / "folder").mkdir()
    (tmp_path / "outside.txt").write_text("no")
    for name in (".env", "a/.git/config", "x.tfstate", "x.tfstate.backup", "secrets.tfvars", "good.zip"):
        (root / name).write_text("no")
    (root / "link").symlink_to(tmp_path / "outside.txt")
    assert find_artifact((root,), path) is None
    assert find_artifact((tmp_path / "nowhere", root), "good.zip") == b"no"
    assert find_artifact((root,), str(root / "good.zip")) == b"no"


TEXTS = st.dictionaries(
    st.sampled_from(["a.py", "b.py", "requirements.txt"]), st.text(max_size=30), max_size=3
)


@given(TEXTS, TEXTS)
@pytest.mark.long
def test_exactly_the_files_that_differ_are_reported(old: dict[str, str], new: dict[str, str]) -> None:
    found = compare_archives(read_artifact("a", zipped(old)), read_artifact("b", zipped(new)), str)
    differing = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    assert {each.name for each in found.files} == differing


@given(st.binary(max_size=200), st.integers(0, 400), st.binary(max_size=4))
def test_no_archive_raises(content: bytes, at: int, put: bytes) -> None:
    good = zipped({"a.py": content, "b.py": "x"})
    found = read_artifact("a.zip", good[:at] + put + good[at + len(put) :])
    assert isinstance(found, Archive)
    compare_archives(found, read_artifact("b.zip", good), str)
