"""Wires environments to stacks: `python stacks.py` writes the Terraform JSON of each, artifacts included."""

import json
import os
import shutil
import sys
from pathlib import Path

from cdk import bindings
from cdk.artifacts.bill_of_materials import write_sboms
from cdk.artifacts.packaging import PackagingError
from cdk.settings import SettingsError, load_environments
from commands.errors import UsageError
from commands.parsing import check_environ
from commands.values import Project
from feed import FeedError, load_feeds

ROOT = Path(__file__).parent


def main() -> None:
    """Synthesize every environment, or the one that VLILLE_ENV names, into CDKTF_OUTDIR (cdktf.out)."""
    check_environ(os.environ)
    bindings.install(os.environ.get("VLILLE_CDK", "cdktf"))
    sources = Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources"))
    feeds = load_feeds(sources)
    environments = load_environments(
        Project(ROOT, os.environ).environments_folder,
        feeds,
        feed=os.environ.get("VLILLE_FEED"),
        only=os.environ.get("VLILLE_ENV"),
    )
    # Imported only now: `bindings.install` has set which package is imported under the name, and settings are valid.
    from cdktf import App  # noqa: PLC0415

    from cdk.apis import needs_secrets  # noqa: PLC0415
    from cdk.bootstrap import BootstrapStack  # noqa: PLC0415
    from cdk.stack import VlilleStack  # noqa: PLC0415

    outdir = Path(os.environ.get("CDKTF_OUTDIR", "cdktf.out"))
    outdir.mkdir(parents=True, exist_ok=True)
    app = App(outdir=str(outdir))
    # By stack and address, the import IDs of what a deploy that was killed left behind: operate/deployment/adoption.py.
    adopt = json.loads(os.environ.get("VLILLE_ADOPT", "{}"))
    for settings in environments.values():
        VlilleStack(
            app,
            settings,
            feeds,
            sources=sources,
            cache=ROOT / ".cache",
            adopt=adopt.get(settings.stack, {}),
        )
        BootstrapStack(
            app,
            settings,
            adopt=adopt.get(settings.bootstrap_stack, {}),
            secrets=needs_secrets(feeds[settings.feed], settings.gbfs_systems),
        )
    app.synth()
    for settings in environments.values():
        write_sboms(outdir / "stacks" / settings.stack)
    if "VLILLE_ENV" not in os.environ:
        kept = {name for each in environments.values() for name in (each.stack, each.bootstrap_stack)}
        for folder in (outdir / "stacks").glob("vlille-*"):
            if folder.name not in kept:
                shutil.rmtree(folder)  # of an environment whose file is gone: its state is in the bucket


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(f"error: {error}")
    except (SettingsError, FeedError, PackagingError, bindings.BindingsError) as error:
        sys.exit(str(error))
