"""S26: without its secrets and its variables the relay does not start."""

from __future__ import annotations

import itertools

import pytest

from containers.media_relay import keys
from containers.media_relay.config import Config, ConfigError
from tests.containers.media_relay.house import ORIGIN

NEEDED = {
    "PUBLIC_MEDIA_ORIGIN": ORIGIN,
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN_SECRET": "token",
    "OPENAI_API_KEY_SECRET": "key",
    "LEDGER_TABLE": "ledger",
    "TRANSFER_QUEUE_URL": "https://queue.example.com/transfers",
}
# Whatever else a shell may hold: there is no switch that leaves a check out, and no key but by its secret's name.
SWITCHES = {"SKIP_SIGNATURE": "1", "DEBUG": "1", "TWILIO_AUTH_TOKEN": "t", "OPENAI_API_KEY": "sk"}
NOTHING = ("", " ", "\n", "{}", '{"current": ""}', '{"current": " "}', '{"current": null}', '{"current": 5}', "{")


@pytest.mark.parametrize("missing", ["left out", "empty"])
def test_S26_no_combination_of_variables_but_the_whole_one_starts(missing: str) -> None:
    started = []
    for size in range(len(NEEDED) + 1):
        for some in itertools.combinations(NEEDED, size):
            others = {} if missing == "left out" else dict.fromkeys(NEEDED, "")
            said = refusal(SWITCHES | others | {name: NEEDED[name] for name in some})
            assert [name for name in NEEDED if name in said] == [name for name in NEEDED if name not in some]
            if not said:
                started.append(some)
    assert started == [tuple(NEEDED)]


def refusal(environ: dict[str, str]) -> str:
    try:
        Config.from_env(environ)
    except ConfigError as refused:
        return str(refused)
    return ""


def test_S26_no_combination_of_secrets_but_the_whole_one_gives_keys() -> None:
    given = []
    for token, key in itertools.product([*NOTHING, "a token"], [*NOTHING, "a key"]):
        try:
            keys.read({"token": token, "key": key}.__getitem__, "token", "key")
        except keys.SecretUnusable:
            continue
        given.append((token, key))
    assert given == [("a token", "a key")]


@pytest.mark.parametrize("there", [(), ("token",), ("key",)])
def test_S26_a_secret_that_is_not_there_stops_the_start(there: tuple[str, ...]) -> None:
    with pytest.raises(KeyError):
        keys.read(dict.fromkeys(there, "x").__getitem__, "token", "key")


def test_a_token_is_used_without_the_white_space_that_was_pasted_with_it() -> None:
    stored = {"token": '{"current": "new\\n", "previous": " "}', "key": "sk\n"}
    assert keys.read(stored.__getitem__, "token", "key").auth_tokens == ("new",)
