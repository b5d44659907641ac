"""Rules for the whole test suite: which files are collected, in which order, and when a skipped test fails."""

import gc
import sys
from pathlib import Path

import pytest

from commands.recipes import UNIT_TESTS

# With processes side by side the longest files come first: one that begins last would keep a single core busy alone.
SLOWEST_FIRST = (
    "tests/operate/test_fake_provider.py",
    "tests/spark/rebuild/",
    "tests/local/runs/test_demo.py",
    "tests/spark/test_main.py",
    "tests/delivery/workflows/test_steps.py",
    "tests/simulation/",
    "tests/local/control_plane/",
    "tests/cdk/",
    "tests/local/",
    "tests/browser/",
    "tests/spark/",
    "tests/operate/",
    "tests/commands/",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when a test was skipped")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files without a test of `make unit`: their imports take longer than the unit tests of many."""
    if config.getoption("markexpr") not in ("unit", UNIT_TESTS) or not collection_path.match("test_*.py"):
        return None
    text = collection_path.read_text("utf-8")
    return not any(f"pytest.mark.{name}" in text for name in ("unit", "stack")) or None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files by how long they take; tests of a file keep their order, which some rely on.

    Refuse a test of `make unit` that starts the emulators, which takes 3 s of CPU time.
    """
    for item in items:
        if not item.get_closest_marker("unit") or item.get_closest_marker("long"):
            continue
        if "emulators" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} starts the emulators: mark it `emulator`, not `unit`")

    def rank(item: pytest.Item) -> int:
        matching = (number for number, start in enumerate(SLOWEST_FIRST) if item.nodeid.startswith(start))
        return next(matching, len(SLOWEST_FIRST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Refuse a test module that imports the provider's bindings: each process would spend 8 s or more on them.

    Tests read stacks that `python stacks.py` synthesizes in a process of its own.
    """
    if "jsii" in sys.modules:
        raise pytest.UsageError(
            "a test module imports jsii: move what it needs in cdk/ into a module that does not import cdktf"
        )
    gc.freeze()  # modules and test items live until the end: no collection of garbage needs to visit them


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if not session.config.getoption("--no-skips") or exitstatus != pytest.ExitCode.OK:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
