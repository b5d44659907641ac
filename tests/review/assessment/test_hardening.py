"""Recommended settings are those of the provider's schema, and are listed where a new resource lacks them."""

from typing import Any

import pytest

from review.assessment.hardening import TABLE, describe_missing_settings
from review.findings.text import strip_markup
from review.google_cloud.resource_types import list_unknown_arguments, look_up_type
from review.plan.raw_json import as_mapping, read_json
from tests.review.conftest import build_context, change

pytestmark = pytest.mark.unit

SETTINGS = [as_mapping(each) for each in read_json(TABLE.read_bytes(), "the table")["settings"]]


def test_every_setting_is_an_argument_of_its_types() -> None:
    for setting in SETTINGS:
        assert set(setting) <= {"types", "path", "want", "unless", "words"}
        for type_ in setting["types"].split():
            assert look_up_type(type_), type_
            assert not list_unknown_arguments(type_, [setting["path"]]), (type_, setting["path"])


KEY = "google_kms_crypto_key.k"
TABLE_ = "google_bigquery_table.t"
LINES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a key that is never rotated": (
        change(KEY, None, {"purpose": "ENCRYPT_DECRYPT"}),
        ["is never rotated (rotation_period): kms crypto key google_kms_crypto_key.k"],
    ),
    "a key that cannot be rotated": (change(KEY, None, {"purpose": "ASYMMETRIC_SIGN"}), []),
    "a key whose period is known later": (change(KEY, None, {}, unknown={"rotation_period": True}), []),
    "a key that exists": (change(KEY, {"name": "a"}, {"name": "b"}), []),
    "a default that protects": (
        change(TABLE_, None, {"encryption_configuration": [{"kms_key_name": "k"}]}), [],
    ),
    "a protection that is off": (
        change(TABLE_, None, {"deletion_protection": False, "encryption_configuration": [{"kms_key_name": "k"}]}),
        ["a later plan can delete it: deletion protection is off (deletion_protection): table google_bigquery_table.t"],
    ),
    "a version that Google Cloud chooses": (
        change("google_compute_ssl_policy.p", None, {"name": "p"}, unknown={"min_tls_version": True}),
        [
            "allows TLS below 1.2 (min_tls_version), unless Google Cloud's default differs: "
            "compute ssl policy google_compute_ssl_policy.p"
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LINES)
def test_a_new_resource_lists_what_it_lacks(what: str) -> None:
    made, lines = LINES[what]
    assert [strip_markup(each) for each in describe_missing_settings(build_context(made))] == lines


def test_many_resources_are_one_line() -> None:
    made = [change(f'google_kms_crypto_key.k["{each}"]', None, {"name": "k"}) for each in range(20)]
    lines = list(describe_missing_settings(build_context(*made)))
    assert len(lines) == 1
    assert lines[0].endswith(" and 12 more")
