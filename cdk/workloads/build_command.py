"""The command by which Terraform runs the image build: text, so that it is tested without jsii."""

from collections.abc import Mapping
from pathlib import Path

SCRIPT = Path(__file__).with_name("build_image.py")
# Terraform runs the build in the stack's folder, below the checkout whose .venv has what the script imports. A user
# who runs cdktf directly has another `python3` on PATH.
_FIND_PYTHON = (
    'folder="$PWD"; '
    'until [ -z "$folder" ] || [ -x "$folder/.venv/bin/python3" ]; do folder="$${folder%/*}"; done; '
    'python="$${VLILLE_PYTHON:-$${folder:+$folder/.venv/bin/}python3}"; '
)


def build_command(script: str, arguments: Mapping[str, str]) -> str:
    """Return the shell command that runs `script` with these options, with `${` escaped for Terraform."""
    options = (f"{key} '{value}'" for key, value in arguments.items())
    return " ".join([f'{_FIND_PYTHON}"$python" {script}', *options])
