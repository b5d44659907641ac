"""The environment variables of child processes."""

import os
from pathlib import Path


def make_child_variables(folder: Path) -> dict[str, str]:
    """Return the variables that every child process gets, with home, temporary and gcloud folders of its own."""
    home, temporary, gcloud = (folder.resolve() / name for name in ("home", "tmp", "gcloud"))
    for each in (home, temporary, gcloud):
        each.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "CLOUDSDK_CONFIG": str(gcloud),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
