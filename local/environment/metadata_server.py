"""An emulator of the metadata server, which tells a workload its project, its service account and its tokens.

Each service account has its own loopback port, so that the token can name the caller: `local:<e-mail>`.
https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
"""

import base64
import json
import threading
import time
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.processes.ports import LOOPBACK

TOKEN_LIFETIME_S = 3600
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
JWT_HEADER = {"alg": "none", "typ": "JWT"}
TOKEN_PREFIX = "local:"  # noqa: S105  (not a secret: it names the caller)


class MetadataServer:
    """Serves the metadata of one project's service accounts, each on its own loopback port."""

    def __init__(self, project: str, project_number: str, region: str) -> None:
        self.project, self.project_number, self.region = project, project_number, region
        self._servers: dict[str, ThreadingHTTPServer] = {}
        self._lock = threading.Lock()

    def host_for(self, email: str) -> str:
        """Return the `host:port` of a service account's metadata, and start to listen there."""
        with self._lock:
            if email not in self._servers:
                server = _listen(self, email)
                serve = partial(
                    server.serve_forever, poll_interval=0.1
                )  # the longest time that `close` takes
                threading.Thread(target=serve, name=f"metadata {email}", daemon=True).start()
                self._servers[email] = server
            return f"{LOOPBACK}:{self._servers[email].server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        with self._lock:
            for server in self._servers.values():
                server.shutdown()
                server.server_close()
            self._servers.clear()

    def respond(self, email: str, path: str, query: dict[str, str]) -> Any | None:
        """Return the value at a path below /computeMetadata/v1/, a text or JSON, or None where there is none."""
        prefix = "instance/service-accounts/"
        if path.startswith(prefix):
            account, _, rest = path.removeprefix(prefix).partition("/")
            return (
                self._respond_for_account(email, rest, query)
                if account in ("default", email, short_email(email))
                else None
            )
        zone = f"projects/{self.project_number}/zones/{self.region}-b"
        return {
            "project/project-id": self.project,
            "project/numeric-project-id": self.project_number,
            "universe/universe-domain": "googleapis.com",
            "universe/universe_domain": "googleapis.com",
            "instance/region": f"projects/{self.project_number}/regions/{self.region}",
            "instance/zone": zone,
            "instance/id": self.project_number,
            "instance/service-accounts": f"default/\n{email}/\n",
        }.get(path)

    def _respond_for_account(self, email: str, path: str, query: dict[str, str]) -> Any | None:
        if path == "identity":
            return identity_token(email, query["audience"], time.time()) if query.get("audience") else None
        return {
            "": {"aliases": ["default"], "email": short_email(email), "scopes": list(SCOPES)}
            if query.get("recursive") == "true"
            else "aliases\nemail\nidentity\nscopes\ntoken\n",
            "email": email,
            "scopes": "\n".join(SCOPES),
            "token": access_token(email),
        }.get(path)


def short_email(email: str) -> str:
    """Return the e-mail without `.gserviceaccount.com`, as database users have it.

    With the full e-mail, google.auth would call iamcredentials.googleapis.com over the internet.
    """
    return email.removesuffix(".gserviceaccount.com")


def access_token(email: str) -> dict[str, Any]:
    """Return the JSON of an access token. The token names the service account and grants access to nothing real."""
    return {"access_token": TOKEN_PREFIX + email, "expires_in": TOKEN_LIFETIME_S, "token_type": "Bearer"}


def parse_access_token(authorization: str) -> str | None:
    """Return the e-mail in an Authorization header's access token, or None where this server did not issue the
    token.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.startswith(TOKEN_PREFIX):
        return None
    return token.removeprefix(TOKEN_PREFIX).strip() or None


def identity_token(email: str, audience: str, now: float) -> str:
    """Return an unsigned JWT (RFC 7519 §6) with the claims of Google's identity tokens; `now` is in seconds."""
    claims = {
        "aud": audience,
        "azp": email,
        "email": email,
        "email_verified": True,
        "exp": int(now) + TOKEN_LIFETIME_S,
        "iat": int(now),
        "iss": "https://accounts.google.com",
        "sub": email,
    }
    return ".".join([_base64(JWT_HEADER), _base64(claims), ""])


def parse_identity_token(authorization: str) -> dict[str, Any] | None:
    """Return the claims of an Authorization header's identity token, or None where this server did not issue it."""
    scheme, _, token = authorization.partition(" ")
    header, _, rest = token.partition(".")
    if scheme.lower() != "bearer" or header != _base64(JWT_HEADER):
        return None
    payload = rest.partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def _base64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _listen(metadata: MetadataServer, email: str) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            path = url.path.strip("/")
            if path == "":
                self._send(HTTPStatus.OK, "computeMetadata/\n")
            elif self.headers.get("Metadata-Flavor") != "Google":
                self._send(HTTPStatus.FORBIDDEN, "Missing required header: Metadata-Flavor: Google")
            elif (
                found := metadata.respond(email, path.removeprefix("computeMetadata/v1").strip("/"), query)
            ) is None:
                self._send(HTTPStatus.NOT_FOUND, f"{url.path} does not exist")
            else:
                self._send(HTTPStatus.OK, found)

        def _send(self, status: HTTPStatus, value: Any) -> None:
            text = isinstance(value, str)
            body = (value if text else json.dumps(value)).encode()
            self.send_response(status)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", "application/text" if text else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
            """Log nothing: every workload requests tokens every hour."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    return server
