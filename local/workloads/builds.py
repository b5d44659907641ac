"""The permissions of a build: the local run builds nothing, but a service account that could not build is refused."""

from local.environment.environment import LocalEnvironment
from local.errors import LocalError
from local.iam_proxy.access import AccessControl
from local.iam_proxy.denials import AccessError, RequiredPermission


class BuildError(LocalError):
    """A build that would fail in Cloud Build."""


def check_build(environment: LocalEnvironment, account: str, source: str, repository: str) -> None:
    """Raise BuildError where the account may not read the source, write its log or push to the repository.

    `source` is IAM's name of the object.
    https://cloud.google.com/build/docs/securing-builds/configure-user-specified-service-accounts
    """
    needs = [
        RequiredPermission("storage.objects.get", source),
        RequiredPermission("logging.logEntries.create", f"projects/{environment.project}"),
    ]
    if repository:
        needs.append(RequiredPermission("artifactregistry.repositories.uploadArtifacts", repository))
    try:
        environment.service(AccessControl).check(account, needs)
    except AccessError as error:
        raise BuildError(f"the build failed: {error.summary}. {error}") from error
