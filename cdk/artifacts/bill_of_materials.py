"""Write an SBOM (software bill of materials; CycloneDX 1.6, JSON) beside each deployed archive.

It lists what the archive contains: the pinned requirements that Google's builders install, the base image of a
Dockerfile, or the packages of the batch. The same archive gives the same bytes.
https://cyclonedx.org/docs/1.6/json/
"""

import hashlib
import json
import re
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIX = ".cdx.json"
_REQUIREMENT = re.compile(
    r"([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;]+)\s*(?:;\s*(.*?))?\s*(?:--hash.*|#.*)?$"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_FROM = re.compile(
    r"^FROM\s+(?P<name>[^\s:@]+)(?::(?P<tag>[^\s@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?", re.M
)
_INSTALLED = re.compile(r"([^/]+)-([^/-]+)\.dist-info/METADATA")
_SAME = re.compile(r"[-_.]+")


@dataclass(frozen=True)
class Package:
    """A pinned Python package of the index; with a `marker`, only some platforms install it."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()  # SHA-256 of each of its files that may be installed
    marker: str = ""


@dataclass(frozen=True)
class BaseImage:
    """The base image of a Dockerfile; `digest` is `sha256:…`, empty if only the tag is given."""

    name: str
    tag: str
    digest: str


def read_requirements(text: str) -> list[Package]:
    """Return the packages that a file pins with `==`, in its order; names as the index normalizes them."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if match := _REQUIREMENT.match(line):
            name, version, marker = match.groups(default="")
            found.append(Package(_normalize_name(name), version, tuple(_HASH.findall(line)), marker))
    return found


def read_base_images(dockerfile: str) -> list[BaseImage]:
    """Return the images of a Dockerfile's FROM lines."""
    return [
        BaseImage(each["name"], each["tag"] or "latest", each["digest"] or "")
        for each in _FROM.finditer(dockerfile)
    ]


def write_sboms(folder: Path) -> list[Path]:
    """Write the SBOM of each zip under a folder, next to the zip, and return the files."""
    written = []
    for archive in sorted(folder.rglob("*.zip")):
        file = archive.with_suffix(SUFFIX)
        file.write_text(json.dumps(build_sbom(archive), indent=1, sort_keys=True) + "\n", "utf-8")
        written.append(file)
    return written


def build_sbom(archive: Path) -> dict[str, Any]:
    """Return the SBOM of a zip, whose name is `<name>-<digest>.zip`."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
        text = {
            name: opened.read(name).decode() for name in ("requirements.txt", "Dockerfile") if name in names
        }
    packages = [_describe_package(each) for each in read_requirements(text.get("requirements.txt", ""))]
    packages += [_describe_package(each) for each in _list_installed(names)]
    images = [_describe_image(each) for each in read_base_images(text.get("Dockerfile", ""))]
    by_reference = {each["bom-ref"]: each for each in images + packages}
    components = [by_reference[each] for each in sorted(by_reference)]
    name, _, short = archive.stem.rpartition("-")
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": archive.name,
                "name": name,
                "version": short,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        },
        "components": components,
        "dependencies": [{"ref": archive.name, "dependsOn": sorted(by_reference)}],
    }


def _list_installed(names: Iterable[str]) -> Iterator[Package]:
    for name in sorted(names):
        if match := _INSTALLED.fullmatch(name):
            yield Package(_normalize_name(match[1]), match[2])


def _describe_package(package: Package) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name}@{package.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    }
    if package.marker:
        component |= {"scope": "optional", "properties": [{"name": "python:marker", "value": package.marker}]}
    if package.hashes:  # of its files, any of which may be the one that is installed
        url = f"https://pypi.org/project/{package.name}/{package.version}/"
        hashes = [{"alg": "SHA-256", "content": each} for each in package.hashes]
        component["externalReferences"] = [{"type": "distribution", "url": url, "hashes": hashes}]
    return component


def _describe_image(image: BaseImage) -> dict[str, Any]:
    purl = f"pkg:docker/{image.name}@{image.digest or image.tag}" + (
        f"?tag={image.tag}" if image.digest else ""
    )
    return {"type": "container", "bom-ref": purl, "name": image.name, "version": image.tag, "purl": purl}


def _normalize_name(name: str) -> str:
    """Return a name as https://packaging.python.org/en/latest/specifications/name-normalization/ has it."""
    return _SAME.sub("-", name).lower()
