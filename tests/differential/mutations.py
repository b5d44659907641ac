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
    """The body after some mutations, of which the last may change its encoding."""
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
    return _in_place_of(_NUMBER, body, text.encode(), rng)


def _scalar(body: bytes, rng: random.Random) -> bytes:
    pattern = _NUMBER if rng.random() < 0.5 else _STRING
    return _in_place_of(pattern, body, rng.choice(_TEXTS).encode("utf-8", "surrogatepass"), rng)


def _deep(body: bytes, rng: random.Random) -> bytes:
    depth = rng.choice(_DEPTHS)
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"}":[', b"]}")))
    end = depth if rng.random() < 0.8 else rng.randrange(depth + 1)
    return _in_place_of(_NUMBER, body, opening * depth + b"1" + closing * end, rng)


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
    """A value of the document taken away, doubled, or put elsewhere."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    place = document
    while isinstance(place, dict | list) and place:
        key: Any = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
            place = place[key]
            continue
        match rng.randrange(5):
            case 0:
                del place[key]
            case 1 if isinstance(place, list):
                place.insert(key, place[key])
            case 1 if isinstance(place, dict):
                place[f"{key}2"] = place[key]
            case 2:
                place[key] = [place[key]]
            case 3:
                place[key] = {"value": place[key]}
            case _:
                place[key] = rng.choice(([], {}, None, True, 0, "", 1.5, [None], "é"))
        break
    try:
        text = json.dumps(document, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, None, 1)))
    except (ValueError, RecursionError):
        return body
    return text.encode("utf-8", "surrogatepass")


def _in_place_of(pattern: re.Pattern[bytes], body: bytes, text: bytes, rng: random.Random) -> bytes:
    found = list(pattern.finditer(body))
    if not found:
        return body + text
    place = rng.choice(found)
    return body[: place.start()] + text + body[place.end() :]


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
