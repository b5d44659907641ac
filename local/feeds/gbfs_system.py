"""A simulated GBFS system of any version, served over HTTP, with the faults that public systems have."""

import hashlib
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gbfs import VERSIONS
from local.feeds.feed_server import FeedServer, evolve_bikes
from local.processes.ports import LOOPBACK

TTL_S = 60
RETRY_AFTER_S = 120
HANG_S = 60.0
# Faults of a file's stations, and of its transfer.
CONTENT_FAULTS = ("duplicate", "frozen", "milliseconds", "no_stations", "zero_coordinates", "zombie")
TRANSFER_FAULTS = ("cut", "error", "hang", "html", "moved", "too_many")
_PLACE = 50.63, 3.06  # where the system has no position
_TYPES = ("bike", "ebike")


@dataclass(frozen=True)
class SimulatedSystem:
    """A system with stations whose bikes come and go in waves; within a minute, a file is always the same."""

    system_id: str
    name: str
    version: str = "2.3"
    stations: int = 60
    language: str = "en"
    faults: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        unknown = self.faults - {*CONTENT_FAULTS, *TRANSFER_FAULTS}
        if self.version not in VERSIONS or unknown:
            raise ValueError(f"version {self.version!r}, faults {sorted(unknown)}: unknown")

    @property
    def description(self) -> str:
        """The system in a few words."""
        with_faults = f" with {', '.join(sorted(self.faults))}" if self.faults else ""
        return f"a simulated GBFS {self.version} system with {self.stations} stations{with_faults}"

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its files in the spelling of its version, without gbfs."""
        versions = ("gbfs_versions",) if self.version != "1.0" else ()
        types = ("vehicle_types",) if self._major > 2 or self.version in {"2.1", "2.2", "2.3"} else ()
        vehicles = "vehicle_status" if self._major == 3 else "free_bike_status"
        return (*versions, "system_information", *types, "station_information", "station_status", vehicles)

    def document(self, file: str, minute: datetime, base_url: str) -> bytes:
        """Return a file, or gbfs, as of a minute (UTC); `base_url` has a trailing slash. Raises KeyError."""
        if file != "gbfs" and file not in self.files:
            raise KeyError(file)
        if "frozen" in self.faults:
            minute = minute.replace(hour=0, minute=0)
        data: dict[str, Any] = getattr(self, f"_{file}")(minute, base_url)
        content: dict[str, Any] = {"last_updated": self._time(minute), "ttl": TTL_S, "data": data}
        if self.version != "1.0":
            content["version"] = self.version
        return json.dumps(content, ensure_ascii=False).encode()

    # --- files --------------------------------------------------------------------------------------

    def _gbfs(self, _minute: datetime, base_url: str) -> dict[str, Any]:
        feeds = [{"name": file, "url": f"{base_url}{file}.json"} for file in self.files]
        return {"feeds": feeds} if self._major == 3 else {self.language: {"feeds": feeds}}

    def _gbfs_versions(self, _minute: datetime, base_url: str) -> dict[str, Any]:
        return {"versions": [{"version": self.version, "url": f"{base_url}gbfs.json"}]}

    def _system_information(self, _minute: datetime, _base_url: str) -> dict[str, Any]:
        about: dict[str, Any] = {
            "system_id": self.system_id,
            "name": self._text(self.name),
            "timezone": "Europe/Paris",
        }
        if self._major < 3:
            return about | {"language": self.language}
        return about | {
            "languages": [self.language],
            "opening_hours": "24/7",
            "feed_contact_email": "contact@example.org",
        }

    def _vehicle_types(self, _minute: datetime, _base_url: str) -> dict[str, Any]:
        human = {"vehicle_type_id": _TYPES[0], "form_factor": "bicycle", "propulsion_type": "human"}
        electric = {
            "vehicle_type_id": _TYPES[1],
            "form_factor": "bicycle",
            "propulsion_type": "electric_assist",
        }
        return {"vehicle_types": [human, electric | {"max_range_meters": 60_000}]}

    def _station_information(self, _minute: datetime, _base_url: str) -> dict[str, Any]:
        stations = [self._station(number) for number in range(self.stations)]
        if "zombie" in self.faults and stations:
            del stations[-1]
            stations.append(self._station(self.stations + 1_000))
        if "zero_coordinates" in self.faults and stations:
            stations[0] |= {"lat": 0.0, "lon": 0.0}
        return self._list(stations)

    def _station(self, number: int) -> dict[str, Any]:
        angle = number * 2.4  # the golden angle: no two stations coincide
        return {
            "station_id": str(number + 1),
            "name": self._text(f"Station {number + 1}"),
            "lat": round(_PLACE[0] + 0.004 * math.sqrt(number) * math.sin(angle), 6),
            "lon": round(_PLACE[1] + 0.006 * math.sqrt(number) * math.cos(angle), 6),
            "capacity": _capacity(number),
        }

    def _station_status(self, minute: datetime, _base_url: str) -> dict[str, Any]:
        stations = [self._status(number, minute) for number in range(self.stations)]
        if "duplicate" in self.faults and stations:
            stations.append(stations[0])
        return self._list(stations)

    def _status(self, number: int, minute: datetime) -> dict[str, Any]:
        capacity = _capacity(number)
        bikes = evolve_bikes(capacity // 2, capacity, number, int(minute.timestamp()) // 60)
        vehicles = "vehicles" if self._major == 3 else "bikes"
        yes: bool | int = True if self._major > 1 else 1
        status: dict[str, Any] = {
            "station_id": str(number + 1),
            f"num_{vehicles}_available": bikes,
            f"num_{vehicles}_disabled": number % 2,
            "num_docks_available": capacity - bikes,
            "num_docks_disabled": 0,
            "is_installed": yes,
            "is_renting": yes,
            "is_returning": yes,
            "last_reported": self._time(minute),
        }
        if "vehicle_types" in self.files:
            electric = bikes // 3
            counts = zip(_TYPES, (bikes - electric, electric), strict=True)
            status["vehicle_types_available"] = [
                {"vehicle_type_id": kind, "count": count} for kind, count in counts
            ]
        if "milliseconds" in self.faults and self._major < 3:
            status["last_reported"] *= 1_000
        return status

    def _free_bike_status(self, _minute: datetime, _base_url: str) -> dict[str, Any]:
        no: bool | int = False if self._major > 1 else 0
        bike = {"bike_id": "b1", "lat": _PLACE[0], "lon": _PLACE[1], "is_reserved": no, "is_disabled": no}
        more = {"vehicle_type_id": _TYPES[0]} if "vehicle_types" in self.files else {}
        return {"bikes": [bike | more]}

    def _vehicle_status(self, minute: datetime, base_url: str) -> dict[str, Any]:
        vehicles = self._free_bike_status(minute, base_url)["bikes"]
        return {"vehicles": [{"vehicle_id": vehicle.pop("bike_id"), **vehicle} for vehicle in vehicles]}

    # --- terms of the version -----------------------------------------------------------------------

    @property
    def _major(self) -> int:
        return int(self.version[0])

    def _time(self, moment: datetime) -> int | str:
        seconds = moment.astimezone(UTC).replace(microsecond=0)
        return int(seconds.timestamp()) if self._major < 3 else seconds.isoformat().replace("+00:00", "Z")

    def _text(self, text: str) -> str | list[dict[str, str]]:
        return text if self._major < 3 else [{"text": text, "language": self.language}]

    def _list(self, stations: list[dict[str, Any]]) -> dict[str, Any]:
        return {"stations": [] if "no_stations" in self.faults else stations}


def _capacity(number: int) -> int:
    return 12 + number * 7 % 25


# --- over HTTP --------------------------------------------------------------------------------------


@dataclass
class SimulatedServer(FeedServer):
    """The server of a simulated system on loopback; `url` is its base, with a trailing slash."""

    closing: threading.Event
    requests: dict[str, int]  # by file

    def url_of(self, file: str) -> str:
        """Return the URL of a file, such as station_status or gbfs."""
        return f"{self.url}{file}.json"

    def close(self) -> None:
        """Stop listening, and release requests that hang."""
        self.closing.set()
        super().close()


def serve_system(
    system: SimulatedSystem, now: Callable[[], datetime], *, hang_s: float = HANG_S
) -> SimulatedServer:
    """Start a server for a simulated system, with the files of the minute that `now` returns.

    The folder of a requested path does not matter. Responses have an ETag; a request whose If-None-Match has it gets
    304. gbfs.json never has a fault; transfer faults apply to the other files.
    """
    closing = threading.Event()
    requests: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            file = self.path.partition("?")[0].rpartition("/")[2].removesuffix(".json")
            requests[file] = requests.get(file, 0) + 1
            try:
                body = system.document(file, now().replace(second=0, microsecond=0), server_url())
            except KeyError:
                self.respond(HTTPStatus.NOT_FOUND, b"not found\n")
                return
            fault = next((each for each in TRANSFER_FAULTS if each in system.faults), None)
            if fault is None or file == "gbfs" or self.path.endswith("?moved"):
                self.respond_with(body)
            else:
                self.strike(fault, body)

        def strike(self, fault: str, body: bytes) -> None:
            match fault:
                case "cut":
                    self.respond(HTTPStatus.OK, body[: len(body) // 2])
                case "error":
                    self.respond(HTTPStatus.INTERNAL_SERVER_ERROR, b"oops\n")
                case "hang":
                    closing.wait(hang_s)
                    self.close_connection = True
                case "html":
                    self.respond(HTTPStatus.OK, b"<!DOCTYPE html><html>maintenance</html>")
                case "moved":
                    self.respond(HTTPStatus.FOUND, b"", Location=f"{self.path}?moved")
                case "too_many":
                    self.respond(HTTPStatus.TOO_MANY_REQUESTS, b"", **{"Retry-After": str(RETRY_AFTER_S)})

        def respond_with(self, body: bytes) -> None:
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == etag:
                self.respond(HTTPStatus.NOT_MODIFIED, b"", ETag=etag)
            else:
                self.respond(HTTPStatus.OK, body, ETag=etag)

        def respond(self, status: HTTPStatus, body: bytes, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
            """Log nothing: the function logs its requests."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True

    def server_url() -> str:
        return f"http://{LOOPBACK}:{server.server_address[1]}/"

    serve = partial(server.serve_forever, poll_interval=0.05)  # the longest time that `close` takes
    threading.Thread(target=serve, name="GBFS system", daemon=True).start()
    return SimulatedServer(server_url(), server, closing, requests)
