"""The local run builds nothing, but refuses an account that could not build."""

import re

import pytest

from local.environment.environment import LocalEnvironment
from local.iam_proxy.access import AccessControl
from local.iam_proxy.storage import object_resource
from local.workloads.builds import BuildError, check_build
from tests.local.conftest import account, allow

pytestmark = pytest.mark.unit

SOURCE, REPOSITORY = object_resource("artifacts", "copier-1.zip"), "projects/p/locations/l/repositories/r"
NEEDS = (
    ("b/artifacts", "storage.objects.get"),
    ("projects/{project}", "logging.logEntries.create"),
    (REPOSITORY, "artifactregistry.repositories.uploadArtifacts"),
)


@pytest.mark.parametrize("missing", range(len(NEEDS)))
def test_a_build_fails_without_one_of_its_three_permissions(
    environment: LocalEnvironment, missing: int
) -> None:
    builder = account(environment, "build")
    for resource, permission in NEEDS[:missing] + NEEDS[missing + 1 :]:
        allow(environment, builder, resource.format(project=environment.project), permission)
    expected = f"the build failed: 403: {builder} lacks {NEEDS[missing][1]} on "
    with pytest.raises(BuildError, match=re.escape(expected)):
        check_build(environment, builder, SOURCE, REPOSITORY)
    allow(environment, builder, NEEDS[missing][0].format(project=environment.project), NEEDS[missing][1])
    check_build(environment, builder, SOURCE, REPOSITORY)
    assert {each.permission for each in environment.service(AccessControl).usages()} == {
        each for _, each in NEEDS
    }


def test_a_build_without_an_image_needs_no_repository(environment: LocalEnvironment) -> None:
    builder = account(environment, "build")
    for resource, permission in NEEDS[:2]:
        allow(environment, builder, resource.format(project=environment.project), permission)
    check_build(environment, builder, SOURCE, "")
