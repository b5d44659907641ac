"""What a project still holds of vlille: after a destroy, nothing.

Left aside is what the bootstrap made: the state bucket and CI's two identities, which `make unbootstrap` removes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cdk.settings import Settings
from operate.cloud import Cloud, CredentialsError, RefusedError, pages
from operate.errors import OperateError
from operate.place import Place

BUCKETS = ("landing", "archive", "artifacts", "staging")
OF_FUNCTIONS = re.compile(r"gcf-v2-(sources|uploads)-")  # Cloud Functions' own, made at the first build
REPOSITORIES = ("vlille", "gcf-artifacts")
TOPICS, SUBSCRIPTIONS = ("collect", "collect-dead"), ("collect-push", "collect-dead")
CLUSTER = "vlille-batch"
OF_CI = "vlille-ci-"


@dataclass(frozen=True)
class Held:
    """One thing that is there: of which kind, its name, where it lies (a region or a zone), what it holds."""

    kind: str
    name: str
    location: str = ""
    more: str = ""


# The words of gcloud that remove one; the project is added.
REMOVE: dict[str, str] = {
    "bucket": "gcloud storage rm --recursive gs://{name}",
    "service account": "gcloud iam service-accounts delete {name}",
    "subscription": "gcloud pubsub subscriptions delete {name}",
    "topic": "gcloud pubsub topics delete {name}",
    "repository": "gcloud artifacts repositories delete {name} --location={location}",
    "disk": "gcloud compute disks delete {name} --zone={location}",
    "cluster": "gcloud dataproc clusters delete {name} --region={location}",
}


def find(cloud: Cloud, settings: Settings) -> list[Held]:
    """Ask every service. Raises OperateError where one does not tell; one whose API is off holds nothing."""
    asked: dict[str, Callable[[Cloud, Settings], Iterable[Held]]] = {
        "clusters": _clusters,
        "disks": _disks,
        "subscriptions": _subscriptions,
        "topics": _topics,
        "repositories": _repositories,
        "buckets": _buckets,
        "service accounts": _accounts,
    }
    found: list[Held] = []
    for what, ask in asked.items():
        try:
            found += ask(cloud, settings)
        except CredentialsError:
            raise
        except RefusedError as error:
            if not error.disabled:
                raise OperateError(
                    f"{settings.project} does not tell its {what} ({error}): mend that, then run this again"
                ) from None
    return found


def told(found: list[Held], settings: Settings, place: Place) -> list[str]:
    """One line for each thing that is left, with what removes it."""
    if not found:
        return [f"{settings.project} holds nothing of vlille"]
    lines = [f"{settings.project} still holds {len(found)} of vlille:"]
    for held in found:
        line = f"  {held.kind} {held.name}{f' ({held.more})' if held.more else ''}"
        lines.append(line if place.here else f"{line}: {_removal(held, settings)}")
    if place.here:
        env = place.environment
        lines.append(
            f"{place.make('destroy')} removes them; else `make down ENV={env} && rm -r {place.here}`"
        )
    return lines


def _removal(held: Held, settings: Settings) -> str:
    words = REMOVE[held.kind].format(name=held.name, location=held.location)
    return f"`{words} --project={settings.project}`"


def _buckets(cloud: Cloud, settings: Settings) -> Iterator[Held]:
    own = {settings.bucket(purpose) for purpose in BUCKETS}
    for each in pages(cloud, f"{cloud.endpoints.storage}b", "items", project=settings.project):
        if each["name"] in own or OF_FUNCTIONS.match(each["name"]):
            yield Held("bucket", each["name"])


def _accounts(cloud: Cloud, settings: Settings) -> Iterator[Held]:
    url = f"{cloud.endpoints.iam}projects/{settings.project}/serviceAccounts"
    for each in pages(cloud, url, "accounts"):
        if each["email"].startswith("vlille-") and not each["email"].startswith(OF_CI):
            yield Held("service account", each["email"])


def _subscriptions(cloud: Cloud, settings: Settings) -> Iterator[Held]:
    yield from _of_pubsub(cloud, settings, "subscription", SUBSCRIPTIONS)


def _topics(cloud: Cloud, settings: Settings) -> Iterator[Held]:
    yield from _of_pubsub(cloud, settings, "topic", TOPICS)


def _of_pubsub(cloud: Cloud, settings: Settings, kind: str, names: tuple[str, ...]) -> Iterator[Held]:
    url = f"{cloud.endpoints.pubsub}projects/{settings.project}/{kind}s"
    for each in pages(cloud, url, f"{kind}s"):
        if (name := _short(each["name"])) in names:
            yield Held(kind, name)


def _repositories(cloud: Cloud, settings: Settings) -> Iterator[Held]:
    parent = f"projects/{settings.project}/locations/{settings.region}/repositories"
    for each in pages(cloud, f"{cloud.endpoints.artifact_registry}{parent}", "repositories"):
        if (name := _short(each["name"])) in REPOSITORIES:
            url = f"{cloud.endpoints.artifact_registry}{parent}/{name}/dockerImages"
            count = sum(1 for _ in pages(cloud, url, "dockerImages"))
            yield Held("repository", name, settings.region, f"{count} images")


def _disks(cloud: Cloud, settings: Settings) -> Iterator[Held]:
    """Compute lists the zones of a project, each with its disks, as a mapping."""
    url = f"{cloud.endpoints.compute}projects/{settings.project}/aggregated/disks"
    asked: dict[str, str] = {}
    while True:
        page = cloud.call("GET", url, params=asked)
        for zone, inside in page.get("items", {}).items():
            for disk in inside.get("disks", []):
                if disk["name"].startswith(CLUSTER):
                    yield Held("disk", disk["name"], _short(zone), f"{disk.get('sizeGb', '?')} GB")
        if not (token := page.get("nextPageToken")):
            return
        asked["pageToken"] = str(token)


def _clusters(cloud: Cloud, settings: Settings) -> Iterator[Held]:
    url = f"{cloud.endpoints.dataproc}projects/{settings.project}/regions/{settings.region}/clusters"
    for each in pages(cloud, url, "clusters"):
        if each["clusterName"].startswith(CLUSTER):
            yield Held("cluster", each["clusterName"], settings.region)


def _short(name: str) -> str:
    return name.rpartition("/")[2]
