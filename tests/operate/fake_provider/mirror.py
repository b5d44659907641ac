"""A folder of providers, as `terraform providers mirror` lays it out, which has the fake provider alone."""

import json
import platform
import shlex
from pathlib import Path

from operate.deployment.adoption import LISTED, LOOKUPS
from tests.operate.fake_provider.schema import read_schemas

VERSION = "6.50.0"
REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")  # by which of the two looks for it
PROGRAM = Path(__file__).with_name("provider.py")


def create_mirror(folder: Path, python: Path, stack: Path) -> Path:
    """Return the mirror for what a stack (a `cdk.tf.json`) uses; `documents` of resources go beside it.

    `python` is one that has the package `tf`. `pids` beside it are those of Terraform and of the provider it runs.
    """
    used = json.loads(stack.read_text())
    schemas = folder / "schemas.json"
    read = read_schemas(_google(used["resource"]), _google(used.get("data", {})))
    schemas.write_text(json.dumps(read | {"ids": import_ids()}))
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    # Its package keeps a certificate below HOME; who started it last is told for those who kill both.
    argv = ["env", f"HOME={folder}", python, PROGRAM, schemas, folder / "documents"]
    pids = shlex.quote(str(folder / "pids"))
    for registry in REGISTRIES:
        target = f"{registry}/hashicorp/google/{VERSION}/{platform.system().lower()}_{machine}"
        program = folder / "mirror" / target / f"terraform-provider-google_v{VERSION}_x5"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho $PPID $$ > {pids}\nexec {shlex.join(map(str, argv))}\n")
        program.chmod(0o755)
    return folder / "mirror"


def import_ids() -> dict[str, str]:
    """The pattern of a type's import ID, made of its arguments."""
    numbered = {
        kind: f"projects/{{project}}/{collection}/{{display_name}}" for kind, collection in LISTED.items()
    }
    return {kind: way.id or way.path for kind, way in LOOKUPS.items()} | numbered


def _google(types: dict[str, object]) -> list[str]:
    return [each for each in types if each.startswith("google_")]
