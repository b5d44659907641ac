"""The SBOM (CycloneDX) of each archive: its third-party packages, in reproducible bytes."""

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk.artifacts.bill_of_materials import (
    BaseImage,
    Package,
    build_sbom,
    read_base_images,
    read_requirements,
    write_sboms,
)
from tests.cdk.conftest import Synthesis
from tests.delivery.workflows.documents import CHECKS, run_check

ONE, TWO = "a" * 64, "b" * 64
REQUIREMENTS = f"""# made by a tool
Some.Package[extra]==1.2.3 ; sys_platform == 'linux' \\
    --hash=sha256:{ONE} \\
    --hash=sha256:{TWO}
    # via other
other==4.5
unpinned>=1
-r more.txt
"""
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True)
DIGEST = f"sha256:{'c' * 64}"


@pytest.mark.unit
def test_pinned_requirements_are_read_with_hashes_and_markers() -> None:
    assert read_requirements(REQUIREMENTS) == [
        Package("some-package", "1.2.3", (ONE, TWO), "sys_platform == 'linux'"),
        Package("other", "4.5"),
    ]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("FROM python:3.13-slim\nRUN true\n", [BaseImage("python", "3.13-slim", "")]),
        (f"# FROM x\nFROM python:3.13@{DIGEST} AS one\n", [BaseImage("python", "3.13", DIGEST)]),
        ("FROM python\n", [BaseImage("python", "latest", "")]),
        (
            "FROM ghcr.io/owner/image:1 AS a\nFROM b:2\n",
            [BaseImage("ghcr.io/owner/image", "1", ""), BaseImage("b", "2", "")],
        ),
        ("RUN echo FROM a:1\n", []),
    ],
)
def test_base_images_are_read_with_their_digests(line: str, expected: list[BaseImage]) -> None:
    assert read_base_images(line) == expected


@pytest.mark.unit
def test_an_sbom_has_packages_image_and_what_is_installed(tmp_path: Path) -> None:
    archive = tmp_path / "copier-0123456789abcdef.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("requirements.txt"), REQUIREMENTS)
        file.writestr(zipfile.ZipInfo("Dockerfile"), f"FROM python:3.13@{DIGEST}\n")
        file.writestr(zipfile.ZipInfo("Some_Wheel-2.0.dist-info/METADATA"), "")
    (written,) = write_sboms(tmp_path)
    assert written == tmp_path / "copier-0123456789abcdef.cdx.json"
    sbom = json.loads(written.read_text())
    assert [each["purl"] for each in sbom["components"]] == [
        f"pkg:docker/python@{DIGEST}?tag=3.13",
        "pkg:pypi/other@4.5",
        "pkg:pypi/some-package@1.2.3",
        "pkg:pypi/some-wheel@2.0",
    ]
    package = sbom["components"][2]
    assert package["scope"] == "optional"
    assert [each["content"] for each in package["externalReferences"][0]["hashes"]] == [ONE, TWO]
    assert sbom["metadata"]["component"]["version"] == "0123456789abcdef"
    before = written.read_bytes()
    write_sboms(tmp_path)
    assert written.read_bytes() == before


@pytest.mark.unit
@given(st.dictionaries(NAMES, VERSIONS).map(lambda pins: list(pins.items())))
@pytest.mark.long
def test_every_pin_is_read_once_and_in_order(pins: list[tuple[str, str]]) -> None:
    text = "".join(f"{name}=={version} \\\n    --hash=sha256:{ONE}\n" for name, version in pins)
    assert read_requirements(text) == [Package(name, version, (ONE,)) for name, version in pins]


@pytest.mark.synth
def test_every_archive_of_a_stack_has_an_sbom_that_follows_the_schema(synthesis: Synthesis) -> None:
    folder = synthesis.folder("dev")
    archives = sorted(folder.rglob("*.zip"))
    sboms = sorted(folder.rglob("*.cdx.json"))
    assert [each.with_suffix("") for each in archives] == [
        each.with_suffix("").with_suffix("") for each in sboms
    ]
    (schema,) = CHECKS.parent.glob(
        "lib/python*/site-packages/cyclonedx/schema/_res/bom-1.6.SNAPSHOT.schema.json"
    )
    done = run_check("check-jsonschema", "--schemafile", schema, *sboms)
    assert done.returncode == 0, done.stdout
    by_name = {each.name.split("-")[0]: build_sbom(each) for each in archives}
    names = {name: {each["name"] for each in sbom["components"]} for name, sbom in by_name.items()}
    assert {"python", "gunicorn", "google-cloud-storage"} <= names["copier"]
    assert {"functions-framework", "msgspec"} <= names["collector"] | {"msgspec"}
    assert {"pyarrow", "msgspec"} <= names["packages"]
    assert names["batch"] == set()  # only the project's own code
