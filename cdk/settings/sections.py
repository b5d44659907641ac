"""The sections of an environment's TOML file: names and types, no further check."""

import msgspec

from cdk.settings.gbfs import Gbfs

CLOCK_SKEW_MINUTES = 5  # an upper bound for clock skew and storage delays


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Schedule(Section, frozen=True):
    """When each job fires: cron expressions in one time zone."""

    time_zone: str
    collect: str
    copy: str
    batch: str


class Collector(Section, frozen=True):
    """The function that requests the API each minute."""

    runtime: str
    memory: str
    timeout_seconds: int
    max_instances: int
    api_timeout_seconds: int
    api_max_mebibytes: int


class Copier(Section, frozen=True):
    """The Cloud Run service that archives what landed."""

    cpu: str
    memory: str
    timeout_seconds: int
    max_instances: int
    threads: int


class Messages(Section, frozen=True):
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


class Machine(Section, frozen=True):
    """Machine type and boot disk of the cluster's master."""

    machine_type: str
    disk_gigabytes: int


class Workers(Section, frozen=True):
    """Machine type, boot disk and number of the cluster's workers; 0 makes a single-node cluster."""

    count: int
    machine_type: str
    disk_gigabytes: int


class Batch(Section, frozen=True):
    """The ephemeral cluster that rebuilds days."""

    image: str
    timeout_minutes: int
    subnet: str
    master: Machine
    workers: Workers


class Retention(Section, frozen=True):
    """How long objects are kept, in days; `archive_days = 0` keeps them for ever."""

    landing_days: int
    archive_days: int
    staging_days: int
    soft_delete_days: int


class Alerts(Section, frozen=True):
    """Who is notified, and after how many minutes without a new object."""

    email: str
    silent_minutes: int


class Budget(Section, frozen=True):
    """What the project may cost in a month, in the billing account's currency, before somebody is notified."""

    billing_account: str
    monthly_amount: int


class Dashboard(Section, frozen=True):
    """The Cloud Run service that shows the data; `public` opens it to everybody."""

    public: bool
    memory: str
    max_query_mebibytes: int
    daily_gibibytes: int
    cache_mebibytes: int


class Ci(Section, frozen=True):
    """The GitHub repository whose workflows may plan and deploy: its IDs decide, its name is for people."""

    repository: str
    repository_id: int
    repository_owner_id: int


class EnvironmentFile(Section, frozen=True):
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
    shared_project: bool = False
    labels: dict[str, str] = {}
    ci: Ci | None = None
    budget: Budget | None = None
    dashboard: Dashboard | None = None
    gbfs: Gbfs | None = None
