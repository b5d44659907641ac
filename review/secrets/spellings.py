"""List the ways in which a text may hold a secret: escaped, quoted, as base64 or in hexadecimal digits."""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

SHORTEST_LINE = 12  # characters of a line of a longer secret that is searched for by itself


def list_spellings(secret: str) -> set[str]:
    """Return the ways in which a text may hold a secret."""
    texts = {secret, secret.strip()}
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        texts.update(line for line in lines if len(line) >= SHORTEST_LINE)
    for each in list(texts):
        escaped = json.dumps(each)[1:-1]
        unescaped = json.dumps(each, ensure_ascii=False)[1:-1]
        go = unescaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
        texts |= {
            escaped,
            unescaped,
            go,
            json.dumps(escaped)[1:-1],
            json.dumps(unescaped, ensure_ascii=False)[1:-1],
        }
        texts |= {html.escape(each), html.escape(each, quote=False), each.replace("'", "'\"'\"'")}
        coded = each.encode("utf-8", "surrogatepass")
        for safe in ("", "/", "/:@!$&'()*+,;="):
            texts |= {quote(coded, safe), quote_plus(coded, safe)}
        texts |= {_lowercase_percent_escapes(found) for found in list(texts) if "%" in found}
        texts |= {coded.hex(), coded.hex().upper()}
    for each in {secret, secret.strip()}:
        texts |= _list_base64_spellings(each.encode("utf-8", "surrogatepass"))
    return texts


def _lowercase_percent_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def _list_base64_spellings(secret: bytes) -> set[str]:
    """Return the base64 encodings of a secret at each of the three offsets within a group of bytes."""
    found: set[str] = set()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + secret).decode().rstrip("=")
        whole = (
            (before + len(secret)) * 8 // 6
        )  # the characters that do not depend on what follows the secret
        core = coded[-(-before * 8 // 6) : whole]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return found
