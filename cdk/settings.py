"""An environment's TOML file as frozen settings, checked before anything is synthesized.

The provider and Google Cloud notice an impossible cron or machine name in the middle of an apply, when half
of the system is there; here it is one sentence and nothing is written.
"""

import difflib
import functools
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, get_args, get_origin
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from cronsim import CronSim, CronSimError

from cdk.gbfs_settings import CATALOGUE, SAVE, Gbfs, gbfs_problems, load_catalogue, resolve_systems
from gbfs import GbfsError
from gbfs.collection.systems import CollectedSystem

# Dataproc image → version of its Python: what travels with the job is compiled for that one.
DATAPROC_PYTHON = {
    "2.3-debian12": "3.11",
    "2.3-ubuntu22": "3.11",
    "3.0-debian12": "3.12",
    "3.0-ubuntu24": "3.12",
}
CI_POOL, CI_PROVIDER = "vlille-github", "github"
GITHUB_ID_LIMIT = 10**15  # of a repository or an owner; they count up, and are ten digits long by now
FUNCTION_RUNTIMES = ("python312", "python313", "python314")
RETENTION_MINUTES = 10, 44_640  # of messages, at least and at most
ACK_DEADLINE_SECONDS = 10, 600
MOST_SHOWN = 200  # characters of a value in a message
CLOCK_SKEW_MINUTES = 5  # that Google's clocks and a store's delays may amount to, generously
DEVELOPMENT_YEAR = datetime(2024, 1, 1, tzinfo=UTC)


class SettingsError(ValueError):
    """A settings file cannot be used: which file and key, what was found, what is accepted.

    What to do: correct the key in the file that the message names; docs/settings.md has what each key accepts.
    """

    def __init__(self, file: Path | str, key: str, found: object, accepted: str) -> None:
        self.file, self.key, self.found, self.accepted = str(file), key, found, accepted
        super().__init__(f"{_from_here(file)}: {key}: found {_shown(found)}, accepted: {accepted}")


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Schedule(_Section, frozen=True):
    """When each job fires: cron expressions in one time zone."""

    time_zone: str
    collect: str
    copy: str
    batch: str


class Collector(_Section, frozen=True):
    """The function that asks the API each minute."""

    runtime: str
    memory: str
    timeout_seconds: int
    max_instances: int
    api_timeout_seconds: int
    api_max_mebibytes: int


class Copier(_Section, frozen=True):
    """The Cloud Run service that archives what landed."""

    cpu: str
    memory: str
    timeout_seconds: int
    max_instances: int
    threads: int


class Messages(_Section, frozen=True):
    """How a tick is delivered, and what becomes of it when it cannot be."""

    ack_deadline_seconds: int
    retention_minutes: int
    minimum_backoff_seconds: int
    maximum_backoff_seconds: int
    max_delivery_attempts: int
    dead_letter_days: int

    @property
    def redelivery_window_seconds(self) -> int:
        """How long after its tick a delivery may still be at work: begun at the last moment, and not acknowledged."""
        return (self.retention_minutes + CLOCK_SKEW_MINUTES) * 60 + self.ack_deadline_seconds


class Machine(_Section, frozen=True):
    """Machine type and boot disk of the cluster's master."""

    machine_type: str
    disk_gigabytes: int


class Workers(_Section, frozen=True):
    """Machine type, boot disk and number of the cluster's workers; 0 makes a single-node cluster."""

    count: int
    machine_type: str
    disk_gigabytes: int


class Batch(_Section, frozen=True):
    """The ephemeral cluster that rebuilds days."""

    image: str
    timeout_minutes: int
    subnet: str
    master: Machine
    workers: Workers


class Retention(_Section, frozen=True):
    """How long objects are kept, in days; `archive_days = 0` keeps them for ever."""

    landing_days: int
    archive_days: int
    staging_days: int
    soft_delete_days: int


class Alerts(_Section, frozen=True):
    """Who is told, and after how many minutes without a new object."""

    email: str
    silent_minutes: int


class Budget(_Section, frozen=True):
    """What the project may cost in a month, in the billing account's currency, before somebody is told."""

    billing_account: str
    monthly_amount: int


class Dashboard(_Section, frozen=True):
    """The Cloud Run service that shows the data; `public` opens it to everybody."""

    public: bool
    memory: str
    max_query_mebibytes: int
    daily_gibibytes: int
    cache_mebibytes: int


class Ci(_Section, frozen=True):
    """The GitHub repository whose workflows may plan and deploy: its IDs decide, its name is for people."""

    repository: str
    repository_id: int
    repository_owner_id: int


class EnvironmentFile(_Section, frozen=True):
    """An environment as its TOML file has it; its shape alone is checked."""

    project: str
    region: str
    feed: str
    protected: bool
    schedule: Schedule
    collector: Collector
    copier: Copier
    messages: Messages
    batch: Batch
    retention: Retention
    alerts: Alerts
    labels: dict[str, str] = {}
    ci: Ci | None = None
    budget: Budget | None = None
    dashboard: Dashboard | None = None
    gbfs: Gbfs | None = None


@dataclass(frozen=True)
class Settings:
    """One environment, checked: whatever is read from here can be applied."""

    environment: str
    project: str
    region: str
    feed: str
    protected: bool
    schedule: Schedule
    collector: Collector
    copier: Copier
    messages: Messages
    batch: Batch
    retention: Retention
    alerts: Alerts
    labels: Mapping[str, str]
    ci: Ci | None
    budget: Budget | None
    dashboard: Dashboard | None
    gbfs: Gbfs | None
    gbfs_systems: tuple[CollectedSystem, ...]  # of [gbfs], as the environments' catalogue has them

    @property
    def stack(self) -> str:
        """Name of the environment's stack, and prefix of its state."""
        return f"vlille-{self.environment}"

    @property
    def bootstrap_stack(self) -> str:
        """Name of the stack that is deployed once per project, and prefix of its state."""
        return f"{self.stack}-bootstrap"

    @property
    def ci_pool_path(self) -> str:
        """The pool that takes GitHub's tokens, as Terraform and the REST API name it."""
        return f"projects/{self.project}/locations/global/workloadIdentityPools/{CI_POOL}"

    @property
    def ci_provider_path(self) -> str:
        """The provider in that pool."""
        return f"{self.ci_pool_path}/providers/{CI_PROVIDER}"

    @property
    def resource_labels(self) -> dict[str, str]:
        """Labels of everything that can have some."""
        return {"app": "vlille", "environment": self.environment, **self.labels}

    @property
    def dataset(self) -> str:
        """`project.dataset`, as SQL and the clients name it."""
        return f"{self.project}.vlille"

    def bucket(self, purpose: str) -> str:
        """Name of the bucket for a purpose: landing, archive, artifacts, staging, tfstate."""
        return f"{self.project}-{purpose}"

    def service_account(self, workload: str) -> str:
        """E-mail address of a workload's service account."""
        return f"vlille-{workload}@{self.project}.iam.gserviceaccount.com"


def load_environments(
    folder: Path, feeds: Iterable[str], *, feed: str | None = None, only: str | None = None
) -> dict[str, Settings]:
    """Read every `<environment>.toml` of a folder, sorted by name.

    `feeds` are the names that `feed` may have; `feed` replaces that of every environment; `only` keeps one
    environment. Raises SettingsError, also where two environments share a project, whose names would collide.
    """
    known = tuple(feeds)
    if feed is not None and feed not in known:
        raise SettingsError("the command line", "FEED", feed, _one_of(feed, known))
    files = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if only is not None and only not in files:
        raise SettingsError(folder, "environment", only, _one_of(only, files))
    if not files:
        raise SettingsError(
            folder, "environment", "no *.toml file", "one file per environment, such as dev.toml"
        )
    environments = {name: load_environment(path, known, feed=feed) for name, path in files.items()}
    owners: dict[str, str] = {}
    for name, settings in environments.items():
        if (owner := owners.setdefault(settings.project, name)) != name:
            raise SettingsError(
                files[name], "project", settings.project, f"a project of its own: {owner} has this one"
            )
    return {name: settings for name, settings in environments.items() if only in (None, name)}


def load_environment(file: Path, feeds: Iterable[str], *, feed: str | None = None) -> Settings:
    """Read and check one environment's file; see `load_environments`. Raises SettingsError."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(file, "file", error.strerror, "a file that can be read") from None
    except (ValueError, RecursionError) as error:  # also for a number of 5,000 digits, or nested as deep
        raise SettingsError(file, "syntax", str(error), "TOML 1.0") from None
    if feed is not None:
        document["feed"] = feed
    _check_keys(file, document, EnvironmentFile, "")
    try:
        values = msgspec.convert(document, EnvironmentFile, strict=True)
    except msgspec.ValidationError as error:
        raise _misfit(file, document, str(error)) from None
    _check_names(file, values)
    for key, found, accepted in _impossible(values, tuple(feeds)):
        raise SettingsError(file, key, found, accepted)
    fields = {name: getattr(values, name) for name in EnvironmentFile.__struct_fields__}
    return Settings(environment=file.stem, gbfs_systems=_gbfs_systems(file, values), **fields)


def _gbfs_systems(file: Path, values: EnvironmentFile) -> tuple[CollectedSystem, ...]:
    if values.gbfs is None:
        return ()
    try:
        catalogue, source = load_catalogue(file.parent)
    except GbfsError as error:
        raise SettingsError(file.parent / CATALOGUE, "file", str(error), "a catalogue; " + SAVE) from None
    systems, problems = resolve_systems(values.gbfs, catalogue, source)
    for key, found, accepted in problems:
        raise SettingsError(file, key, found, accepted)
    return systems


# --- shape ----------------------------------------------------------------------------------------


def _check_keys(file: Path, document: Mapping[str, Any], section: type[msgspec.Struct], prefix: str) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    for key in document:
        if key not in fields:
            raise SettingsError(file, f"{prefix}{key}", "an unknown key", _one_of(key, fields))
    for name, field in fields.items():
        if name not in document:
            if field.required:
                raise SettingsError(
                    file, f"{prefix}{name}", "nothing", f"{_type_name(field.type)}; the key is needed"
                )
        elif (inner := _section(field.type)) is not None:
            if not isinstance(document[name], dict):
                raise SettingsError(file, f"{prefix}{name}", document[name], f"a table: [{prefix}{name}]")
            _check_keys(file, document[name], inner, f"{prefix}{name}.")


def _section(annotation: object) -> type[msgspec.Struct] | None:
    """Return the table that a key holds, also where the key may be left out (`Ci | None`)."""
    if get_origin(annotation) is dict:
        return None
    types = (annotation, *get_args(annotation))
    return next((each for each in types if isinstance(each, type) and issubclass(each, msgspec.Struct)), None)


def _misfit(file: Path, document: Mapping[str, Any], message: str) -> SettingsError:
    """Turn msgspec's "Expected `int`, got `str` - at `$.copier.threads`" into our sentence."""
    expected, _, path = message.partition(" - at `$.")
    key = path.rstrip("`")
    found: Any = document
    for part in re.findall(r"[A-Za-z_]+", key):
        found = found.get(part) if isinstance(found, dict) else found
    names = {"int": "a whole number", "str": "a text", "bool": "true or false", "object": "a table"}
    match = re.match(r"Expected `(\w+)`", expected)
    accepted = names.get(match[1], expected) if match else expected
    if key.endswith("[...]"):
        key, accepted = key.removesuffix("[...]"), f"{accepted} for each of its keys"
    return SettingsError(file, key, found, accepted)


def _check_names(file: Path, values: EnvironmentFile) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]{0,19}", file.stem):
        raise SettingsError(
            file, "file name", file.name, "1 to 20 lower-case letters and digits, a letter first, then .toml"
        )
    if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", values.project):
        raise SettingsError(
            file,
            "project",
            values.project,
            "a project ID: 6 to 30 of a-z, 0-9 and -, a letter first, no - last",
        )
    if "google" in values.project:
        raise SettingsError(
            file, "project", values.project, "a name without 'google', which no bucket may hold"
        )


# --- values ---------------------------------------------------------------------------------------

Problem = tuple[str, object, str]
REPOSITORY = "a GitHub repository as owner/name, at most 90 characters"
_MEMORY = re.compile(r"([1-9][0-9]{0,5})(Mi|Gi)")
# Series whose machines boot from the standard persistent disks that the cluster is given, and their CPUs.
_MACHINE_CPUS = {
    "e2": (2, 4, 8, 16, 32),
    "n1": (1, 2, 4, 8, 16, 32, 64, 96),
    "n2": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128),
    "n2d": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224),
    "t2d": (1, 2, 4, 8, 16, 32, 48, 60),
}
_MACHINE = re.compile(r"(\w+)-(standard|highmem|highcpu)-([1-9][0-9]{0,2})", re.ASCII)
_BILLING_ACCOUNT = re.compile(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
# GitHub's limits for each name, and Google's for both: a token's subject holds them and ends at 127 bytes.
_REPOSITORY = re.compile(
    r"(?=.{3,90}$)[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/(?!\.{1,2}$)[A-Za-z0-9._-]+", re.ASCII
)
_REGION = re.compile(r"(africa|asia|australia|europe|me|northamerica|southamerica|us)-[a-z]+[1-9][0-9]?")
_PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_COPIER_CPUS = {"1": 4096, "2": 8192, "4": 16384}  # most memory in MiB that Cloud Run gives to that many


def _impossible(values: EnvironmentFile, feeds: tuple[str, ...]) -> Iterable[Problem]:
    yield from _in(values.feed, "feed", feeds)
    if not _REGION.fullmatch(values.region):
        yield "region", values.region, "a Google Cloud region, such as europe-west1"
    for label, value in values.labels.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", label) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            yield (
                f"labels.{label}",
                value,
                "lower-case letters, digits, _ and -, at most 63, a letter first in the key",
            )
    yield from _schedule(values)
    yield from _collector(values)
    yield from _copier(values.copier)
    yield from _batch(values.batch)
    yield from _ranges(values)
    if not _EMAIL.fullmatch(values.alerts.email):
        yield "alerts.email", values.alerts.email, "an e-mail address"
    if values.budget is not None:
        if not _BILLING_ACCOUNT.fullmatch(values.budget.billing_account):
            yield (
                "budget.billing_account",
                values.budget.billing_account,
                "an ID such as 01AB23-4CD567-89EF01: `gcloud billing accounts list` prints it",
            )
        yield from _between("budget.monthly_amount", values.budget.monthly_amount, 1, 1_000_000)
    if values.dashboard is not None:
        yield from _dashboard(values.dashboard)
    if values.gbfs is not None:
        yield from gbfs_problems(values.gbfs, values.messages.ack_deadline_seconds)
        yield from _memory("gbfs.memory", values.gbfs.memory, 512, 8192)
        if problem := _cron(values.gbfs.discover):
            yield "gbfs.discover", values.gbfs.discover, problem
    if values.ci is not None:
        if not _REPOSITORY.fullmatch(values.ci.repository):
            yield "ci.repository", values.ci.repository, REPOSITORY
        yield from _between("ci.repository_id", values.ci.repository_id, 1, GITHUB_ID_LIMIT)
        yield from _between("ci.repository_owner_id", values.ci.repository_owner_id, 1, GITHUB_ID_LIMIT)


def _schedule(values: EnvironmentFile) -> Iterable[Problem]:
    schedule = values.schedule
    if schedule.time_zone not in _time_zones():
        yield "schedule.time_zone", schedule.time_zone, _one_of(schedule.time_zone, _time_zones())
        return
    for key in ("collect", "copy", "batch"):
        if problem := _cron(getattr(schedule, key)):
            yield f"schedule.{key}", getattr(schedule, key), problem
            return
    messages = values.messages
    if _is_outside(messages.retention_minutes, RETENTION_MINUTES) or _is_outside(
        messages.ack_deadline_seconds, ACK_DEADLINE_SECONDS
    ):
        return  # reported by itself
    margin = timedelta(seconds=messages.redelivery_window_seconds)
    if fire := _fires_after_midnight(schedule.batch, ZoneInfo(schedule.time_zone), margin):
        yield (
            "schedule.batch",
            schedule.batch,
            f"a time at least {math.ceil(margin / timedelta(minutes=1))} minutes after midnight UTC, when no tick "
            "of the day before can be delivered again (messages.retention_minutes, the ack deadline and "
            f"{CLOCK_SKEW_MINUTES} minutes for clocks); it fires at {fire:%H:%M} UTC on {fire:%Y-%m-%d}",
        )


@functools.cache
def _time_zones() -> frozenset[str]:
    """Names of the IANA database; two more in its folder only mean something to one machine, or nothing."""
    return frozenset(available_timezones()) - {"Factory", "localtime"}


def _fires_after_midnight(expression: str, zone: ZoneInfo, margin: timedelta) -> datetime | None:
    """Return when the schedule fires within `margin` after a midnight UTC, in a leap year; None if never.

    One look per midnight: an expression may fire each minute, and differ in summer from what it is in winter.
    """
    for day in range(366):
        midnight = DEVELOPMENT_YEAR + timedelta(days=day)
        # The minute before, since what is asked for is the next time after it.
        fires = CronSim(expression, (midnight - timedelta(minutes=1)).astimezone(zone))
        fire = next(fires).astimezone(UTC)
        if fire < midnight + margin:
            return fire
    return None


def _cron(expression: str) -> str | None:
    accepted = 'five fields of Unix cron, such as "*/10 * * * *"'
    if len(expression.split()) != 5 or any(letter in expression.upper() for letter in "LW#?"):
        return accepted
    try:
        next(CronSim(expression, DEVELOPMENT_YEAR))
    except StopIteration:
        return f"{accepted} (this one never fires)"
    except CronSimError as error:
        return f"{accepted} ({error})"
    return None


def _collector(values: EnvironmentFile) -> Iterable[Problem]:
    collector = values.collector
    yield from _in(collector.runtime, "collector.runtime", FUNCTION_RUNTIMES)
    yield from _memory("collector.memory", collector.memory, 256, 8192)
    yield from _between("collector.timeout_seconds", collector.timeout_seconds, 10, 540)
    if collector.timeout_seconds > values.messages.ack_deadline_seconds:
        yield (
            "collector.timeout_seconds",
            collector.timeout_seconds,
            f"at most messages.ack_deadline_seconds ({values.messages.ack_deadline_seconds}): a tick that is still "
            "at work would be delivered again",
        )
    yield from _between("collector.max_instances", collector.max_instances, 1, 100)
    yield from _between(
        "collector.api_timeout_seconds", collector.api_timeout_seconds, 1, collector.timeout_seconds - 5
    )
    yield from _between("collector.api_max_mebibytes", collector.api_max_mebibytes, 1, 64)


def _copier(copier: Copier) -> Iterable[Problem]:
    yield from _in(copier.cpu, "copier.cpu", tuple(_COPIER_CPUS))
    yield from _memory("copier.memory", copier.memory, 512, _COPIER_CPUS.get(copier.cpu, 4096))
    yield from _between("copier.timeout_seconds", copier.timeout_seconds, 60, 1800)
    yield from _between("copier.max_instances", copier.max_instances, 1, 100)
    yield from _between("copier.threads", copier.threads, 1, 128)


def _dashboard(dashboard: Dashboard) -> Iterable[Problem]:
    yield from _memory("dashboard.memory", dashboard.memory, 512, 4096)
    # The smallest is a day of all columns, as the map's stations need.
    yield from _between("dashboard.max_query_mebibytes", dashboard.max_query_mebibytes, 100, 1_048_576)
    yield from _between("dashboard.daily_gibibytes", dashboard.daily_gibibytes, 1, 1024)
    yield from _between("dashboard.cache_mebibytes", dashboard.cache_mebibytes, 8, 1024)


def _batch(batch: Batch) -> Iterable[Problem]:
    yield from _in(batch.image, "batch.image", tuple(DATAPROC_PYTHON))
    yield from _between("batch.timeout_minutes", batch.timeout_minutes, 10, 1440)
    if not _is_private_range(batch.subnet):
        yield (
            "batch.subnet",
            batch.subnet,
            "a private IPv4 range of at least 8 addresses, such as 10.20.0.0/24",
        )
    for key, machine in (("master", batch.master), ("workers", batch.workers)):
        if not _is_machine_type(machine.machine_type):
            yield (
                f"batch.{key}.machine_type",
                machine.machine_type,
                f"a machine type of the series {', '.join(_MACHINE_CPUS)}, such as n1-standard-4",
            )
        yield from _between(f"batch.{key}.disk_gigabytes", machine.disk_gigabytes, 30, 64_000)
    if batch.workers.count != 0:
        yield from _between(
            "batch.workers.count", batch.workers.count, 2, 100, or_else="0 (a single node) or "
        )


def _is_machine_type(name: str) -> bool:
    match = _MACHINE.fullmatch(name)
    return match is not None and int(match[3]) in _MACHINE_CPUS.get(match[1], ())


def _is_private_range(text: str) -> bool:
    try:
        network = IPv4Network(text)
    except ValueError:
        return False
    return network.prefixlen <= 29 and any(network.subnet_of(private) for private in _PRIVATE)


def _ranges(values: EnvironmentFile) -> Iterable[Problem]:
    messages, retention = values.messages, values.retention
    yield from _between("messages.ack_deadline_seconds", messages.ack_deadline_seconds, *ACK_DEADLINE_SECONDS)
    yield from _between("messages.retention_minutes", messages.retention_minutes, *RETENTION_MINUTES)
    yield from _between("messages.minimum_backoff_seconds", messages.minimum_backoff_seconds, 0, 600)
    low = messages.minimum_backoff_seconds
    yield from _between("messages.maximum_backoff_seconds", messages.maximum_backoff_seconds, low, 600)
    yield from _between("messages.max_delivery_attempts", messages.max_delivery_attempts, 5, 100)
    yield from _between("messages.dead_letter_days", messages.dead_letter_days, 1, 31)
    yield from _between("retention.landing_days", retention.landing_days, 1, 3650)
    yield from _between("retention.archive_days", retention.archive_days, 0, 36_500)
    yield from _between("retention.staging_days", retention.staging_days, 1, 30)
    if retention.soft_delete_days != 0:
        yield from _between(
            "retention.soft_delete_days", retention.soft_delete_days, 7, 90, or_else="0 (none) or "
        )
    yield from _between("alerts.silent_minutes", values.alerts.silent_minutes, 5, 1380)


def _between(key: str, value: int, low: int, high: int, *, or_else: str = "") -> Iterable[Problem]:
    if not low <= value <= high:
        yield key, value, f"{or_else}a whole number from {low} to {high}"


def _is_outside(value: int, bounds: tuple[int, int]) -> bool:
    return not bounds[0] <= value <= bounds[1]


def _in(value: str, key: str, accepted: tuple[str, ...]) -> Iterable[Problem]:
    if value not in accepted:
        yield key, value, _one_of(value, accepted)


def _memory(key: str, value: str, low: int, high: int) -> Iterable[Problem]:
    match = _MEMORY.fullmatch(value)
    mebibytes = int(match[1]) * (1024 if match[2] == "Gi" else 1) if match else 0
    if not low <= mebibytes <= high:
        yield key, value, f"{low}Mi to {high}Mi, written as 512Mi or 1Gi"


# --- words ----------------------------------------------------------------------------------------


def _one_of(found: str, accepted: Iterable[str]) -> str:
    names = sorted(accepted)
    if not names:
        return "nothing, as there is none"
    close = difflib.get_close_matches(found, names, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    shown = ", ".join(names) if len(names) <= 20 else f"one of {len(names)} names, such as {names[0]}"
    return f"{shown}{hint}"


def _type_name(annotation: object) -> str:
    names: dict[object, str] = {str: "a text", int: "a whole number", bool: "true or false"}
    return names.get(annotation, "a table")


def _shown(found: object) -> str:
    bare = ("nothing", "an unknown key")
    if isinstance(found, str) and found in bare:
        return found
    text = repr(found)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def _from_here(file: Path | str) -> Path | str:
    """Return a file as the user names it, relative to the working folder where it lies below."""
    path = Path(file)
    return path.relative_to(here) if path.is_relative_to(here := Path.cwd()) else file
