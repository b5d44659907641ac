"""Read JSON of bounded size and depth, and parts of it before secrets are hidden; a damaged part reads as empty."""

import json
import re
from collections.abc import Mapping
from typing import Any

from review.errors import PlanError
from review.findings.text import SIGNS
from review.plan.values import is_nested_deeper

MOST_BYTES = 128 * 1024 * 1024
DEEPEST = 120  # levels of nesting: far beyond any provider's schema
AGAIN = "write the plan's JSON again with `terraform show -json`"


def read_json(content: bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object of bounded size and depth. Raises PlanError, which names the place and quotes nothing."""
    if len(content) > MOST_BYTES:
        raise PlanError(f"{what} is larger than {MOST_BYTES // 1024 // 1024} MiB, which is the limit")
    if not content.strip():
        raise PlanError(f"{what} is empty")
    if content.startswith(b"PK\x03\x04"):
        raise PlanError(
            f"{what} is Terraform's own plan file; give the output of `terraform show -json PLANFILE`"
        )
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise PlanError(f"{what} is not text (byte {error.start} cannot be decoded); {AGAIN}") from None
    # The review's own signs are replaced: a plan must not contain them.
    text = SIGNS.sub("�", re.sub(r"\\u[eE]00[0-5]", r"\\ufffd", text))
    try:
        document = json.loads(text.removeprefix("﻿"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and '"@level"' in text[:2000]:
            raise PlanError(
                f"{what} is the log of `terraform plan -json`; give the output of `terraform show -json PLANFILE`"
            ) from None
        raise PlanError(
            f"{what} is not JSON (line {error.lineno}, column {error.colno}: {error.msg}); it may be truncated: {AGAIN}"
        ) from None
    except (ValueError, RecursionError):
        raise PlanError(
            f"{what} is not JSON that Terraform writes: a number is too long or it is nested too deep"
        ) from None
    if not isinstance(document, dict):
        raise PlanError(f"{what} is not a JSON object")
    if is_nested_deeper(document, DEEPEST):
        raise PlanError(f"{what} is nested deeper than {DEEPEST} levels")
    return document


def _refuse_constant(constant: str) -> float:
    raise ValueError(constant)


def get_string(raw: Mapping[str, Any], key: str) -> str:
    """Return a text; empty for anything else."""
    found = raw.get(key)
    return found if isinstance(found, str) else ""


def as_mapping(value: Any) -> dict[str, Any]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def list_mappings(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
