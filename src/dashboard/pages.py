"""The page as HTML: useful as it is served, with the newest response as a table, and enhanced by its script. Pure."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from string import Template
from typing import Any
from zoneinfo import ZoneInfo

ASSETS = ("page.js", "page.css")


@cache
def static_version(folder: Path) -> str:
    """Return a digest of the script and the style: their URLs change when they do."""
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in ASSETS)).hexdigest()[:12]


def render_page(
    folder: Path,
    stations: Mapping[str, Any],
    newest: Mapping[str, Any],
    *,
    now: datetime,
    zone: ZoneInfo,
    embedded: Mapping[str, bytes] | None = None,
) -> str:
    """Return the page for what stations.json and now.json hold; both may be empty, and the page says so then.

    With `embedded`, files by name and compressed with gzip, the page needs no server: it takes them from itself, and
    its script and style from beside it.
    """
    assets = "" if embedded is not None else f"static/{static_version(folder)}/"
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        assets=assets,
        title=html.escape(str(stations.get("title") or "Bike share")),
        licence=html.escape(str(stations.get("licence") or "")),
        notice=html.escape(_notice(newest, now, zone)),
        rows="\n".join(_rows(stations, newest)),
        embedded=_embed(embedded or {}),
    )


def _notice(newest: Mapping[str, Any], now: datetime, zone: ZoneInfo) -> str:
    if not newest.get("collected_at"):
        return "No response of the last three days is known."
    collected = datetime.fromisoformat(newest["collected_at"])
    minutes = max(0, int((now - collected).total_seconds()) // 60)
    age = (
        f"{minutes} min"
        if minutes < 120
        else f"{minutes // 60} h"
        if minutes < 2880
        else f"{minutes // 1440} days"
    )
    return f"Newest data: {collected.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key}), {age} ago"


def _rows(stations: Mapping[str, Any], newest: Mapping[str, Any]) -> list[str]:
    known = {each[0]: each for each in stations.get("stations", [])}
    lines = []
    for station, (bikes, docks, operational, _) in newest.get("stations", {}).items():
        _, name, area, *_ = known.get(station, (station, None, None))
        cells = (name or station, area or "", _shown(bikes), _shown(docks))
        state = "out of service" if operational is False else ""
        tags = "".join(
            f"<td{' class=n' if index in (2, 3) else ''}>{html.escape(str(cell))}</td>"
            for index, cell in enumerate((*cells, state))
        )
        lines.append((str(cells[0]).casefold(), f'<tr data-id="{html.escape(str(station))}">{tags}</tr>'))
    return [line for _, line in sorted(lines)]


def _shown(number: int | None) -> str:
    return "–" if number is None else str(number)


def _embed(files: Mapping[str, bytes]) -> str:
    if not files:
        return ""
    content = json.dumps({name: base64.b64encode(body).decode() for name, body in files.items()})
    return f'<script type="application/json" id="embedded">{content}</script>'
