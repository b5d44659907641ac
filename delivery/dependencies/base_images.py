"""The base images of the Dockerfiles, pinned by digest: `make pin` writes or updates the digests.

A tag can be moved to another image, a digest cannot. The digest is that of the tag's image index, which has an image
for each CPU architecture. https://distribution.github.io/distribution/spec/api/#digest-header
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import requests

from cdk.artifacts.bill_of_materials import BaseImage, read_base_images
from delivery.errors import DeliveryError

ROOT = Path(__file__).parents[2]
REGISTRY = "https://registry-1.docker.io"
TOKENS = "https://auth.docker.io/token"
TIMEOUT_S = 30
INDEXES = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def find_dockerfiles(root: Path = ROOT) -> list[Path]:
    """Return the Dockerfiles of the workloads."""
    return sorted(root.glob("src/*/Dockerfile"))


def find_unpinned(files: Iterable[Path], root: Path = ROOT) -> list[str]:
    """Return a message for each base image without a digest, and for each that two files pin differently."""
    found: list[str] = []
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for file in files:
        path = str(file.relative_to(root))
        for image in read_base_images(file.read_text("utf-8")):
            if not image.digest:
                found.append(
                    f"{path}: {image.name}:{image.tag} is not pinned by digest: run `make pin`, and commit it"
                )
                continue
            digest, other = known.setdefault((image.name, image.tag), (image.digest, path))
            if digest != image.digest:
                what = f"{image.name}:{image.tag} has another digest than in {other}"
                found.append(f"{path}: {what}: run `make pin`, and commit it")
    return found


def update_pins(files: Iterable[Path], find_digest: Callable[[BaseImage], str]) -> list[str]:
    """Write the current digest of each base image's tag into each file; return a line for each change.

    Nothing is written unless all digests are known. Raises DeliveryError.
    """
    texts = {file: file.read_text("utf-8") for file in files}
    images = {image for text in texts.values() for image in read_base_images(text)}
    digests = {
        tag: find_digest(BaseImage(*tag, "")) for tag in sorted({(each.name, each.tag) for each in images})
    }
    changed = []
    for file, before in texts.items():
        after = before
        for image in read_base_images(before):
            digest = digests[image.name, image.tag]
            tag = f"{image.name}:{image.tag}"
            old = f"{tag}@{image.digest}" if image.digest else tag
            after = re.sub(rf"(?m)^(FROM\s+){re.escape(old)}(?=\s|$)", rf"\g<1>{tag}@{digest}", after)
        if after != before:
            file.write_text(after, "utf-8")
            changed.append(f"{file.parent.name}/{file.name}: pinned")
    return changed


def find_digest(image: BaseImage, session: requests.Session) -> str:
    """Return the digest that Docker Hub's registry has for a tag now. Raises DeliveryError."""
    repository = image.name if "/" in image.name else f"library/{image.name}"
    what = f"the digest of {image.name}:{image.tag} cannot be found, so no pin is changed"
    try:
        scope = {"service": "registry.docker.io", "scope": f"repository:{repository}:pull"}
        granted = session.get(TOKENS, params=scope, timeout=TIMEOUT_S)
        granted.raise_for_status()
        response = session.head(
            f"{REGISTRY}/v2/{repository}/manifests/{image.tag}",
            headers={"Accept": INDEXES, "Authorization": f"Bearer {granted.json()['token']}"},
            timeout=TIMEOUT_S,
        )
        response.raise_for_status()
    except requests.HTTPError as error:
        raise DeliveryError(
            f"{what}: the registry responded with status {error.response.status_code}"
        ) from None
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise DeliveryError(
            f"{what}: registry-1.docker.io did not respond as expected ({type(error).__name__}); check this "
            "host's connection and proxy, then run `make pin` again"
        ) from None
    digest = response.headers.get("Docker-Content-Digest", "")
    if not DIGEST.fullmatch(digest):
        raise DeliveryError(f"{what}: the registry returned {digest[:80]!r} instead of a digest")
    return digest


def main() -> int:
    """Update the pins and return the exit status."""
    with requests.Session() as session:
        try:
            changed = update_pins(find_dockerfiles(), lambda image: find_digest(image, session))
        except DeliveryError as error:
            print(error, file=sys.stderr)
            return 1
    print("\n".join(changed) or "every base image is pinned by the digest that its tag has now")
    return 0


if __name__ == "__main__":
    sys.exit(main())
