"""The name that a person types to confirm that an environment is destroyed."""

import pytest

from delivery.__main__ import main

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("typed", ["", "prod", "dev ", " dev", "DEV", "dev\n", "dev; true", "$(id)"])
def test_only_the_exact_name_confirms(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confirm", "--env", "dev"], {"NAME": typed}) == 1
    assert capsys.readouterr().err == (
        f"NAME is {typed!r}, expected 'dev': nothing was changed; type the environment's name again\n"
    )


def test_a_missing_name_does_not_confirm(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confirm", "--env", "dev"], {"NAME": "dev"}) == 0
    assert main(["confirm", "--env", "dev"], {}) == 1
    assert capsys.readouterr().out == "dev: the name is confirmed\n"
