"""The two doors through which workloads reach their data, each with somebody who asks who they are."""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests

from local.data_plane.emulators import Emulators, open_session
from local.environment.environment import LocalEnvironment
from local.environment.metadata_server import parse_access_token
from local.http.faults import Faults
from local.http.proxy import Proxy, Reply, Verdict
from local.http.request import InvalidCallError, Request
from local.iam_proxy import bigquery, storage
from local.iam_proxy.access import Access, DeniedError, UndecidableError, UnknownCallerError
from local.iam_proxy.permissions import Asked, UnansweredError
from local.processes.disk import connect, retry_while_disk_full

LOG = logging.getLogger(__name__)
LOOK_TIMEOUT_S = 60
# Google's reasons and statuses: https://cloud.google.com/storage/docs/json_api/v1/status-codes,
# https://cloud.google.com/bigquery/docs/error-messages
REASONS = {
    400: ("invalid", "INVALID_ARGUMENT"),
    401: ("authError", "UNAUTHENTICATED"),
    403: ("forbidden", "PERMISSION_DENIED"),
    500: ("internalError", "INTERNAL"),
    501: ("notImplemented", "UNIMPLEMENTED"),
}


class IamProxy:
    """Lets workloads do in the emulators what their roles permit; `doors` is where they knock."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._project = environment.project
        self._access = environment.service(Access)
        self._owners = JobOwners(environment.folder / "jobs.sqlite")
        self._gcs_url = environment.gcs_url
        self._session = open_session()
        self.faults = Faults()
        self._storage = Proxy("storage guard", environment.gcs_url, self._judge_storage, self.faults)
        self._bigquery = Proxy("BigQuery guard", environment.bigquery_url, self._judge_bigquery, self.faults)
        self.workload_endpoints = Emulators(self._storage.url, self._bigquery.url)

    def close(self) -> None:
        """Let nobody through any more."""
        self._storage.close()
        self._bigquery.close()

    def _judge_storage(self, request: Request) -> Verdict:
        anonymous = "Anonymous caller does not have storage access: the request carries no access token."

        def judge(identity: str) -> Verdict:
            asked = storage.asked(request, self._project)
            self._access.check(identity, asked.needs)
            self._check_replaced(identity, asked)
            is_media = request.query.get("alt") == "media" or request.path.startswith("/download/")
            return Verdict(seen=lambda reply: self._hidden(identity, asked, reply), is_media=is_media)

        return self._judged(request, judge, anonymous, forbidden="forbidden")

    def _judge_bigquery(self, request: Request) -> Verdict:
        anonymous = (
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or "
            "other valid authentication credential."
        )

        def judge(identity: str) -> Verdict:
            self._access.check(identity, bigquery.asked(request, self._owners.of, identity).needs)
            begins_job = request.method in ("POST", "PUT") and request.path.endswith(("/jobs", "/queries"))
            return Verdict(seen=lambda reply: self._owned(identity, reply) if begins_job else reply)

        return self._judged(request, judge, anonymous, forbidden="accessDenied")

    def _judged(
        self, request: Request, judge: Callable[[str], Verdict], anonymous: str, *, forbidden: str
    ) -> Verdict:
        try:
            return judge(self._caller(request, anonymous))
        except DeniedError as error:
            return Verdict(_refusal(403, str(error), forbidden, error.details))
        except UnknownCallerError as error:
            return Verdict(_refusal(401, str(error)))
        except InvalidCallError as error:
            return Verdict(_refusal(400, str(error)))
        except (UnansweredError, UndecidableError) as error:
            LOG.error("%s", error)  # noqa: TRY400 - a sentence for the user, whose trace tells nothing
            return Verdict(_refusal(501, str(error)))
        except Exception as error:  # a fault of ours must not look like a broken network
            LOG.exception("%s %s", request.method, request.target)
            return Verdict(_refusal(500, f"{type(error).__name__}: {error}"))

    def _caller(self, request: Request, anonymous: str) -> str:
        authorization = request.headers.get("authorization", "")
        if not authorization:
            raise UnknownCallerError(anonymous)
        identity = parse_access_token(authorization)
        if identity is None or not self._access.is_known(identity):
            raise UnknownCallerError(
                f"Invalid Credentials: no account of {self._project} has this token"
                + (f" ({identity})" if identity else "")
            )
        return identity

    def _check_replaced(self, identity: str, asked: Asked) -> None:
        """Raise DeniedError where the call would replace an object and the caller may only create some."""
        if asked.if_there and not all(self._access.allows(identity, need) for need in asked.if_there):
            found = self._session.get(self._gcs_url + asked.target, timeout=LOOK_TIMEOUT_S)
            if found.status_code == requests.codes.ok:
                self._access.check(identity, asked.if_there)

    def _hidden(self, identity: str, asked: Asked, reply: Reply) -> Reply:
        """Who may not list a bucket does not hear what is not in it."""
        if reply.status != requests.codes.not_found or not asked.to_hear_404:
            return reply
        try:
            self._access.check(identity, asked.to_hear_404)
        except DeniedError as error:
            return _refusal(403, str(DeniedError(identity, asked.needs[0])), "forbidden", error.details)
        except UndecidableError as error:
            return _refusal(501, str(error))
        return reply

    def _owned(self, identity: str, reply: Reply) -> Reply:
        if reply.status == requests.codes.ok:
            reference = json.loads(reply.body or b"{}").get("jobReference", {})
            if reference.get("jobId"):
                self._owners.put(reference.get("projectId", self._project), reference["jobId"], identity)
        return reply


class JobOwners:
    """Who began which BigQuery job, kept as long as the emulator keeps the jobs."""

    def __init__(self, file: Path) -> None:
        self._database = connect(file, synchronous="OFF")
        self._lock = threading.Lock()
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS owners (project TEXT, job TEXT, owner TEXT, PRIMARY KEY (project, job))"
        )

    def of(self, project: str, job: str) -> str | None:
        """Return the e-mail of who began a job, None where nobody did through here."""
        with self._lock:
            row = self._database.execute(
                "SELECT owner FROM owners WHERE project = ? AND job = ?", [project, job]
            ).fetchone()
        return str(row[0]) if row else None

    @retry_while_disk_full
    def put(self, project: str, job: str, owner: str) -> None:
        """Remember who began a job."""
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO owners VALUES (?, ?, ?)", [project, job, owner])


def _refusal(status: int, message: str, reason: str = "", details: Sequence[dict[str, Any]] = ()) -> Reply:
    """An error as Google's JSON APIs write it: https://cloud.google.com/apis/design/errors#http_mapping."""
    default, name = REASONS[status]
    error: dict[str, object] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason or default}],
        "status": name,
    }
    if details:
        error["details"] = list(details)
    return Reply(status, json.dumps({"error": error}).encode())
