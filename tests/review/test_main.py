"""The command: its output, its errors and its exit status."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from review.__main__ import main
from tests.review.conftest import change, plan_document

pytestmark = pytest.mark.unit

BUCKET = {"name": "b", "location": "EU", "force_destroy": True}
LOSS = change("google_storage_bucket.b", BUCKET, None)
WIDER = change(
    "google_project_iam_member.m",
    None,
    {"project": "p", "role": "roles/viewer", "member": "user:u@example.org"},
)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(found: object) -> str:
        path = tmp_path / "plan.json"
        path.write_bytes(found if isinstance(found, bytes) else json.dumps(found).encode())
        return str(path)

    return write


@pytest.mark.parametrize(
    ("changes", "words", "status"),
    [
        ([], ["--gate"], 0),
        ([LOSS], [], 0),
        ([LOSS], ["--gate"], 2),
        ([WIDER], ["--gate"], 2),
        ([LOSS], ["--gate", "--acknowledged", "data-loss"], 0),
        ([LOSS, WIDER], ["--gate", "--acknowledged", "data-loss"], 2),
        ([LOSS, WIDER], ["--gate", "--acknowledged", "data-loss", "--acknowledged", "access-widened"], 0),
    ],
)
def test_the_gate_requires_what_was_not_acknowledged(
    write: Any,
    capfd: pytest.CaptureFixture[str],
    changes: list[dict[str, Any]],
    words: list[str],
    status: int,
) -> None:
    assert main([write(plan_document(*changes)), *words]) == status
    assert capfd.readouterr().err.startswith("needs acknowledgement: " if status else "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "No changes.\n"),
        (["--name", "dev"], "`dev`: no changes.\n"),
        (["--format", "terminal"], "No changes.\n"),
    ],
)
def test_an_empty_plan_is_one_line(
    write: Any, capfd: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert main([write(plan_document()), "--gate", *words]) == 0
    assert capfd.readouterr() == (line, "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the plan is empty"),
        (b'{"format_version": "1.2", "resource_changes": [{"addr', "the plan is not JSON (line 1, column 49"),
        (b"[]", "the plan is not a JSON object"),
        (b"PK\x03\x04rest", "the plan is Terraform's own plan file"),
        (
            b'{"format_version": "2.0", "resource_changes": []}',
            "has format_version '2.0'; 0.1, 0.2 and 1.x are supported",
        ),
        (b'{"resource_changes": []}', "has no format_version"),
        (b'{"format_version": "1.0", "values": {}}', "the plan is a state"),
        (b'{"format_version": "1.0"}', "is not a plan"),
        (b'{"@level":"info"}\n{"@level":"info"}', "is the log of `terraform plan -json`"),
        (b'{"format_version": "1.2", "resource_changes": {}}', "resource_changes is not a list of objects"),
        (
            b'{"format_version": "1.2", "resource_changes": [{"address": "a.b", "type": "a"}]}',
            "resource_changes[0] lacks",
        ),
        (b'{"format_version": "1.2", "resource_changes": [], "x": NaN}', "not JSON that Terraform writes"),
        (b'{"format_version": "1.2", "x": ' + b"[" * 100_000, "nested too deep"),
        (b'{"format_version": "1.2", "x": ' + b"[" * 150 + b"]" * 150 + b"}", "nested deeper than"),
        (b"\xff\xfe\xfa\xfb\xff", "is not text"),
    ],
)
@pytest.mark.parametrize("format_", ["markdown", "terminal", "json"])
def test_an_invalid_plan_is_refused_in_one_sentence_and_in_the_comment(
    write: Any, capfd: pytest.CaptureFixture[str], content: bytes, message: str, format_: str
) -> None:
    assert main([write(content), "--gate", "--format", format_]) == 1
    out, err = capfd.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert "no review" in out
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"errored": True}, "planning failed"),
        (
            {"complete": False},
            "the plan is incomplete (-target, or deferred changes); plan again without -target",
        ),
        ({"applyable": False}, "this plan cannot be applied"),
        (
            {"complete": False, "deferred_changes": [{"reason": "absent_prereq", "resource_change": LOSS}]},
            "1 change cannot be planned",
        ),
    ],
)
def test_a_plan_that_must_not_be_applied_is_refused_and_still_reported(
    write: Any, capfd: pytest.CaptureFixture[str], more: dict[str, Any], message: str
) -> None:
    assert main([write(plan_document(LOSS, **more))]) == 1
    out, err = capfd.readouterr()
    assert message in err
    assert "do not apply" in out.splitlines()[0]
    assert "**Do not apply this plan:**" in out
    assert "with all its objects" in out


def test_a_plan_comes_from_standard_input_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["-", "--json"], io.BytesIO(json.dumps(plan_document(LOSS)).encode())) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["severity"], report["acknowledge"], report["counts"]) == (
        "data loss",
        ["data loss"],
        {"deleted": 1},
    )


def test_a_utf_16_plan_of_powershell_is_read(write: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([write(json.dumps(plan_document(LOSS)).encode("utf-16")), "--gate"]) == 2
    assert "bucket `b` is deleted" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no plan: name the output of `terraform show -json PLANFILE`, or give --base and --head"),
        (
            ["plan.json", "--base", "a", "--head", "b"],
            "found plan.json and --base: give either a plan, or --base and --head",
        ),
        (["--base", "a"], "--head is missing: a comparison needs both stacks, --base and --head"),
        (["--head", "a"], "--base is missing: a comparison needs both stacks, --base and --head"),
        (["x", "--format", "pdf"], "argument --format: invalid choice: 'pdf'"),
    ],
)
def test_invalid_options_end_with_1(
    words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    error = capfd.readouterr().err
    assert error.startswith("usage: python -m review [-h]")
    assert f"\npython -m review: {message}" in error


def test_a_fault_of_the_review_itself_never_looks_like_a_review(
    write: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a-secret")

    monkeypatch.setattr("review.__main__.review_plan", fail)
    assert main([write(plan_document(LOSS)), "--gate"]) == 1
    out, err = capfd.readouterr()
    assert "ZeroDivisionError at test_main.py" in err
    assert "no review could be made" in out
    assert "a-secret" not in out + err
