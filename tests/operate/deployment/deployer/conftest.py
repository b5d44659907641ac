"""The deployer of one environment, with a fake cdktf."""

import pytest
import requests

from cdk.settings import Settings, load_environments
from operate.cloud import Cloud
from operate.deployment.deployer import Deployer
from operate.state.locking import Locking
from operate.target import Target
from tests.conftest import ENVIRONMENTS
from tests.operate.conftest import Google
from tests.operate.deployment.deployer.fakes import FakeCdktf


@pytest.fixture
def cdktf() -> FakeCdktf:
    return FakeCdktf()


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def deployer(cloud: Cloud, settings: Settings, cdktf: FakeCdktf, messages: list[str]) -> Deployer:
    locking = Locking(settings, cloud, Target("dev"), messages.append, lock_seconds=0)
    return Deployer(settings, cloud, cdktf, locking, messages.append)


@pytest.fixture
def settings() -> Settings:
    """The environment as its file has it: the command line reads no other."""
    return load_environments(ENVIRONMENTS, ["vlille_gbfs"], only="dev")["dev"]


@pytest.fixture(autouse=True)
def clean(google: Google, settings: Settings) -> None:
    """One project for all tests of this file: what the last one left in the emulator goes first."""
    root = f"{google.emulator_url}/storage/v1/b/{settings.project}-tfstate"
    for each in requests.get(f"{root}/o", timeout=30).json().get("items", []):
        requests.delete(f"{root}/o/{each['name'].replace('/', '%2F')}", timeout=30)
    requests.delete(root, timeout=30)
