"""The feed's API in a local run: the real one, recorded responses, or the feed's sample with moving bikes."""

import json
import math
import os
import threading
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from feed import (
    Column,
    Feed,
    add_query,
    combine_responses,
    parse_response,
    redact_secrets,
    resolve_parameters,
    secret_variable_name,
    split_response,
)
from feed.model import ROOT
from feed.parsing.join import Join
from feed.paths import FieldPath, find_values
from local.errors import LocalError
from local.processes.ports import LOOPBACK

PROBE_S = 4.0
RESPONSE_LIMIT = 64 * 2**20
USER_AGENT = "vlille (local run)"


class ResponseSource(Protocol):
    """A source of responses; `description` is printed for the user."""

    @property
    def description(self) -> str:
        """The source in a few words."""
        ...

    def response_at(self, minute: datetime) -> bytes:
        """Return the response of a minute, always the same."""
        ...


class EvolvingSample:
    """The feed's sample with bikes that come and go; a sample without the common columns stays as it is."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        common = feed.common
        self._bikes = _column_path(feed, common.num_bikes_available)
        self._docks = _column_path(feed, common.num_docks_available)
        self._times = [c for c in feed.columns if c.type == "TIMESTAMP" and c.mode != "REPEATED" and c.path]
        self._newest_times = _newest_times(feed, self._times)
        is_evolving = feed.response_format.is_json_array and (self._bikes or self._times)
        moves = "evolving" if is_evolving else "unchanging"
        self.description = f"the {moves} sample of {feed.name}"

    def response_at(self, minute: datetime) -> bytes:
        """Return the sample as of a minute."""
        if not self._feed.response_format.is_json_array:
            return self._feed.sample
        response = json.loads(self._feed.sample)
        document = split_response(response)[0] if self._feed.join else response
        records = next(find_values(document, self._feed.records))
        for number, record in enumerate(records):
            self._move_bikes(record, number, minute)
        for column in (each for each in self._times if each.name in self._newest_times):
            later = _shift_time(minute - self._newest_times[column.name], column)
            for holder in [{ROOT: document}] if column.path[0] == ROOT else records:
                _change_value(holder, column.path, later)
        return json.dumps(response, ensure_ascii=False).encode()

    def _move_bikes(self, record: Any, number: int, minute: datetime) -> None:
        """Change the bikes of a station in waves of its own; the sum of bikes and docks stays the same."""
        bikes = _read_number(record, self._bikes)
        if bikes is None or self._bikes is None:
            return
        docks = _read_number(record, self._docks)
        capacity = bikes + (docks if docks is not None else 10)
        now = evolve_bikes(bikes, capacity, number, int(minute.timestamp()) // 60)
        _change_value(record, self._bikes, lambda old: type(old)(now))
        if docks is not None and self._docks is not None:
            _change_value(record, self._docks, lambda old: type(old)(capacity - now))


def evolve_bikes(bikes: int, capacity: int, station: int, minute: int) -> int:
    """Return a station's bikes at a minute since 1970, given `bikes` of `capacity` in the sample.

    They follow a wave with a period of half an hour to an hour and an amplitude of a quarter of the capacity; 0 ≤
    result ≤ capacity.
    """
    period = 30 + station * 7 % 31
    wave = math.sin(2 * math.pi * minute / period + station)
    return max(0, min(capacity, bikes + round(wave * capacity / 4)))


@dataclass
class FeedServer:
    """An HTTP server on loopback that serves the responses of a source."""

    url: str
    server: ThreadingHTTPServer

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()


def serve_feed(source: ResponseSource, now: Callable[[], datetime], join: Join | None = None) -> FeedServer:
    """Start a server that responds to each GET with the response of the minute that `now` returns.

    The second file of a joined feed has an address of its own, which is 404 where a minute's response has only the
    first file.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            try:
                body = source.response_at(now().replace(second=0, microsecond=0))
            except LocalError as error:
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=str(error))
                return
            if join is not None:
                first, second = _split_joined(body)
                is_second = self.path.partition("?")[0] == join.reference.partition("?")[0]
                if is_second and second is None:
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                body = second or b"" if is_second else first
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
            """Log nothing: the function logs its requests."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    serve = partial(server.serve_forever, poll_interval=0.05)  # the longest time that `close` takes
    threading.Thread(target=serve, name="feed API", daemon=True).start()
    return FeedServer(f"http://{LOOPBACK}:{server.server_address[1]}/", server)


def _split_joined(body: bytes) -> tuple[bytes, bytes | None]:
    """Return the two files of a joined response; any other body is the first file, without a second."""
    try:
        first, second = split_response(json.loads(body))
    except ValueError:
        return body, None
    if second is None:
        return json.dumps(first, ensure_ascii=False).encode(), None
    return json.dumps(first, ensure_ascii=False).encode(), json.dumps(second, ensure_ascii=False).encode()


def probe_api(feed: Feed, url: str) -> str | None:
    """Request the real API once; return None where it returns rows within 4 s, else why it cannot be used.

    The request has the feed's parameters and headers, with the values of secrets from environment variables, which the
    reason does not repeat.
    """
    variables = {name: secret_variable_name(name) for name in feed.secrets}
    if missing := [variable for variable in variables.values() if not os.environ.get(variable)]:
        return f"it needs a secret: set the variable {missing[0]} to its value"
    secrets = {name: os.environ[variable] for name, variable in variables.items()}
    query, headers = (resolve_parameters(each, secrets) for each in (feed.query, feed.headers))
    reason = _explain_probe(feed, add_query(url, query), query, headers)
    return None if reason is None else redact_secrets(reason, secrets.values())


def _explain_probe(feed: Feed, url: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    try:
        body = fetch_with_deadline(url, headers)
        if feed.join is not None:
            second = fetch_with_deadline(add_query(feed.join.url(url), query), headers)
            body = combine_responses(body, second)
    except OSError as error:
        return str(error)
    outcome = parse_response(feed, body, datetime.now(UTC))
    if not outcome.rows:
        reason = outcome.rejections[0].message if outcome.rejections else "no records"
        return f"its response has no rows for {feed.name} ({reason})"
    return None


def fetch_with_deadline(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the response body of a URL. Raises OSError, with the reason, where there is none within 4 s."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="probe")
    pending = pool.submit(_fetch, url, headers or {})
    pool.shutdown(wait=False)
    try:
        return pending.result(PROBE_S)
    except FutureTimeoutError:
        raise OSError(f"it does not respond within {PROBE_S:.0f} s") from None
    except (OSError, ValueError) as error:
        raise OSError(f"it cannot be reached ({getattr(error, 'reason', error)})") from error


def _fetch(url: str, headers: Mapping[str, str]) -> bytes:
    request = urllib.request.Request(url)  # noqa: S310  (checked below)
    for name, value in {"User-Agent": USER_AGENT, **headers}.items():
        request.add_unredirected_header(name, value)  # another host gets no API key
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is not an HTTP URL")
    with urllib.request.urlopen(request, timeout=PROBE_S) as response:  # noqa: S310
        body: bytes = response.read(RESPONSE_LIMIT)
    return body


def _column_path(feed: Feed, column: str | None) -> FieldPath | None:
    return feed.column(column).path or None if column else None


def _newest_times(feed: Feed, columns: list[Column]) -> dict[str, datetime]:
    """Return the newest time in the sample of each column that has one."""
    rows = parse_response(feed, feed.sample, datetime.now(UTC)).rows
    newest = {}
    for column in columns:
        times = [row[column.name] for row in rows if isinstance(row.get(column.name), datetime)]
        if times:
            newest[column.name] = max(times)
    return newest


def _read_number(record: Any, path: FieldPath | None) -> int | None:
    """Return the integer at a path, also where it is written as a text or as 7.0."""
    value = next(find_values(record, path), None) if path else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _change_value(record: Any, path: FieldPath, change: Callable[[Any], Any]) -> None:
    holder = next(find_values(record, path[:-1]), None)
    if holder is None or next(find_values(record, path), None) is None:
        return
    holder[path[-1]] = change(holder[path[-1]])


def _shift_time(shift: timedelta, column: Column) -> Callable[[Any], Any]:
    """Return a function that shifts a timestamp and keeps the API's format."""
    per_second = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000}.get(column.unit or "", 1)

    def move(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return value
        if not isinstance(value, str):
            return value + type(value)(shift.total_seconds() * per_second)
        try:
            moved = datetime.fromisoformat(value) + shift
        except ValueError:
            return value
        text = moved.isoformat(timespec="milliseconds" if "." in value else "seconds")
        return text.replace("+00:00", "Z") if value.endswith("Z") else text

    return move
