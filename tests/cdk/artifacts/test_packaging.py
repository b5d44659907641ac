"""Archives: their bytes depend only on the names and contents of their files."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk.artifacts.packaging import Artifact, PackagingError, read_tree, zip_files

pytestmark = pytest.mark.unit

NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}\.py", fullmatch=True)


def entries(content: bytes) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.infolist()


def test_entries_are_sorted_dated_1980_and_plain_files() -> None:
    made = entries(zip_files({"b.py": b"2", "a/c.py": b"1"}))
    assert [entry.filename for entry in made] == ["a/c.py", "b.py"]
    assert {entry.date_time for entry in made} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in made} == {0o100644}
    assert {entry.create_system for entry in made} == {3}


def test_the_bytes_are_those_of_every_machine() -> None:
    artifact = Artifact("collector", zip_files({"main.py": b"print()\n"}, compress=False))
    assert artifact.sha256 == "a1afa5b155773bc87c1b1cbd311746f4f7de050900e229f858c2e3313a95e5db"
    assert artifact.file_name == f"collector-{artifact.sha256[:16]}.zip"


@given(files=st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=6))
@pytest.mark.long
def test_what_goes_in_comes_out_in_whatever_order_it_was_given(files: dict[str, bytes]) -> None:
    content = zip_files(files)
    assert zip_files(dict(reversed(files.items()))) == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


@given(
    files=st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=4), other=st.binary(max_size=20)
)
@pytest.mark.long
def test_one_other_byte_or_name_is_another_archive(files: dict[str, bytes], other: bytes) -> None:
    name, content = next(iter(files.items()))
    renamed = {("z" * 9 + ".py" if each == name else each): value for each, value in files.items()}
    assert zip_files(renamed) != zip_files(files)
    assert (zip_files(files | {name: other}) == zip_files(files)) == (other == content)


@pytest.mark.parametrize("name", ["/etc/passwd", "../up.py", "a/../../up.py", "a\\b.py"])
def test_a_name_that_would_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(PackagingError, match="not a relative path inside the artifact"):
        zip_files({name: b""})


def test_only_sources_are_read_from_a_folder(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", "b/__pycache__/c.cpython-313.pyc", ".DS_Store", "a.py.swp", "b/notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert read_tree(tmp_path, under="x/") == {
        "x/a.py": b"a.py",
        "x/b/c.py": b"b/c.py",
        "x/b/notes.md": b"b/notes.md",
    }
    assert set(read_tree(tmp_path, only=[".py"])) == {"a.py", "b/c.py"}


def test_times_and_modes_leave_no_trace(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"1")
    before = zip_files(read_tree(tmp_path))
    os.utime(tmp_path / "a.py", (1_000_000_000, 1_000_000_000))
    (tmp_path / "a.py").chmod(0o755)
    assert zip_files(read_tree(tmp_path)) == before


@pytest.mark.parametrize(("folder", "words"), [("missing", "no folder"), ("empty", "nothing to package")])
def test_nothing_to_package_is_an_error(tmp_path: Path, folder: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackagingError, match=words):
        read_tree(tmp_path / folder)
