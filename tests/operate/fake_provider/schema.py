"""The google provider's schema, read from the installed bindings.

They were generated from it, and the source map of each of their modules still holds what they were generated to: a
comment for every argument (`name - computed: true, optional: true, required: false`), then its declaration.
"""

import base64
import json
import re
import tarfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BINDINGS = "cdktf_cdktf_provider_google"
MODULE = re.compile(r"package/lib/([\w-]+)/index\.js")
SOURCE_MAP = re.compile(rb"sourceMappingURL=data:application/json;base64,([\w+/=]+)")
CLASS = re.compile(r"^export class (\w+) extends cdktf\.\w+ \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(
    r"// (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n(.*?)(?=\n  // |\Z)", re.DOTALL
)
NESTED = re.compile(r'= new (\w+?)(OutputReference|List)\(this, "\w+"(?:, (true|false))?\)')
PARENT = re.compile(r"super\(terraformResource, terraformAttribute, (true|false)(, 0)?\)")
# How a declaration reads what is no block → its type, as Terraform writes it.
TYPES: dict[str, Any] = {
    "Fn.tolist(this.getListAttribute(": ["set", "string"],
    "getNumberListAttribute(": ["list", "number"],
    "getListAttribute(": ["list", "string"],
    "getStringMapAttribute(": ["map", "string"],
    "new cdktf.StringMap(": ["map", "string"],
    "getStringAttribute(": "string",
    "getNumberAttribute(": "number",
    "getBooleanAttribute(": "bool",
    # The provider's own arguments are never read from anywhere; it has two blocks, which are left out.
    "?: string;": "string",
    "?: string[];": ["list", "string"],
    "?: boolean | cdktf.IResolvable;": "bool",
    "?: { [key: string]: string };": ["map", "string"],
}

Block = dict[str, Any]


def read_schemas(resources: Iterable[str], data_sources: Iterable[str]) -> dict[str, Any]:
    """Return `provider`, and by type `resources` and `data_sources`: blocks of `attributes` and `blocks`.

    An attribute has Terraform's `type` and its flags; a block has its `nesting` and its own `block`.
    """
    names = {"provider": ("provider", "")}
    names |= {_module(each): ("resources", each) for each in resources}
    names |= {f"data-{each.replace('_', '-')}": ("data_sources", each) for each in data_sources}
    schemas: dict[str, Any] = {"provider": {}, "resources": {}, "data_sources": {}}
    with tarfile.open(_archive()) as archive:
        for member in archive:
            found = MODULE.fullmatch(member.name)
            if found and found[1] in names and (file := archive.extractfile(member)):
                kind, name = names.pop(found[1])
                block = _root(_source(file.read()))
                schemas[kind] = schemas[kind] | {name: block} if name else block
    if names:
        raise LookupError(f"the bindings have no {', '.join(sorted(names))}")
    return schemas


def _module(name: str) -> str:
    return name.removeprefix("google_").replace("_", "-")


def _archive() -> Path:
    spec = find_spec(BINDINGS)  # executes nothing of it
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "_jsii").glob("*.jsii.tgz"))


def _source(script: bytes) -> str:
    found = SOURCE_MAP.search(script)
    assert found, "the bindings' scripts have no source map"
    return str(json.loads(base64.b64decode(found[1]))["sourcesContent"][0])


def _root(source: str) -> Block:
    classes = {found[1]: found[2] for found in CLASS.finditer(source)}
    return _block(list(classes)[-1], classes)  # the resource's own class comes after those of its blocks


def _block(name: str, classes: dict[str, str]) -> Block:
    block: Block = {"attributes": {}, "blocks": {}}
    for argument, computed, optional, required, declaration in MEMBER.findall(classes[name]):
        flags = {
            "computed": computed == "true",
            "optional": optional == "true",
            "required": required == "true",
        }
        nested = NESTED.search(declaration)
        if nested is None:
            if kind := next((kind for form, kind in TYPES.items() if form in declaration), None):
                block["attributes"][argument] = {"type": kind} | flags
            continue
        inner = _block(f"{nested[1]}OutputReference", classes)
        nesting = _nesting(nested, classes[f"{nested[1]}OutputReference"])
        if flags["computed"] and not flags["optional"]:  # what is never written is no block
            block["attributes"][argument] = {"type": [nesting, _object(inner)]} | flags
        else:
            block["blocks"][argument] = {"nesting": nesting, "block": inner} | flags
    return block


def _nesting(nested: re.Match[str], inner: str) -> str:
    if nested[2] == "List":
        return "set" if nested[3] == "true" else "list"
    parent = PARENT.search(inner)
    assert parent
    if not parent[2]:
        return "single"
    return "set" if parent[1] == "true" else "list"


def _object(block: Block) -> Any:
    return ["object", {name: each["type"] for name, each in block["attributes"].items()}]
