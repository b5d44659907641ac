"""An environment's TOML file as frozen settings, checked before anything is synthesized.

Google Cloud and the provider reject an impossible cron expression or machine type only in the middle of an apply, when
half of the resources exist. Here it is one message, and nothing is written.

`sections` has the shape of the file, `environment` the checked settings, and `loading` reads one into the other with
the checks of `shape`, `problems`, `schedules`, `cluster` and `gbfs`.
"""

from cdk.settings.cluster import DATAPROC_PYTHON
from cdk.settings.environment import CI_POOL, CI_PROVIDER, WORKLOADS, Settings
from cdk.settings.errors import SettingsError
from cdk.settings.loading import load_environment, load_environments
from cdk.settings.sections import Batch, Budget, Ci, Dashboard, EnvironmentFile, Machine, Messages, Workers
from cdk.settings.shape import section_type

__all__ = [
    "CI_POOL",
    "CI_PROVIDER",
    "DATAPROC_PYTHON",
    "WORKLOADS",
    "Batch",
    "Budget",
    "Ci",
    "Dashboard",
    "EnvironmentFile",
    "Machine",
    "Messages",
    "Settings",
    "SettingsError",
    "Workers",
    "load_environment",
    "load_environments",
    "section_type",
]
