"""Restore the identity pool of an earlier bootstrap: a deleted pool reserves its ID for 30 days.

https://cloud.google.com/iam/docs/manage-workload-identity-pools-providers#delete-pool
"""

import time
from collections.abc import Callable

from cdk.settings import Settings
from operate.cloud import ApiError, Cloud
from operate.errors import OperateError

WAIT_SECONDS, POLL_SECONDS = 60.0, 2.0
DELETED = "DELETED"
ABSENT = frozenset({403, 404})  # also where its API is not enabled yet


def restore_identity_pool(
    cloud: Cloud,
    settings: Settings,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Undelete the pool and its provider if they were deleted; Terraform then imports them.

    Raises OperateError if one is not restored.
    """
    for path in (settings.ci_pool_path, settings.ci_provider_path):
        state = _fetch_state(cloud, path)
        if state is None:
            return
        if state == DELETED:
            _undelete(cloud, path)
            deadline = clock() + WAIT_SECONDS
            while _fetch_state(cloud, path) == DELETED:
                if clock() > deadline:
                    raise OperateError(
                        f"{path} is still deleted {WAIT_SECONDS:.0f} s after it was undeleted: run this again later"
                    )
                sleep(POLL_SECONDS)


def _fetch_state(cloud: Cloud, path: str) -> str | None:
    try:
        return str(cloud.call("GET", f"{cloud.endpoints.iam_beta}{path}").get("state", "ACTIVE"))
    except ApiError as error:
        if error.status in ABSENT:
            return None
        raise OperateError(f"{path} cannot be looked up: {error}; run this again") from None


def _undelete(cloud: Cloud, path: str) -> None:
    try:
        cloud.call("POST", f"{cloud.endpoints.iam_beta}{path}:undelete", json={})
    except ApiError as error:
        raise OperateError(
            f"{path} was deleted less than 30 days ago and cannot be undeleted: {error}; "
            "undelete it in the console, then run this again"
        ) from None
