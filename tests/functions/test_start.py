"""S26: without its secrets and its variables no function does anything for anybody."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import pytest

from functions.environment import EnvironmentRefused
from functions.secrets import Secret, SecretUnusable, auth_tokens, rest_credentials
from functions.transfer import handler as transfer
from functions.voice_webhook import handler as voice_webhook
from tests.contracts.table import FakeTable
from tests.functions.line import CALLED, CALLER, FakeSecrets, Line, gateway_event
from tests.functions.world import ACCOUNT_SID, CALL_SID, ENVIRONMENT, ORIGIN

SHARED = ("LEDGER_TABLE", "PUBLIC_WEBHOOK_ORIGIN", "TWILIO_ACCOUNT_SID")
NEEDED = {
    voice_webhook.build: (*SHARED, "PUBLIC_MEDIA_ORIGIN", "TWILIO_AUTH_TOKEN_SECRET"),
    transfer.build: (*SHARED, "TRANSFER_QUEUE_URL", "TWILIO_REST_SECRET"),
}
# Whatever else a shell may hold: there is no switch that leaves a check out.
SWITCHES = {"SKIP_SIGNATURE": "1", "DEBUG": "1", "DEV": "true", "ENVIRONMENT": "development", "VALIDATE": "false"}
MISSING = (None, "", "{}", "[]", "null", '"text"', '{"current": ""}', '{"current": " "}', '{"current": null}')
HALVES = ("username", "password")


def subsets(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """All 2^n, the whole one last."""
    for size in range(len(names) + 1):
        yield from itertools.combinations(names, size)


@pytest.mark.parametrize("build", NEEDED, ids=["webhook", "transfer"])
@pytest.mark.parametrize("missing", ["left out", "", " \t\n"], ids=["left out", "empty", "blank"])
def test_S26_no_combination_of_variables_but_the_whole_one_starts(build: object, missing: str) -> None:
    names = NEEDED[build]  # type: ignore[index]
    started = []
    for some in subsets(names):
        others = {} if missing == "left out" else dict.fromkeys(names, missing)
        given = others | {name: ENVIRONMENT[name] for name in some}
        said = refusal(build, {"AGENT_FILE": ENVIRONMENT["AGENT_FILE"]} | SWITCHES | given)
        assert [name for name in names if name in said] == [name for name in names if name not in some]
        if not said:
            started.append(set(some))
    assert started == [set(names)]


def refusal(build: object, environ: Mapping[str, str]) -> str:
    try:
        start(build, environ)
    except EnvironmentRefused as refused:
        return str(refused)
    return ""


def start(build: object, environ: Mapping[str, str]) -> None:
    if build is voice_webhook.build:
        voice_webhook.build(environ, dynamodb=FakeTable(), secrets=object(), sqs=object())
    else:
        transfer.build(environ, dynamodb=FakeTable(), secrets=object(), sqs=object())


@pytest.mark.parametrize("content", MISSING)
@pytest.mark.parametrize("key", ["", " ", "None", "null", "5", "undefined"])
def test_S26_without_an_auth_token_no_signature_opens_anything(content: str | None, key: str) -> None:
    line = Line()
    line.secrets.content = content
    answer = line.post("/voice/incoming", token=key, CallStatus="ringing")
    assert "<Stream" not in str(answer)
    assert line.ledger.read(CALL_SID) is None


def test_S26_neither_does_a_request_without_a_signature() -> None:
    line = Line()
    form = {"CallSid": CALL_SID, "AccountSid": ACCOUNT_SID, "From": CALLER, "To": CALLED, "CallStatus": "ringing"}
    answer = line.send(gateway_event(f"{ORIGIN}/voice/incoming", urlencode(form), {}))
    assert answer["statusCode"] == 403
    assert line.ledger.read(CALL_SID) is None
    assert line.incoming().find(".//Stream") is not None  # the same, signed


@pytest.mark.parametrize("content", [*MISSING, '{"current": 5}', '{"current": true}', '{"previous": "old"}'])
def test_S26_a_secret_without_a_token_is_none(content: str | None) -> None:
    with pytest.raises(SecretUnusable):
        auth_tokens(Secret("s", fake(content)))


def test_S26_no_combination_of_the_rest_credentials_but_the_whole_one_is_used() -> None:
    used = []
    for some in subsets(HALVES):
        for nothing in ({}, dict.fromkeys(HALVES, ""), dict.fromkeys(HALVES, None), dict.fromkeys(HALVES, 5)):
            try:
                rest_credentials(Secret("s", fake(json.dumps(nothing | dict.fromkeys(some, "x")))))
            except SecretUnusable:
                continue
            used.append(some)
    assert set(used) == {HALVES}


def test_S26_a_token_is_used_without_the_white_space_that_was_pasted_with_it() -> None:
    assert auth_tokens(Secret("s", fake('{"current": "new\\n", "previous": " old"}'))) == ["new", "old"]


def fake(content: str | None) -> FakeSecrets:
    secrets = FakeSecrets()
    secrets.content = content
    return secrets
