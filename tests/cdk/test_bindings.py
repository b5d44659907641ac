"""The program synthesizes the same stack with both bindings, and imports only the modules that it uses."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdk import bindings
from tests.cdk.conftest import Synthesis

pytestmark = pytest.mark.synth

ROOT = Path(__file__).parents[2]


def without_versions(document: Any) -> Any:
    """Return a stack's document without the provider's version and source, and without `//` comments."""
    if isinstance(document, dict):
        kept = document.keys() - {"//", "required_providers"}
        return {key: without_versions(document[key]) for key in kept}
    if isinstance(document, list):
        return [without_versions(each) for each in document]
    return document


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_maintained_fork_declares_the_same(
    synthesis: Synthesis, fork_synthesis: Synthesis, environment: str
) -> None:
    ours, fork = (each.stacks[environment] for each in (synthesis, fork_synthesis))
    assert without_versions(fork) == without_versions(ours)
    assert sum(len(each) for each in ours["resource"].values()) > 60
    # The fork was imported, not the package that it replaces.
    assert ours["//"]["metadata"]["version"] != fork["//"]["metadata"]["version"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/p/lazy.cjs", '"/p/lazy.cjs"'),
        ("/l'été v/lazy.cjs", '"/l\'été v/lazy.cjs"'),
        ('/a "b"/lazy.cjs', r'"/a \"b\"/lazy.cjs"'),
        ("/a\\b/lazy.cjs", r'"/a\\b/lazy.cjs"'),
    ],
)
def test_a_path_is_quoted_for_node_options(path: str, expected: str) -> None:
    assert bindings._quote_node_option(path) == expected


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


def test_one_resource_loads_one_module() -> None:
    printed = run(
        "import sys; from cdk import bindings; bindings.install('cdktf');"
        "from cdktf_cdktf_provider_google.storage_bucket import StorageBucket;"
        "print(*{m.split('.')[1] for m in sys.modules if m.startswith('cdktf_cdktf_provider_google.')})"
    )
    assert set(printed.split()) == {"_jsii", "storage_bucket"}


def test_bindings_that_are_not_known_are_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "stacks.py"],
        cwd=ROOT,
        env=os.environ | {"VLILLE_CDK": "pulumi", "CDKTF_OUTDIR": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "error: VLILLE_CDK: found 'pulumi'; accepted: cdktf, cdktn",
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"VLILLE_FEED": "vlille_odx"}, r"vlille_odx.*vlille_ods"),
        ({"VLILLE_ENV": "production"}, r"production.*dev.*prod"),
        ({"VLILLE_SOURCES": "nowhere"}, "nowhere.*a folder that exists"),
    ],
)
def test_nothing_is_synthesized_from_a_mistake(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "stacks.py"],
        cwd=ROOT,
        env=os.environ | {"CDKTF_OUTDIR": str(tmp_path / "out")} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(words, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
