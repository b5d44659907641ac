"""Fake REST APIs of Google, which find a resource if the fake provider has its document.

The fake registry has every image, so that the deploy builds none.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from operate.deployment.adoption import LISTED, LOOKUPS


@contextmanager
def serve_rest_api(documents: Path) -> Iterator[dict[str, str]]:
    """Serve the APIs on loopback, and yield the environment variables that point to them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = _find_response(documents, unquote(urlsplit(self.path).path))
            body = json.dumps(
                found if found is not None else {"error": {"message": "no such document"}}
            ).encode()
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_response(200 if "/manifests/" in self.path else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    services = {way.service for way in LOOKUPS.values()} | {"monitoring"}
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield {
            **{f"GOOGLE_{each.upper()}_CUSTOM_ENDPOINT": f"{url}/{each}/" for each in services},
            "VLILLE_REGISTRY_ENDPOINT": f"{url}/registry",
        }
    finally:
        server.shutdown()
        server.server_close()


def _find_response(documents: Path, path: str) -> dict[str, Any] | None:
    _, service, rest = path.split("/", 2)
    for kind, way in LOOKUPS.items():
        if way.service == service and any(
            way.path.format_map(each) == rest for each in _read_documents(documents, kind)
        ):
            return {}
    for kind, collection in LISTED.items():
        if service == "monitoring" and rest.endswith(f"/{collection}"):
            return {
                collection: [
                    {"name": each["id"], "displayName": each["display_name"]}
                    for each in _read_documents(documents, kind)
                ]
            }
    return None


def _read_documents(documents: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted((documents / kind).glob("*.json"))]
