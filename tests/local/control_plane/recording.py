"""The requests that Terraform's google provider sent while it deployed and destroyed the stack of dev, and that stack.

`python -m tests.local.control_plane.recording CALLS` writes provider-6.50.0.jsonl from the output of `python -m local
cloud --record CALLS` during a `make deploy TO=local` and a `make destroy TO=local` with the real provider. A line is
a request that changes something, with the later reads whose response is new. Nothing in it is secret: the token is
not recorded, and addresses are on loopback.

It also writes stack-6.50.0.json, the stack of that deploy. A change of the stack needs no new recording: the tests
compare the requests with the stack that they were recorded from. Update both when the provider's version changes, or
when the stack has a resource type whose requests the recording should have.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from commands.recipes import output_folder
from tests.cdk.conftest import without_comments

FILE = Path(__file__).with_name("provider-6.50.0.jsonl")
STACK = FILE.with_name("stack-6.50.0.json")
ROOT = Path(__file__).parents[3]
# Terraform's own state, content of objects, and questions for operations: when they are asked is chance.
LEFT_OUT = re.compile(
    # The last of these are objects of a tick that came between deploy and destroy.
    r"tfstate|^/upload/|alt=media|/operations/|/builds:submit|^/registry/|-(?:landing|archive|staging)/o/"
)
# `make destroy` lists what is left; the provider lists no buckets.
LISTS = re.compile(r"^/storage/v1/b\?")
READS = re.compile(r":getIamPolicy")
# What is another one each time, or tells of the machine.
VOLATILE = frozenset(
    {
        "etag",
        "generation",
        "metageneration",
        "mediaLink",
        "md5Hash",
        "crc32c",
        "size",
        "timeCreated",
        "updated",
        "acl",
    }
)
HERE = "http://here"
LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d+")


def without_variable_values(value: Any) -> Any:
    """Return a document without values that differ from run to run."""
    if isinstance(value, dict):
        # Whether a job of Scheduler fires meanwhile depends on the minute.
        volatile = VOLATILE | ({"lastAttemptTime", "status"} if "lastAttemptTime" in value else set())
        return {key: without_variable_values(item) for key, item in value.items() if key not in volatile}
    if isinstance(value, list):
        return [without_variable_values(item) for item in value]
    return LOOPBACK.sub(HERE, value) if isinstance(value, str) else value


def select_calls(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Return the requests that change something, each with the later reads whose response is new."""
    known: dict[str, Any] = {}
    entry: dict[str, Any] | None = None
    for line in lines:
        request = json.loads(line)
        if LEFT_OUT.search(request["target"]) or (
            request["method"] == "GET" and LISTS.search(request["target"])
        ):
            continue
        if request["method"] == "GET" or READS.search(request["target"]):
            entry_of = [request["status"], without_variable_values(request["reply"])]
            if entry is not None and known.get(request["target"]) != entry_of:
                known[request["target"]] = entry_of
                entry["reads"].append(
                    {key: request[key] for key in ("method", "target")}
                    | {"status": entry_of[0], "reply": entry_of[1]}
                )
            continue
        if entry is not None:
            yield entry
        entry = {key: request[key] for key in ("method", "target", "status")} | {
            "body": without_variable_values(request["body"]),
            "reads": [],
        }
    if entry is not None:
        yield entry


def main(calls: Path, stack: Path) -> None:
    """Write the recording, and the stack that was deployed."""
    with calls.open() as lines:
        entries = list(select_calls(lines))
    FILE.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries), "utf-8")
    deployed = without_comments(json.loads(stack.read_text("utf-8")))
    STACK.write_text(json.dumps(deployed, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), ROOT / output_folder("dev") / "stacks" / "vlille-dev" / "cdk.tf.json")
