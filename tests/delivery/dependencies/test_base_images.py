"""Digests of base images: found, written into every Dockerfile at once, and updated.

After a failure no file is changed.
"""

from pathlib import Path

import pytest
import requests

from cdk.artifacts.bill_of_materials import BaseImage
from delivery.dependencies.base_images import find_digest, find_dockerfiles, find_unpinned, update_pins
from delivery.errors import DeliveryError

pytestmark = pytest.mark.unit
OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")


class Registry(requests.Session):
    """A fake of Docker Hub's registry, or a response of something else, such as a proxy."""

    def __init__(self, status: int = 200, digest: str = NEW, error: Exception | None = None) -> None:
        super().__init__()
        self.status, self.digest, self.error = status, digest, error
        self.requests: list[str] = []

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        self.requests.append(f"{request.method} {request.url}")
        if self.error is not None:
            raise self.error
        response = requests.Response()
        response.request, response.url = request, str(request.url)
        response.status_code = 200 if "auth" in str(request.url) else self.status
        response._content = b'{"token": "t"}'
        response.headers["Docker-Content-Digest"] = self.digest
        return response


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two Dockerfiles: one is pinned by an older digest, one is not pinned."""
    for name, base in (("copier", f"python:3.13@{OLD}"), ("dashboard", "python:3.13")):
        folder = tmp_path / "src" / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(f"# a comment\nFROM {base}\nRUN echo FROM python:3.13\n")
    return find_dockerfiles(tmp_path)


def test_pins_are_written_and_updated(files: list[Path], tmp_path: Path) -> None:
    requested: list[BaseImage] = []

    def find(image: BaseImage) -> str:
        requested.append(image)
        return NEW

    assert len(find_unpinned(files, tmp_path)) == 1
    assert update_pins(files, find) == ["copier/Dockerfile: pinned", "dashboard/Dockerfile: pinned"]
    assert requested == [BaseImage("python", "3.13", "")]
    for file in files:
        assert file.read_text() == f"# a comment\nFROM python:3.13@{NEW}\nRUN echo FROM python:3.13\n"
    assert find_unpinned(files, tmp_path) == []
    assert update_pins(files, find) == []


def test_a_base_that_is_not_pinned_is_refused_and_so_are_two_digests(
    files: list[Path], tmp_path: Path
) -> None:
    assert find_unpinned(files, tmp_path) == [
        "src/dashboard/Dockerfile: python:3.13 is not pinned by digest: run `make pin`, and commit it"
    ]
    files[1].write_text(f"FROM python:3.13@{NEW}\n")
    assert find_unpinned(files, tmp_path) == [
        "src/dashboard/Dockerfile: python:3.13 has another digest than in src/copier/Dockerfile: run `make pin`, "
        "and commit it"
    ]


def test_nothing_is_written_where_a_digest_is_not_found(files: list[Path]) -> None:
    before = [file.read_bytes() for file in files]

    def fail(_image: BaseImage) -> str:
        raise DeliveryError("no connection")

    with pytest.raises(DeliveryError, match="no connection"):
        update_pins(files, fail)
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize(("name", "path"), [("python", "library/python"), ("owner/image", "owner/image")])
def test_the_digest_of_the_image_index_is_requested(name: str, path: str) -> None:
    registry = Registry()
    assert find_digest(BaseImage(name, "3.13", ""), registry) == NEW
    assert registry.requests[1] == f"HEAD https://registry-1.docker.io/v2/{path}/manifests/3.13"


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        (Registry(status=404), "the registry responded with status 404"),
        (Registry(digest="sha256:short"), "the registry returned 'sha256:short' instead of a digest"),
        (
            Registry(error=requests.ConnectionError("x" * 900)),
            "did not respond as expected \\(ConnectionError\\)",
        ),
    ],
)
def test_a_digest_that_is_not_found_is_one_sentence(registry: Registry, expected: str) -> None:
    start = "^the digest of python:3.13 cannot be found, so no pin is changed: "
    with pytest.raises(DeliveryError, match=start + f".*{expected}") as error:
        find_digest(BaseImage("python", "3.13", ""), registry)
    assert len(str(error.value)) < 300


def test_all_dockerfiles_pin_the_same_base_or_none() -> None:
    """No base image is pinned before the first `make pin`, which needs Docker Hub; afterwards every one must be."""
    files = find_dockerfiles()
    assert [file.parent.name for file in files] == ["copier", "dashboard"]
    pinned = [f"@{'sha256:'}" in file.read_text() for file in files]
    assert all(pinned) or not any(pinned), find_unpinned(files)
    assert not any(pinned) or find_unpinned(files) == []
