"""A secret that a response repeats is taken out of it before it is stored."""

import gzip
import html
import json
import time
from urllib.parse import quote

import pytest

from feed import redact_body

pytestmark = pytest.mark.unit

KEY = "k3y/with +signs"
ECHOES: list[tuple[bytes, bytes]] = [
    (f"<html>not allowed: /?apiKey={KEY}".encode(), b"<html>not allowed: /?apiKey=[secret]"),
    (f"<html>{quote(KEY, '').lower()}".encode(), b"<html>[secret]"),
    (f"<html>{quote(KEY, '')}".encode(), b"<html>[secret]"),
    (b"<html>k3y%252fwith%2520%252bsigns", b"<html>[secret]"),
    (f"<html>{html.escape(KEY)}".encode(), b"<html>[secret]"),
    (
        b'{"next": "/?apiKey=k3y%2fwith+%2bsigns&page=2", "a": 1}',
        b'{"next": "/?apiKey=[secret]&page=2", "a": 1}',
    ),
    (b'{"error": "k3y\\/with +signs"}', b'{"error": "[secret]"}'),
    (b'{"error": "k3y\\u002fwith\\u0020\\u002bsigns"}', b'{"error": "[secret]"}'),
    ("é".encode() * 79 + KEY.encode() + b"\xff", "é".encode() * 79 + b"[secret]\xff"),
    (gzip.compress(KEY.encode(), mtime=0), b"[secret]"),
    (f'{{"a": "é {KEY}"}}'.encode("utf-16"), '{"a": "é [secret]"}'.encode()),
    (KEY.encode() * 3, b"[secret]" * 3),
]


@pytest.mark.parametrize(("body", "clean"), ECHOES)
def test_no_form_of_a_secret_is_stored(body: bytes, clean: bytes) -> None:
    assert redact_body(body, [KEY]) == clean


UNCHANGED: list[tuple[bytes, list[str]]] = [
    (b'{"a": "k3y"}', [KEY]),
    (gzip.compress(b"[]", mtime=0), [KEY]),
    (gzip.compress(KEY.encode(), mtime=0)[:-9], [KEY]),  # damaged: nobody can read it
    (b'{"city": "lille", "id": 12345678901}', ["lille", "12345678901"]),  # values of the data
    ('{"a": "é"}'.encode("utf-16"), [KEY]),
    (b"\xff\xfe", [KEY]),
    (b"", [KEY]),
    (KEY.encode(), []),
]


@pytest.mark.parametrize(("body", "secrets"), UNCHANGED)
def test_any_other_response_is_stored_as_it_was_received(body: bytes, secrets: list[str]) -> None:
    assert redact_body(body, secrets) == body


def test_a_body_that_is_json_stays_json() -> None:
    document = {"stations": [{"id": n, "self": f"/{n}?apiKey={quote(KEY, '')}"} for n in range(3_000)]}
    started = time.process_time()
    clean = json.loads(redact_body(json.dumps(document).encode(), [KEY]))
    assert {each["self"].partition("?")[2] for each in clean["stations"]} == {"apiKey=[secret]"}
    assert time.process_time() - started < 5
