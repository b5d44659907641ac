"""What the Makefile makes of what the user types."""

import shlex
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.local
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", ["recorded.json", "/tmp/my dir/a.json", 'it\'s (1) & "two".json'])
@pytest.mark.parametrize("command", ["demo", "up"])
def test_a_replay_may_be_called_anything(command: str, path: str) -> None:
    typed = ["make", "--dry-run", "--assume-old=.venv/.ready", command, "FEED=vlille_ods", f"REPLAY={path}"]
    done = subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    (line,) = [line for line in done.stdout.replace("\\\n", " ").splitlines() if f"local {command}" in line]
    words = shlex.split(line)
    assert words[words.index("--replay") + 1] == path
    assert words[words.index("--feed") + 1] == "vlille_ods"
