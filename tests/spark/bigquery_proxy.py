"""A proxy of the BigQuery emulator that adds failures of BigQuery which the emulator does not have."""

import json
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import requests

FORWARDED = ("content-type", "location", "etag")
TIMEOUT_S = 60


class BigQueryProxy:
    """Forwards requests to an emulator; job calls must have a location, as outside of US and EU."""

    def __init__(self, upstream: str) -> None:
        self.located: list[str] = []  # method and path of job calls with a location
        self.unlocated: list[str] = []  # of those without one
        self.losing: Counter[bytes] = Counter()  # part of a request → how many responses to it get lost
        self.refusing: set[bytes] = set()  # parts of requests that are refused
        bigquery_proxy, session = self, requests.Session()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if bigquery_proxy._is_unlocated(self.command, self.path, body):
                    self._fail(404, "notFound", f"{self.path} was not found in location US")
                elif any(words in body for words in bigquery_proxy.refusing):
                    self._fail(403, "accessDenied", "Access Denied")
                else:
                    response = session.request(
                        self.command,
                        upstream + self.path,
                        data=body,
                        headers={
                            name: value for name, value in self.headers.items() if name.lower() != "host"
                        },
                        allow_redirects=False,
                        timeout=TIMEOUT_S,
                    )
                    if self.command == "POST" and bigquery_proxy._is_lost(body):
                        self._fail(503, "backendError", "Service Unavailable")
                    else:
                        self._respond(response.status_code, response.content, response.headers)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - http.server's names

            def _fail(self, status: int, reason: str, message: str) -> None:
                error = {"code": status, "message": message, "errors": [{"reason": reason}]}
                self._respond(status, json.dumps({"error": error}).encode(), {})

            def _respond(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() in FORWARDED:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _is_unlocated(self, method: str, path: str, body: bytes) -> bool:
        parts = urlsplit(path)
        if not {"jobs", "queries"} & set(parts.path.split("/")):
            return False
        is_located = b'"location"' in body or "location" in parse_qs(parts.query)
        (self.located if is_located else self.unlocated).append(f"{method} {parts.path}")
        return not is_located

    def _is_lost(self, body: bytes) -> bool:
        for words in self.losing:
            if words in body and self.losing[words]:
                self.losing[words] -= 1
                return True
        return False
