"""Wires environments to stacks: `python stacks.py` writes the Terraform JSON of each, artifacts included."""

import os
import sys
from pathlib import Path

from cdk import bindings
from cdk.packaging import PackagingError
from cdk.settings import SettingsError, load_environments
from feed import FeedError, load_feeds

ROOT = Path(__file__).parent


def main() -> None:
    """Synthesize every environment, or the one that VLILLE_ENV names, into CDKTF_OUTDIR (cdktf.out)."""
    bindings.install(os.environ.get("VLILLE_CDK", "cdktf"))
    from cdktf import App  # noqa: PLC0415 - only now is it known which package answers to this name

    from cdk.stack import VlilleStack  # noqa: PLC0415

    sources = Path(os.environ.get("VLILLE_SOURCES", ROOT / "sources"))
    feeds = load_feeds(sources)
    environments = load_environments(
        ROOT / "environments", feeds, feed=os.environ.get("VLILLE_FEED"), only=os.environ.get("VLILLE_ENV")
    )
    app = App(outdir=os.environ.get("CDKTF_OUTDIR", "cdktf.out"))
    for settings in environments.values():
        VlilleStack(app, settings, feeds, sources=sources, cache=ROOT / ".cache")
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except (SettingsError, FeedError, PackagingError, bindings.BindingsError) as error:
        sys.exit(str(error))
