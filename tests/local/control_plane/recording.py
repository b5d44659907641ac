"""The calls that Terraform's google provider made while it deployed and destroyed the stack of dev.

`python -m tests.local.control_plane.recording CALLS` makes provider-6.50.0.jsonl anew from what
`python -m local cloud --record CALLS` wrote during a `make deploy TO=local` and a `make destroy TO=local` with the real
provider. A line is one call that changes something, with what was read after it for the first time or as something
new. Nothing in it is secret: the token is not recorded, and addresses are those of this machine.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("provider-6.50.0.jsonl")
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


def steady(value: Any) -> Any:
    """A document without what is another one each time."""
    if isinstance(value, dict):
        # Whether a job of Scheduler fires meanwhile depends on the minute.
        volatile = VOLATILE | ({"lastAttemptTime", "status"} if "lastAttemptTime" in value else set())
        return {key: steady(item) for key, item in value.items() if key not in volatile}
    if isinstance(value, list):
        return [steady(item) for item in value]
    return LOOPBACK.sub(HERE, value) if isinstance(value, str) else value


def shrunk(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The calls that change something, each with the reads after it that told something new."""
    known: dict[str, Any] = {}
    entry: dict[str, Any] | None = None
    for line in lines:
        request = json.loads(line)
        if LEFT_OUT.search(request["target"]) or (
            request["method"] == "GET" and LISTS.search(request["target"])
        ):
            continue
        if request["method"] == "GET" or READS.search(request["target"]):
            told = [request["status"], steady(request["reply"])]
            if entry is not None and known.get(request["target"]) != told:
                known[request["target"]] = told
                entry["reads"].append(
                    {key: request[key] for key in ("method", "target")}
                    | {"status": told[0], "reply": told[1]}
                )
            continue
        if entry is not None:
            yield entry
        entry = {key: request[key] for key in ("method", "target", "status")} | {
            "body": steady(request["body"]),
            "reads": [],
        }
    if entry is not None:
        yield entry


def main(calls: Path) -> None:
    """Write the recording."""
    with calls.open() as lines:
        entries = list(shrunk(lines))
    FILE.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
