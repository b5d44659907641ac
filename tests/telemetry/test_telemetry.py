"""Lines that Cloud Logging can search: one JSON object each, with severity and fields."""

import io
import json
import logging
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import LOGGER, log, log_as_json, redact_log

pytestmark = pytest.mark.unit


def logged(severity: int, message: str, **fields: Any) -> list[str]:
    stream = io.StringIO()
    log_as_json(stream)
    log(severity, message, **fields)
    return stream.getvalue().splitlines()


def test_a_line_has_severity_time_message_and_fields() -> None:
    [line] = logged(logging.WARNING, "kept", feed="vlille_ogc", rows=289)
    entry = json.loads(line)
    assert datetime.fromisoformat(entry.pop("time")).tzinfo is not None
    assert entry == {"severity": "WARNING", "message": "kept", "feed": "vlille_ogc", "rows": 289}


@given(message=st.text(), value=st.text() | st.integers() | st.none() | st.lists(st.text()))
def test_every_log_entry_is_one_line_of_json(message: str, value: object) -> None:
    stream = io.StringIO()
    log_as_json(stream)
    log(logging.INFO, message, value=value)
    assert stream.getvalue().count("\n") == 1
    entry = json.loads(stream.getvalue())
    assert (entry["message"], entry["value"]) == (message, value)


def test_an_exceptions_trace_goes_with_it() -> None:
    stream = io.StringIO()
    log_as_json(stream)
    try:
        int("why")
    except ValueError:
        log(logging.ERROR, "failed", exc_info=True)
    entry = json.loads(stream.getvalue())
    assert entry["severity"] == "ERROR"
    assert entry["stack_trace"].startswith("Traceback")
    assert entry["stack_trace"].endswith("invalid literal for int() with base 10: 'why'")


def test_set_up_twice_a_line_is_logged_once() -> None:
    log_as_json(io.StringIO())
    assert len(logged(logging.INFO, "once")) == 1
    assert LOGGER.propagate is False


def test_no_text_of_a_line_has_what_is_to_be_redacted() -> None:
    stream = io.StringIO()
    log_as_json(stream)
    redact_log(lambda text: text.replace("k3y", "[secret]"))
    try:
        int("k3y")
    except ValueError as error:
        fields: dict[str, Any] = {"rows": 1, "is_new": True, "at": None, "url": "x?k3y", "why": error}
        log(logging.ERROR, f"failed: {error}", exc_info=True, all=["k3y", {"one": "k3y"}], **fields)
    assert "k3y" not in stream.getvalue()
    entry = json.loads(stream.getvalue())
    assert entry["message"] == "failed: invalid literal for int() with base 10: '[secret]'"
    assert entry["why"] == entry["message"].removeprefix("failed: ")
    assert entry["stack_trace"].endswith("'[secret]'")
    assert (entry["rows"], entry["is_new"], entry["at"], entry["url"]) == (1, True, None, "x?[secret]")
    assert entry["all"] == ["[secret]", {"one": "[secret]"}]
