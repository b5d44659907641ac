"""Render the page as HTML: a table of the newest response, which the script enhances. Pure."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from string import Template
from typing import Any
from zoneinfo import ZoneInfo

ASSETS = {"page.js": "text/javascript", "page.css": "text/css"}  # with their media types
# Since a station's last report, as in the view silent_stations and in page.js.
SILENT_AFTER = timedelta(hours=1)
# For the script, which fills it: the table of a page without a script is the feed's.
PICKER = (
    '\n  <label class="js"><span class="hidden" data-t="system">Bike-share system</span> '
    '<select id="system"></select></label>'
)


@cache
def static_version(folder: Path) -> str:
    """Return a digest of the script and the style sheet, for their URLs."""
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in ASSETS)).hexdigest()[:12]


def render_page(
    folder: Path,
    stations: Mapping[str, Any],
    newest: Mapping[str, Any],
    *,
    now: datetime,
    zone: ZoneInfo,
    embedded: Mapping[str, bytes] | None = None,
    has_systems: bool = False,
) -> str:
    """Render the page from the content of stations.json and now.json; both may be empty.

    With `embedded` (gzip-compressed files by name) the page needs no server: it reads its data from itself, and its
    script and style sheet from its own folder. With `has_systems` the script lists the systems of systems.json.
    """
    assets = "" if embedded is not None else f"static/{static_version(folder)}/"
    return Template((folder / "page.html").read_text("utf-8")).substitute(
        assets=assets,
        title=html.escape(str(stations.get("title") or "Bike share")),
        picker=PICKER if has_systems else "",
        licence=html.escape(str(stations.get("licence") or "")),
        notice=html.escape(_format_notice(newest, now, zone)),
        rows="\n".join(_format_rows(stations, newest)),
        embedded=_format_embedded(embedded or {}),
    )


def _format_notice(newest: Mapping[str, Any], now: datetime, zone: ZoneInfo) -> str:
    if not newest.get("collected_at"):
        return "There was no response in the last three days."
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


def _format_rows(stations: Mapping[str, Any], newest: Mapping[str, Any]) -> list[str]:
    known = {each[0]: each for each in stations.get("stations", [])}
    lines = []
    for station, (bikes, docks, operational, reported) in newest.get("stations", {}).items():
        _, name, area, *_ = known.get(station, (station, None, None))
        cells = (name or station, area or "", _format_number(bikes), _format_number(docks))
        state = _describe_state(newest["collected_at"], reported, operational=operational)
        tags = "".join(
            f"<td{' class=n' if index in (2, 3) else ''}>{html.escape(str(cell))}</td>"
            for index, cell in enumerate((*cells, state))
        )
        lines.append((str(cells[0]).casefold(), f'<tr data-id="{html.escape(str(station))}">{tags}</tr>'))
    return [line for _, line in sorted(lines)]


def _describe_state(collected_at: str, reported: str | None, *, operational: bool | None) -> str:
    if operational is False:
        return "out of service"
    is_silent = (
        reported and datetime.fromisoformat(collected_at) - datetime.fromisoformat(reported) > SILENT_AFTER
    )
    return "silent for an hour" if is_silent else ""


def _format_number(number: int | None) -> str:
    return "–" if number is None else str(number)


def _format_embedded(files: Mapping[str, bytes]) -> str:
    if not files:
        return ""
    content = json.dumps({name: base64.b64encode(body).decode() for name, body in files.items()})
    return f'<script type="application/json" id="embedded">{content}</script>'
