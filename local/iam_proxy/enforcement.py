"""Enforces the stack's roles: a proxy in front of each data plane emulator."""

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
from local.http.proxy import Decision, Proxy, ProxyResponse
from local.http.request import InvalidRequestError, Request
from local.iam_proxy import bigquery, storage
from local.iam_proxy.access import AccessControl
from local.iam_proxy.denials import DeniedError, UnauthenticatedError, UndecidableError
from local.iam_proxy.permissions import RequestPermissions, UnknownMethodError
from local.processes.disk import connect_sqlite, retry_while_disk_full

LOG = logging.getLogger(__name__)
LOOKUP_TIMEOUT_S = 60
# Google's error reasons and statuses: https://cloud.google.com/storage/docs/json_api/v1/status-codes,
# https://cloud.google.com/bigquery/docs/error-messages
REASONS = {
    400: ("invalid", "INVALID_ARGUMENT"),
    401: ("authError", "UNAUTHENTICATED"),
    403: ("forbidden", "PERMISSION_DENIED"),
    500: ("internalError", "INTERNAL"),
    501: ("notImplemented", "UNIMPLEMENTED"),
}


class IamProxy:
    """Forwards the requests that a workload's roles permit; `workload_endpoints` has the URLs for workloads."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._project = environment.project
        self._access = environment.service(AccessControl)
        self._owners = JobOwnerStore(environment.folder / "jobs.sqlite")
        self._gcs_url = environment.gcs_url
        self._session = open_session()
        self.faults = Faults()
        self._storage = Proxy("storage IAM proxy", environment.gcs_url, self._decide_storage, self.faults)
        self._bigquery = Proxy(
            "BigQuery IAM proxy", environment.bigquery_url, self._decide_bigquery, self.faults
        )
        self.workload_endpoints = Emulators(self._storage.url, self._bigquery.url)

    def close(self) -> None:
        """Stop listening."""
        self._storage.close()
        self._bigquery.close()

    def _decide_storage(self, request: Request) -> Decision:
        anonymous = "Anonymous caller does not have storage access: the request carries no access token."

        def decide(identity: str) -> Decision:
            permissions = storage.required_permissions(request, self._project)
            self._access.check(identity, permissions.required)
            self._check_overwrite(identity, permissions)
            is_media = request.query.get("alt") == "media" or request.path.startswith("/download/")
            return Decision(
                inspect=lambda response: self._hide_absence(identity, permissions, response),
                is_media=is_media,
            )

        return self._decide(request, decide, anonymous, forbidden="forbidden")

    def _decide_bigquery(self, request: Request) -> Decision:
        anonymous = (
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or "
            "other valid authentication credential."
        )

        def decide(identity: str) -> Decision:
            self._access.check(
                identity, bigquery.required_permissions(request, self._owners.find, identity).required
            )
            begins_job = request.method in ("POST", "PUT") and request.path.endswith(("/jobs", "/queries"))
            return Decision(
                inspect=lambda response: (
                    self._record_job_owner(identity, response) if begins_job else response
                )
            )

        return self._decide(request, decide, anonymous, forbidden="accessDenied")

    def _decide(
        self, request: Request, decide: Callable[[str], Decision], anonymous: str, *, forbidden: str
    ) -> Decision:
        try:
            return decide(self._authenticate(request, anonymous))
        except DeniedError as error:
            return Decision(_error_response(403, str(error), forbidden, error.details))
        except UnauthenticatedError as error:
            return Decision(_error_response(401, str(error)))
        except InvalidRequestError as error:
            return Decision(_error_response(400, str(error)))
        except (UnknownMethodError, UndecidableError) as error:
            LOG.error("%s", error)  # noqa: TRY400 - a message for the user; a traceback adds nothing
            return Decision(_error_response(501, str(error)))
        except Exception as error:  # an error of the proxy must not look like a network failure
            LOG.exception("%s %s", request.method, request.target)
            return Decision(_error_response(500, f"{type(error).__name__}: {error}"))

    def _authenticate(self, request: Request, anonymous: str) -> str:
        authorization = request.headers.get("authorization", "")
        if not authorization:
            raise UnauthenticatedError(anonymous)
        identity = parse_access_token(authorization)
        if identity is None or not self._access.is_known(identity):
            raise UnauthenticatedError(
                f"Invalid Credentials: no account of {self._project} has this token"
                + (f" ({identity})" if identity else "")
            )
        return identity

    def _check_overwrite(self, identity: str, permissions: RequestPermissions) -> None:
        """Raise DeniedError where the request would overwrite an object and the caller may only create objects."""
        if permissions.to_overwrite and not all(
            self._access.is_allowed(identity, need) for need in permissions.to_overwrite
        ):
            found = self._session.get(self._gcs_url + permissions.overwritten_path, timeout=LOOKUP_TIMEOUT_S)
            if found.status_code == requests.codes.ok:
                self._access.check(identity, permissions.to_overwrite)

    def _hide_absence(
        self, identity: str, permissions: RequestPermissions, response: ProxyResponse
    ) -> ProxyResponse:
        """Turn a 404 into a 403 for a caller that may not list the bucket."""
        if response.status != requests.codes.not_found or not permissions.to_reveal_absence:
            return response
        try:
            self._access.check(identity, permissions.to_reveal_absence)
        except DeniedError as error:
            return _error_response(
                403, str(DeniedError(identity, permissions.required[0])), "forbidden", error.details
            )
        except UndecidableError as error:
            return _error_response(501, str(error))
        return response

    def _record_job_owner(self, identity: str, response: ProxyResponse) -> ProxyResponse:
        if response.status == requests.codes.ok:
            reference = json.loads(response.body or b"{}").get("jobReference", {})
            if reference.get("jobId"):
                self._owners.put(reference.get("projectId", self._project), reference["jobId"], identity)
        return response


class JobOwnerStore:
    """The owners of BigQuery jobs, stored as long as the emulator stores the jobs."""

    def __init__(self, file: Path) -> None:
        self._database = connect_sqlite(file, synchronous="OFF")
        self._lock = threading.Lock()
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS owners (project TEXT, job TEXT, owner TEXT, PRIMARY KEY (project, job))"
        )

    def find(self, project: str, job: str) -> str | None:
        """Return the e-mail of a job's owner, or None where no workload created it."""
        with self._lock:
            row = self._database.execute(
                "SELECT owner FROM owners WHERE project = ? AND job = ?", [project, job]
            ).fetchone()
        return str(row[0]) if row else None

    @retry_while_disk_full
    def put(self, project: str, job: str, owner: str) -> None:
        """Store a job's owner."""
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO owners VALUES (?, ?, ?)", [project, job, owner])


def _error_response(
    status: int, message: str, reason: str = "", details: Sequence[dict[str, Any]] = ()
) -> ProxyResponse:
    """Return an error in the format of Google's JSON APIs: https://cloud.google.com/apis/design/errors#http_mapping."""
    default, name = REASONS[status]
    error: dict[str, object] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason or default}],
        "status": name,
    }
    if details:
        error["details"] = list(details)
    return ProxyResponse(status, json.dumps({"error": error}).encode())
