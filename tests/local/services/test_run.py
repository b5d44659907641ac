import pytest

from local.errors import LocalError
from local.services.run import parse_dockerfile

pytestmark = pytest.mark.unit


def test_the_last_stage_says_how_the_image_is_run() -> None:
    text = """
# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
ENV ONLY=here
CMD ["false"]
FROM python:3.13-slim
WORKDIR /app
# a comment
ENV PYTHONUNBUFFERED=1 \\
    NAME="two words"
ENV OLD form of it
COPY . .
CMD ["gunicorn", "--bind", "0.0.0.0:8080", \\
     "copier:app"]
"""
    image = parse_dockerfile(text, "Dockerfile")
    assert image.command == ("gunicorn", "--bind", "0.0.0.0:8080", "copier:app")
    assert image.env == {"PYTHONUNBUFFERED": "1", "NAME": "two words", "OLD": "form of it"}
    assert image.workdir == "/app"


def test_an_entrypoint_comes_before_the_command() -> None:
    image = parse_dockerfile('FROM x\nENTRYPOINT ["python", "-m"]\nCMD ["copier"]\n', "Dockerfile")
    assert image.command == ("python", "-m", "copier")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a CMD in exec form"),
        ("FROM x\nCMD gunicorn copier:app\n", "CMD must be in exec form .* found 'gunicorn copier:app'"),
        ("FROM x\nENTRYPOINT [1]\n", "ENTRYPOINT must be in exec form"),
    ],
)
def test_an_unsupported_dockerfile_is_refused(text: str, expected: str) -> None:
    with pytest.raises(LocalError, match=expected):
        parse_dockerfile(text, "Dockerfile")
