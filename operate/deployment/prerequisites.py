"""Check the prerequisites of each command before it begins; report everything that is missing, with the remedy."""

from collections.abc import Callable, Mapping

from cdk.apis import FIRST, list_needed_apis
from cdk.settings import Settings
from operate.cloud import ApiError, Cloud, CredentialsError
from operate.deployment.terraform import find_terraform
from operate.errors import OperateError
from operate.state.bucket import find_bucket

TERRAFORM, PROJECT, BUCKET, APIS, FIRST_APIS = "terraform", "project", "bucket", "apis", "first apis"
NEEDS: dict[str, tuple[str, ...]] = {
    "bootstrap": (TERRAFORM, PROJECT, FIRST_APIS),
    "unbootstrap": (TERRAFORM, PROJECT, FIRST_APIS),
    "deploy": (TERRAFORM, PROJECT, BUCKET, APIS),
    "diff": (TERRAFORM, PROJECT, BUCKET, APIS),
    "plan": (TERRAFORM, PROJECT, BUCKET, APIS),
    "apply": (TERRAFORM, PROJECT, BUCKET, APIS),
    "destroy": (TERRAFORM, PROJECT, BUCKET, APIS),
    "outputs": (TERRAFORM, BUCKET),
    "unlock": (BUCKET,),
    # These call the deployed system, and report themselves what does not respond.
    **dict.fromkeys(
        ("smoke", "run", "pause", "resume", "logs", "orphans", "backfill", "open", "sql", "export"), ()
    ),
}
PAGE = 200
ACTIVE = "ACTIVE"


def find_missing_prerequisites(
    command: str,
    settings: Settings,
    *,
    environ: Mapping[str, str],
    connect: Callable[[], Cloud],
    secrets: bool = False,
) -> list[str]:
    """Return a message for each missing prerequisite of a command.

    Terraform is searched on the PATH of `environ`; `connect` raises CredentialsError without credentials; `secrets` is
    True if a request needs Secret Manager. Checks that need credentials, or a project that exists, are skipped without.
    """
    needs = NEEDS[command]
    problems: list[str] = []
    try:
        if TERRAFORM in needs:
            find_terraform(environ)
    except OperateError as error:
        problems.append(str(error))
    try:
        problems += _missing_in_cloud(needs, settings, connect(), secrets=secrets)
    except CredentialsError as error:
        problems.append(str(error))
    return problems


def _missing_in_cloud(
    needs: tuple[str, ...], settings: Settings, cloud: Cloud, *, secrets: bool
) -> list[str]:
    problems: list[str] = []
    disabled: set[str] = set()
    if PROJECT in needs:
        try:
            fetch_project_number(cloud, settings)
        except ApiDisabledError as error:
            disabled.add(error.api)
        except CredentialsError:
            raise
        except OperateError as error:
            return [str(error)]
    if BUCKET in needs:
        problems += _check_bucket(cloud, settings)
    if APIS in needs or FIRST_APIS in needs:
        needed = list_needed_apis(
            ci=settings.ci is not None, budget=settings.budget is not None, secrets=secrets
        )
        names = needed if APIS in needs else tuple(map(_host, FIRST))
        problems += _check_apis(cloud, settings, names, disabled)
    return problems


class ApiDisabledError(OperateError):
    """An API that must be called is not enabled; `api` is its host name.

    What to do: run the command of the message, wait a minute, then run this again.
    """

    def __init__(self, api: str, settings: Settings) -> None:
        self.api = api
        super().__init__(f"{api} is not enabled in {settings.project}: run `{_enable([api], settings)}`")


def fetch_project_number(cloud: Cloud, settings: Settings) -> int:
    """Return the project number. Raises OperateError if the project is missing, inactive or not accessible."""
    project = settings.project
    try:
        found = cloud.call("GET", f"{cloud.endpoints.resource_manager}projects/{project}")
    except ApiError as error:
        if error.is_api_disabled:
            raise ApiDisabledError(_host("cloudresourcemanager"), settings) from None
        if error.status not in (403, 404):
            raise OperateError(f"the project {project} cannot be looked up: {error}; try again") from None
        raise OperateError(
            f"the project {project} of environments/{settings.environment}.toml does not exist, or these "
            f"credentials have no access to it ({error}): run `gcloud projects create {project}`, or log in as a user "
            "with access"
        ) from None
    if (state := found.get("lifecycleState", ACTIVE)) != ACTIVE:
        raise OperateError(f"the project {project} is {state}: run `gcloud projects undelete {project}`")
    return int(found["projectNumber"])


def _check_bucket(cloud: Cloud, settings: Settings) -> list[str]:
    try:
        if find_bucket(cloud.storage, settings) is not None:
            return []
    except CredentialsError:
        raise
    except OperateError as error:
        return [str(error)]
    name = settings.bucket("tfstate")
    return [f"the state bucket {name} is not found: run `make bootstrap ENV={settings.environment}`"]


def _check_apis(cloud: Cloud, settings: Settings, needed: tuple[str, ...], disabled: set[str]) -> list[str]:
    try:
        lacking = set(needed) - _list_enabled_apis(cloud, settings)
    except ApiError as error:
        if not error.is_api_disabled:
            return [
                f"the enabled APIs of {settings.project} cannot be listed: {error}; try again, or ask for "
                "roles/serviceusage.serviceUsageViewer on the project"
            ]
        lacking = {_host("serviceusage")}
    lacking |= disabled
    if not lacking:
        return []
    first = {_host(name) for name in FIRST}
    # Terraform enables the rest, but needs these to do so.
    remedy = (
        _enable(sorted(first), settings) if lacking & first else f"make bootstrap ENV={settings.environment}"
    )
    return [f"not enabled in {settings.project}: {', '.join(sorted(lacking))}; run `{remedy}`"]


def _list_enabled_apis(cloud: Cloud, settings: Settings) -> set[str]:
    """Return the enabled APIs, listed as Terraform's provider lists them."""
    url = f"{cloud.endpoints.service_usage}projects/{settings.project}/services"
    parameters = {"filter": "state:ENABLED", "fields": "services/name,nextPageToken", "pageSize": str(PAGE)}
    names: set[str] = set()
    while True:
        page = cloud.call("GET", url, params=parameters)
        names |= {str(each["name"]).rpartition("/")[2] for each in page.get("services", [])}
        if not (token := page.get("nextPageToken")):
            return names
        parameters["pageToken"] = str(token)


def _host(name: str) -> str:
    return f"{name}.googleapis.com"


def _enable(apis: list[str], settings: Settings) -> str:
    return f"gcloud services enable {' '.join(apis)} --project={settings.project}"
