"""A double of the metadata server that every Google Cloud workload asks who it is.

Each service account has its own loopback port, so that the token tells who calls: `local:<e-mail>`.
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
    """Answers for the service accounts of one project, on one loopback port each."""

    def __init__(self, project: str, project_number: str, region: str) -> None:
        self.project, self.project_number, self.region = project, project_number, region
        self._servers: dict[str, ThreadingHTTPServer] = {}
        self._lock = threading.Lock()

    def host_for(self, email: str) -> str:
        """Return the `host:port` that answers as that service account, listening from now on."""
        with self._lock:
            if email not in self._servers:
                server = _listen(self, email)
                serve = partial(server.serve_forever, poll_interval=0.1)  # how long `close` may take
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
        """Return what lies at a path below /computeMetadata/v1/: a text or JSON, None when nothing does."""
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
    """Return the e-mail without `.gserviceaccount.com`, the form that database users have.

    google.auth asks iamcredentials.googleapis.com, over the internet, where a service account of the full
    form may be used; nothing that runs here has any business there.
    """
    return email.removesuffix(".gserviceaccount.com")


def access_token(email: str) -> dict[str, Any]:
    """Return an access token's JSON; the token names the service account and opens nothing elsewhere."""
    return {"access_token": TOKEN_PREFIX + email, "expires_in": TOKEN_LIFETIME_S, "token_type": "Bearer"}


def parse_access_token(authorization: str) -> str | None:
    """Return the service account that an Authorization header names, None where its token is none of ours."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.startswith(TOKEN_PREFIX):
        return None
    return token.removeprefix(TOKEN_PREFIX).strip() or None


def identity_token(email: str, audience: str, now: float) -> str:
    """Return an unsigned JWT (RFC 7519 §6) with the claims of Google's identity tokens; `now` in seconds."""
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
    """Return the claims of the identity token in an Authorization header, None where it holds none of ours."""
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
                self._send(HTTPStatus.NOT_FOUND, f"nothing at {url.path}")
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
            """Tokens are asked for every hour by every workload: nothing to tell."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    return server
