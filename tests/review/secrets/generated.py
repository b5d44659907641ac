"""Plans generated from a seed: resources of every kind, with secrets where people put them."""

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

from tests.review.conftest import change, plan_document

ALPHABETS = (
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "!@#$%^&*()-_=+[]{};:,.<>/?|~",
    string.ascii_letters + "äöüßéèñ日本語🔑",
    string.ascii_letters + string.digits + "\"'\\`<>&\n\t ",
)


@dataclass(frozen=True)
class Generated:
    """A plan's document and the secrets in it."""

    document: dict[str, Any]
    secrets: tuple[str, ...]


def secret(chance: random.Random) -> str:
    """Return a secret of some alphabet, too long to occur in other text by accident."""
    letters = chance.choice(ALPHABETS)
    return (
        "".join(chance.choice(letters) for _ in range(chance.randint(8, 40))).strip()
        + chance.choice("qxzjk")
        + "7Q"
    )


def hidden_in(chance: random.Random, value: str) -> str:
    """Return a text that contains a secret in one of the usual ways."""
    raw = value.encode()
    padding = bytes(chance.randrange(256) for _ in range(chance.randrange(4)))
    return chance.choice(
        [
            value,
            f"before {value} after",
            f"https://user:{quote(value, safe='')}@example.org/",
            f"https://example.org/?token={quote_plus(value)}&x=1",
            f"https://example.org/?token={value}&x=1",
            base64.b64encode(raw).decode(),
            base64.urlsafe_b64encode(padding + raw + padding).decode(),
            base64.b64encode(b'{"password": "' + raw + b'"}').decode(),
            json.dumps({"password": value}),
            json.dumps({"password": value}, ensure_ascii=False),
            json.dumps({"nested": json.dumps([value])}),
            raw.hex(),
            f"line one\nthe {value}\nline three",
        ]
    )


def generate(seed: int) -> Generated:
    """Return the plan of a seed."""
    chance = random.Random(seed)  # noqa: S311
    secrets = tuple(secret(chance) for _ in range(chance.randint(1, 4)))
    changes = [_change(chance, secrets, index) for index in range(chance.randint(1, 6))]
    more: dict[str, Any] = {
        "output_changes": {
            "shown": {
                "actions": ["update"],
                "before": hidden_in(chance, chance.choice(secrets)),
                "after": hidden_in(chance, chance.choice(secrets)),
                "before_sensitive": False,
                "after_sensitive": False,
            }
        },
        "checks": [
            {
                "address": {"to_display": "check.c"},
                "status": "fail",
                "instances": [{"problems": [{"message": hidden_in(chance, chance.choice(secrets))}]}],
            }
        ],
        "resource_drift": [_change(chance, secrets, 90)],
    }
    # Where the secrets are marked: each of them somewhere, at another place per seed.
    for value in secrets:
        where = chance.randrange(4)
        if where == 0:
            changes.append(_marked(chance, value, len(changes)))
        elif where == 1:
            more.setdefault("variables", {})[f"v{len(more)}{value[-4:-3]}"] = {"value": value}
            names = more["variables"]
            more["configuration"] = {
                "root_module": {"variables": {name: {"sensitive": True} for name in names}}
            }
        elif where == 2:
            more["output_changes"][f"o{secrets.index(value)}"] = {
                "actions": ["create"],
                "before": None,
                "after": {"inside": [value]},
                "after_sensitive": {"inside": [True]},
            }
        else:
            state = more.setdefault("prior_state", {"values": {"root_module": {"resources": []}}})
            state["values"]["root_module"]["resources"].append(
                {
                    "address": "a.b",
                    "values": {"deep": [{"x": value}]},
                    "sensitive_values": {"deep": [{"x": True}]},
                }
            )
    return Generated(plan_document(*changes, **more), secrets)


def _marked(chance: random.Random, value: str, index: int) -> dict[str, Any]:
    old = chance.choice([None, "an older value"])
    before = None if old is None else {"secret_data": old, "secret": "s"}
    return change(
        f"google_secret_manager_secret_version.v{index}",
        before,
        {"secret_data": value, "secret": "s"},
        sensitive=({"secret_data": True}, {"secret_data": True}),
    )


def _change(chance: random.Random, secrets: tuple[str, ...], index: int) -> dict[str, Any]:
    def text() -> str:
        return (
            hidden_in(chance, chance.choice(secrets))
            if chance.random() < 0.7
            else f"plain {chance.randrange(99)}"
        )

    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "google_storage_bucket": lambda: {
            "name": text(),
            "location": text(),
            "labels": {"l": text()},
            "force_destroy": True,
        },
        "google_bigquery_table": lambda: {
            "dataset_id": "d",
            "table_id": text(),
            "schema": json.dumps([{"name": "a", "type": "STRING", "description": text()}]),
            "view": [{"query": f"SELECT 1\nFROM t WHERE k = '{text()}'"}] if chance.random() < 0.5 else [],
        },
        "google_cloudfunctions2_function": lambda: {
            "name": "f",
            "service_config": [
                {"environment_variables": {"URL": text(), "OTHER": text()}, "service_account_email": text()}
            ],
        },
        "google_cloud_run_v2_service": lambda: {
            "name": "s",
            "template": [{"containers": [{"image": text(), "env": [{"name": "URL", "value": text()}]}]}],
        },
        "google_cloud_scheduler_job": lambda: {
            "name": "j",
            "schedule": "* * * * *",
            "http_target": [{"uri": text(), "body": base64.b64encode(text().encode()).decode()}],
        },
        "google_project_iam_member": lambda: {"project": "p", "role": text(), "member": f"user:{text()}"},
        "google_monitoring_dashboard": lambda: {"dashboard_json": json.dumps({"a": {"b": text()}})},
        "custom_thing": lambda: {"a": text(), "b": {"c": [text(), {"d": text()}]}},
    }
    type_ = chance.choice(sorted(makers))
    before, after = makers[type_](), makers[type_]()
    kind = chance.randrange(5)
    key = json.dumps(text()) if chance.random() < 0.2 else '"k"'
    address = f"{type_}.r{index}[{key}]"
    if kind == 0:
        found = change(address, None, after)
    elif kind == 1:
        found = change(address, before, None, reason="x")
    elif kind == 2:
        found = change(address, before, after, "delete", "create", replace_paths=[["name"]])
    else:
        found = change(address, before, after)
    found["type"] = type_
    return found


def list_encodings(value: str) -> Iterator[str]:
    """Yield the encodings in which no output may contain a secret."""
    yield value
    yield quote(value, safe="")
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield base64.b64encode(value.encode()).decode().rstrip("=")[:-1]
    yield base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")[:-1]
    yield value.encode().hex()
