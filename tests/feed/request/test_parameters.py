"""Parameters, headers and secrets of a request."""

import re
from collections.abc import Callable

import pytest

from feed import Feed, FeedError, add_query, resolve_parameters, secret_variable_name
from feed.request.parameters import Parameter

pytestmark = pytest.mark.unit

MakeFeed = Callable[..., Feed]
RECORDS = [{"id": 1}]


def test_values_and_secrets_by_name(make_feed: MakeFeed) -> None:
    feed = make_feed(
        RECORDS,
        '[query]\ncontract = "x"\napiKey = { secret = "bikes-key" }\n'
        '[headers]\nUser-Agent = "archive (mail@example.org)"\nX-Key = { secret = "bikes-key" }',
    )
    assert feed.query == (Parameter("contract", "x"), Parameter("apiKey", "", "bikes-key"))
    assert feed.secrets == ("bikes-key",)
    assert secret_variable_name("bikes-key") == "SECRET_BIKES_KEY"
    query = resolve_parameters(feed.query, {"bikes-key": "a b&c"})
    assert add_query("https://api.example/v1?contract=old&f=json", query) == (
        "https://api.example/v1?f=json&contract=x&apiKey=a+b%26c"
    )
    assert add_query("https://api.example/v1?q=%20", {}) == "https://api.example/v1?q=%20"


REFUSED = [
    ('[query]\nkey = { secret = "SECRET VALUE!" }', "found an invalid name; expected the name of a secret"),
    ('[query]\nkey = { value = "x" }', "key query.key.value: found an unknown key"),
    ("[query]\nkey = 1", "key query.key: found the number 1; expected a string"),
    ('[headers]\nHost = "x"', "expected the name of an HTTP header that the client does not set itself"),
    ('[headers]\n"A b" = "x"', "expected the name of an HTTP header"),
    ('[headers]\nA = "x\\ny"', "expected text of one line"),
]


@pytest.mark.parametrize(("toml", "message"), REFUSED)
def test_what_is_no_parameter_is_refused(make_feed: MakeFeed, toml: str, message: str) -> None:
    with pytest.raises(FeedError, match=re.escape(message)):
        make_feed(RECORDS, toml)
