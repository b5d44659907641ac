"""Responses that went wrong on their way, or at their producer: a response of a feed, mutated from a seed."""

import gzip
import json
import random
import re
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

_NUMBER = re.compile(rb"(?<=[:\[, ])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?=[,\]} \n])")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_PIECES = (
    *(
        b'"',
        b"\\",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"-",
        b".",
        b"e",
        b"0",
        b" ",
        b"\n",
        b"\t",
        b"\x00",
        b"\x7f",
    ),
    *(b"\xff", b"\xc3", b"\xe9", b"\xed\xa0\x80", b"\xf0\x9f\x9a\xb2", b"\xef\xbb\xbf", b"\xc2\xa0"),
    *(
        b"null",
        b"true",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"//",
        b"/* */",
        b"[]",
        b"{}",
        b'""',
        b"1e999",
        b"-0",
    ),
    *(b"\\ud83d", b"\\ude00", b"\\ud83d\\ude00", b"\\u0000", b"\\x", b"\\u12", b'\\"', b"\\ud83d\\u0041"),
)
_TEXTS = (
    *(
        r'"\ud800"',
        r'"\udc00"',
        r'"\ud83d\u0041"',
        r'"\ude00\ud83d"',
        r'"a\u0000b"',
        r'"\x"',
        r'"\u00"',
        '"\u0000"',
    ),
    *(
        '""',
        '" "',
        '"13"',
        '"13.0"',
        '"1e5"',
        '"true"',
        '"null"',
        '"2023-10-26T20:47:12Z"',
        '"2023-10-26T20:47:12"',
    ),
    *(
        '"2023-02-30T00:00:00Z"',
        '"0001-01-01T00:00:00+01:00"',
        '"9999-12-31T23:59:59-01:00"',
        '"2099-01-01T00:00:00Z"',
    ),
    *(
        '"2023-10-26T20:47:12.123456789+02:00"',
        '"2023-10-26 20:47:12+0200"',
        '"２０２３-10-26T20:47:12Z"',
        '"١٣"',
    ),
    *(
        "null",
        "true",
        "false",
        "NaN",
        "-Infinity",
        "[]",
        "{}",
        "[1]",
        '{"a": 1}',
        "[null]",
        "[[]]",
        "-0",
        "-0.0",
        "0e0",
    ),
    *(
        "1.7976931348623159e308",
        "1e400",
        "9007199254740993",
        "9007199254740993.0",
        "4.9e-324",
        "1e-999",
        "01",
        "1.",
        ".5",
    ),
)
_LENGTHS = (1, 2, 15, 16, 17, 18, 19, 20, 21, 76, 77, 78, 308, 309, 310, 4_299, 4_300, 4_301, 4_302, 20_000)
_DEPTHS = (1, 10, 100, 300, 480, 499, 500, 501, 900, 1_100, 3_000, 30_000)


def mutate(body: bytes, rng: random.Random) -> bytes:
    """Return the body after one or more mutations; the last one may change its encoding."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        body = rng.choice(_MUTATIONS)(body, rng)
    if rng.random() < 0.12:
        body = rng.choice(_ENCODINGS)(body, rng)
    return body


def _flip(body: bytes, rng: random.Random) -> bytes:
    if not body:
        return body
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _insert(body: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.choice(_PIECES) + body[at + rng.choice((0, 0, 1, 3)) :]


def _cut(body: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] if rng.random() < 0.5 else body[:at] + body[at + rng.randrange(200) :]


def _number(body: bytes, rng: random.Random) -> bytes:
    digits = str(rng.randrange(1, 10)) + "".join(rng.choices("0123456789", k=rng.choice(_LENGTHS) - 1))
    text = rng.choice(("", "-")) + digits + rng.choice(("", "", "", ".0", ".5", "e2", "E-3", "e+400"))
    return _replace_match(_NUMBER, body, text.encode(), rng)


def _scalar(body: bytes, rng: random.Random) -> bytes:
    pattern = _NUMBER if rng.random() < 0.5 else _STRING
    return _replace_match(pattern, body, rng.choice(_TEXTS).encode("utf-8", "surrogatepass"), rng)


def _deep(body: bytes, rng: random.Random) -> bytes:
    depth = rng.choice(_DEPTHS)
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"}":[', b"]}")))
    end = depth if rng.random() < 0.8 else rng.randrange(depth + 1)
    return _replace_match(_NUMBER, body, opening * depth + b"1" + closing * end, rng)


def _key_twice(body: bytes, rng: random.Random) -> bytes:
    keys = list(re.finditer(rb'"(?:[^"\\]|\\.)*"\s*:', body))
    if not keys:
        return body
    key = rng.choice(keys)
    value = rng.choice(_TEXTS).encode("utf-8", "surrogatepass")
    return body[: key.start()] + key[0] + value + b", " + body[key.start() :]


def _trailing(body: bytes, rng: random.Random) -> bytes:
    return body + rng.choice(
        (b"}", b"]", b" x", b"\n{}", b"<!-- -->", b"/* cached */", b"\x00", b",", b"\n\n", b" 1")
    )


def _structure(body: bytes, rng: random.Random) -> bytes:
    """Delete, duplicate, wrap or replace one value of the document."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    parent = document
    while isinstance(parent, dict | list) and parent:
        key: Any = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        if isinstance(parent[key], dict | list) and parent[key] and rng.random() < 0.8:
            parent = parent[key]
            continue
        match rng.randrange(5):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, list):
                parent.insert(key, parent[key])
            case 1 if isinstance(parent, dict):
                parent[f"{key}2"] = parent[key]
            case 2:
                parent[key] = [parent[key]]
            case 3:
                parent[key] = {"value": parent[key]}
            case _:
                parent[key] = rng.choice(([], {}, None, True, 0, "", 1.5, [None], "é"))
        break
    try:
        text = json.dumps(document, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, None, 1)))
    except (ValueError, RecursionError):
        return body
    return text.encode("utf-8", "surrogatepass")


def _replace_match(pattern: re.Pattern[bytes], body: bytes, text: bytes, rng: random.Random) -> bytes:
    found = list(pattern.finditer(body))
    if not found:
        return body + text
    match = rng.choice(found)
    return body[: match.start()] + text + body[match.end() :]


def _recoded(encoding: str) -> Mutation:
    def recode(body: bytes, _rng: random.Random) -> bytes:
        return body.decode("utf-8", "replace").encode(encoding, "replace")

    return recode


def _gzip(body: bytes, rng: random.Random) -> bytes:
    packed = gzip.compress(body, mtime=0)
    return packed if rng.random() < 0.7 else packed[: rng.randrange(len(packed))]


_MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _flip, _insert, _insert, _cut, _number, _number, _scalar, _scalar, _scalar),
    *(_deep, _key_twice, _trailing, _structure, _structure),
)
_ENCODINGS: tuple[Mutation, ...] = (
    *map(
        _recoded,
        ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "shift_jis"),
    ),
    _gzip,
)
