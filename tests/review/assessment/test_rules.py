"""A user's own rules and renderers, and annotations on the source lines of constructs."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from review.__main__ import main
from review.assessment.rules import apply_rules, read_rules, read_stack_rules
from review.errors import PlanError
from review.findings.finding import Finding, Kind, Severity
from review.report.annotations import find_source_lines, format_annotations
from review.types import registry
from tests.review.conftest import change, plan_document

pytestmark = pytest.mark.unit

LOST = Finding(
    Kind.DATA, Severity.LOSS, "table t", "is deleted", address="module.m.google_bigquery_table.t[0]"
)
GRANT = Finding(
    Kind.ACCESS, Severity.WIDENED, "bucket b", "may", address="google_storage_bucket_iam_member.m"
)
TODAY = date(2026, 11, 27)


def rule(**keys: str) -> str:
    lines = [f'{key} = "{value}"' if key != "expires" else f"{key} = {value}" for key, value in keys.items()]
    return "\n".join(["[[rule]]", *lines, ""])


IGNORE = {"action": "ignore", "reason": "agreed", "expires": "2027-01-31"}


@pytest.mark.parametrize(
    ("rules", "severities", "is_blocked"),
    [
        (rule(**IGNORE, type="google_bigquery_*"), [Severity.NOTE, Severity.WIDENED], False),
        (
            rule(**IGNORE, address="module.m.google_bigquery_table.t"),
            [Severity.NOTE, Severity.WIDENED],
            False,
        ),
        (rule(**IGNORE, severity="access widened"), [Severity.LOSS, Severity.NOTE], False),
        (rule(**IGNORE, kind="cost"), [Severity.LOSS, Severity.WIDENED], False),
        (rule(**{**IGNORE, "expires": "2026-11-26"}), [Severity.LOSS, Severity.WIDENED], False),
        (rule(**{**IGNORE, "expires": "2026-11-27"}), [Severity.NOTE, Severity.NOTE], False),
        (rule(action="warn", reason="r"), [Severity.LOSS, Severity.WIDENED], False),
        (rule(action="block", reason="r", kind="data"), [Severity.LOSS, Severity.WIDENED], True),
        (
            rule(action="warn", reason="r", kind="data") + rule(**IGNORE),
            [Severity.LOSS, Severity.NOTE],
            False,
        ),
    ],
)
def test_a_rule_blocks_warns_or_ignores(rules: str, severities: list[Severity], *, is_blocked: bool) -> None:
    found, blocked, _ = apply_rules((LOST, GRANT), read_rules(rules.encode(), "rules.toml"), TODAY)
    assert [each.severity for each in found] == severities
    assert bool(blocked) is is_blocked


def test_an_ignored_finding_says_why_and_until_when_and_an_expired_rule_is_noted() -> None:
    rules = read_rules((rule(**IGNORE) + rule(**{**IGNORE, "expires": "2026-01-01"})).encode(), "rules.toml")
    found, _, notes = apply_rules((LOST,), rules, TODAY)
    assert "data loss, ignored until 2027-01-31" in found[0].sentence
    assert any("expired on 2026-01-01" in each for each in notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[[rule]", "not valid TOML"),
        (b"x = 1", "unknown key 'x'"),
        (b'[[rule]]\naction = "skip"\nreason = "r"', "expected one of block, warn, ignore"),
        (b'[[rule]]\nreason = "r"', "action is None"),
        (b'[[rule]]\naction = "block"', "has no reason"),
        (b'[[rule]]\naction = "ignore"\nreason = "r"', "ignores findings forever"),
        (b'[[rule]]\naction = "warn"\nreason = "r"\nexpires = "soon"', "expected a date"),
        (b'[[rule]]\naction = "warn"\nreason = "r"\nseverity = "bad"', "severity is 'bad'"),
        (b'[[rule]]\naction = "warn"\nreason = "r"\nadress = "x"', "unknown key 'adress'"),
    ],
)
def test_an_invalid_rule_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        read_rules(content, "rules.toml")


def build_stack(**notes: Any) -> dict[str, Any]:
    return {"resource": {"google_bigquery_table": {"t": {"//": notes, "table_id": "t"}}}}


def test_a_stack_holds_rules_for_its_own_resource_only() -> None:
    (found,) = read_stack_rules(build_stack(review={**IGNORE, "type": "*", "address": "*"}))
    assert found.matches(Finding(Kind.DATA, Severity.LOSS, "t", "s", address="google_bigquery_table.t"))
    assert not found.matches(GRANT)


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({"source": "cdk/tables.py:12"}, ("cdk/tables.py", 12)),
        (
            {
                "metadata": {
                    "stackTrace": ["new T (/x/node_modules/cdktf/t.js:1:2)", "at f (./cdk/tables.ts:7:3)"]
                }
            },
            ("cdk/tables.ts", 7),
        ),
        ({"metadata": {"path": "a/b"}}, None),
        ({"source": "../../etc/x.py:1"}, None),
    ],
)
def test_a_finding_is_annotated_if_the_stack_has_its_source_line(
    notes: Any, expected: tuple[str, int] | None
) -> None:
    found = find_source_lines(build_stack(**notes))
    assert found.get("google_bigquery_table.t") == expected
    finding = Finding(
        Kind.DATA, Severity.LOSS, "table t", "100% is\ndeleted", address="google_bigquery_table.t"
    )
    lines = list(format_annotations((finding, GRANT), found, str))
    if expected:
        place = f"file={expected[0]},line={expected[1]}"
        assert lines == [f"::error {place},title=data loss::table t: 100%25 is%0Adeleted"]
    else:
        assert lines == []


TABLE = {"dataset_id": "d", "table_id": "t", "schema": "[]"}


@pytest.fixture
def plan(tmp_path: Path) -> str:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan_document(change("google_bigquery_table.t", TABLE, None))))
    return str(file)


def test_rules_change_what_the_gate_requires(
    plan: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.toml"
    assert main([plan, "--gate"]) == 2
    rules.write_text(rule(**{**IGNORE, "expires": "2999-01-01"}))
    assert main([plan, "--gate", "--rules", str(rules)]) == 0
    rules.write_text(rule(action="block", reason="no tables go in a freeze"))
    assert main([plan, "--rules", str(rules)]) == 1
    assert "no tables go in a freeze" in capfd.readouterr().err
    rules.write_text("[[rule]]")
    assert main([plan, "--rules", str(rules)]) == 1


def test_rules_of_a_stack_apply_only_with_their_option(
    plan: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cdk.tf.json"
    file.write_text(json.dumps(build_stack(review={**IGNORE, "expires": "2999-01-01"})))
    assert main([plan, "--gate", "--stack", str(file)]) == 2
    assert main([plan, "--gate", "--stack", str(file), "--stack-rules"]) == 0
    assert "ignored until 2999-01-01" in capfd.readouterr().out


def test_annotations_go_to_standard_error(
    plan: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cdk.tf.json"
    file.write_text(json.dumps(build_stack(source="cdk/tables.py:12")))
    main([plan, "--stack", str(file), "--annotations"])
    assert "::error file=cdk/tables.py,line=12" in capfd.readouterr().err


@pytest.fixture
def registered() -> Iterator[None]:
    yield
    registry._registered.clear()
    registry.load_modules.cache_clear()
    registry.find_renderers.cache_clear()


OWN = """
from review.findings.finding import Finding, Kind, Severity

TYPES = ("google_bigquery_table", "acme_*")
REPORTS_DELETION = True


def findings(change, context):
    yield Finding(Kind.DATA, Severity.CARE, context.where(change), "our own words", address=change.address)
"""


@pytest.mark.usefixtures("registered")
def test_a_users_renderer_replaces_the_built_in_one(
    plan: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "types"
    folder.mkdir()
    (folder / "tables.py").write_text(OWN)
    assert main([plan, "--gate", "--types", str(folder)]) == 0
    assert "our own words" in capfd.readouterr().out


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no Python module"),
        ("TYPES = 'x'", "has no TYPES"),
        ("TYPES = ('x',)", "has neither findings"),
        ("TELLS_THE_END = True", "TELLS_THE_END is now REPORTS_DELETION; rename it"),
        ("import nothing_of_this_name", "cannot be imported"),
    ],
)
def test_an_invalid_folder_of_types_is_refused(
    plan: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    folder = tmp_path / "types"
    folder.mkdir()
    if content is not None:
        (folder / "own.py").write_text(content)
    assert main([plan, "--types", str(folder)]) == 1
    assert message in capfd.readouterr().err
