"""The dashboard of a local run: its URL, and a copy of its page with data to open from disk."""

import gzip
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from dashboard.app import STATIC
from dashboard.page import ASSETS, render_page
from local.errors import ServiceError
from local.runs.local_run import LocalRun
from local.service_router.ingress import Ingress
from local.workloads.workloads import Workloads

SERVICE = "service dashboard"  # in a shared project, the name has the environment behind it
FOLDER = "page"
TIMEOUT_S = 60
ABOUT_FILES = ("stations.json", "now.json")
SOURCE_FILES = (*ABOUT_FILES, "week.bin")  # of the feed, and of each GBFS system
FEED_FILES = (*SOURCE_FILES, "status.json")


def page_url(run: LocalRun) -> str | None:
    """Return the URL at which the user of this host opens the dashboard, or None where the environment has none.

    The service's own URL requires an identity token and a role, as in Google Cloud.
    """
    urls = run.environment.service(Workloads).urls
    url = next((url for name, url in urls.items() if name.startswith(SERVICE)), None)
    return None if url is None else f"{run.environment.service(Ingress).open_user_proxy(url)}/"


def write_page(run: LocalRun) -> Path | None:
    """Write the page with its data below the environment's folder and return its path, or None without a dashboard.

    Raises ServiceError where the dashboard does not serve a file.
    """
    url = page_url(run)
    if url is None:
        return None
    files = _read_source(url, "", FEED_FILES)
    stations, newest = (json.loads(gzip.decompress(files[name])) for name in ABOUT_FILES)
    has_systems = bool(run.names.gbfs_jobs)
    if has_systems:
        files["systems.json"] = _read(f"{url}data/systems.json")
        for system in json.loads(gzip.decompress(files["systems.json"]))["systems"]:
            files |= _read_source(url, name_system_folder(system["feed"]), SOURCE_FILES)
    folder = run.options.folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    page = render_page(
        STATIC,
        stations,
        newest,
        now=datetime.now(UTC),
        zone=ZoneInfo(stations["time_zone"]),
        embedded=files,
        has_systems=has_systems,
    )
    (folder / "index.html").write_text(page, "utf-8")
    for name in ASSETS:
        shutil.copyfile(STATIC / name, folder / name)
    return folder / "index.html"


def name_system_folder(system: str) -> str:
    """Return the folder of a system's files, with its ID encoded as encodeURIComponent of the page's script does."""
    return f"systems/{quote(system, safe="!*'()")}/"


def _read_source(url: str, folder: str, names: Iterable[str]) -> dict[str, bytes]:
    """Return these files of the feed or of a system, and those of its days, by the path below `data`."""
    files = {f"{folder}{name}": _read(f"{url}data/{folder}{name}") for name in names}
    about = (json.loads(gzip.decompress(files[f"{folder}{name}"])) for name in ABOUT_FILES)
    days = [f"{folder}{day}.bin" for day in days_of(*about)]
    return files | {name: _read(f"{url}data/{name}") for name in days}


def days_of(stations: dict[str, Any], newest: dict[str, Any]) -> list[date]:
    """Return the local days that have data, up to the newest row's: a UTC day with rows overlaps two of them."""
    if newest["collected_at"] is None:
        return []
    last = datetime.fromisoformat(newest["collected_at"]).astimezone(ZoneInfo(stations["time_zone"])).date()
    present = {date.fromisoformat(day) + timedelta(days=n) for day, _ in stations["days"] for n in (-1, 0, 1)}
    return sorted(day for day in present if day <= last)


def _read(url: str) -> bytes:
    """Return a file of the dashboard, compressed with gzip."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})  # noqa: S310 - a loopback URL
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            body: bytes = response.read()
    except urllib.error.HTTPError as error:
        raise ServiceError(f"reading {url}", error.code, error.read().decode("utf-8", "replace")) from error
    return body
