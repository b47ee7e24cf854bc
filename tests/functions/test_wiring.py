"""Environment, secrets, event lines, and what a cold start imports."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from contracts import events
from contracts.metrics import Metric
from functions.environment import EnvironmentRefused, origin, required
from functions.eventlog import EventLog
from functions.secrets import AUTH_TOKENS, Secret, SecretUnusable, auth_tokens, rest_credentials
from functions.voice_webhook import handler
from tests.functions.line import FakeSecrets
from tests.functions.world import AUTH_TOKEN, ENVIRONMENT


def test_every_missing_variable_is_named_at_once() -> None:
    assert required({"A": "1", "B": "2"}, "A", "B") == ["1", "2"]
    with pytest.raises(EnvironmentRefused, match="A, C"):
        required({"A": "", "B": "2"}, "A", "B", "C")


@pytest.mark.parametrize("value", ["https://voice.example.com", "https://voice.example.com/", "http://127.0.0.1:8080"])
def test_an_origin_is_a_scheme_and_a_host(value: str) -> None:
    assert origin("X", value, "https", "http") == value.rstrip("/")


@pytest.mark.parametrize(
    "value",
    ["voice.example.com", "ftp://x", "https://", "https://x/path", "https://x?y=1", "https://x#y", "https://u:p@x"],
)
def test_anything_else_is_refused_by_name(value: str) -> None:
    with pytest.raises(EnvironmentRefused, match="PUBLIC_WEBHOOK_ORIGIN"):
        origin("PUBLIC_WEBHOOK_ORIGIN", value, "https", "http")


NEEDED = (
    "PUBLIC_WEBHOOK_ORIGIN",
    "PUBLIC_MEDIA_ORIGIN",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN_SECRET",
    "LEDGER_TABLE",
)


@pytest.mark.parametrize("name", NEEDED)
def test_S26_the_webhook_does_not_start_without_each_of_its_variables(name: str) -> None:
    environ = {key: value for key, value in ENVIRONMENT.items() if key != name}
    with pytest.raises(EnvironmentRefused, match=name):
        handler.build(environ, dynamodb=object(), secrets=object())


def test_lambda_builds_the_webhook_once_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    handler._handler.cache_clear()
    event = {"rawPath": "/", "requestContext": {"http": {"method": "GET", "path": "/"}, "stage": "$default"}}
    try:
        assert handler.handler(event, None)["statusCode"] == 404
        assert handler.handler(event, None)["statusCode"] == 404
        assert handler._handler.cache_info().misses == 1
    finally:
        handler._handler.cache_clear()


class TestSecrets:
    def test_R34_the_current_and_the_previous_token_are_in_force(self) -> None:
        assert auth_tokens(Secret("s", FakeSecrets())) == [AUTH_TOKEN]
        both = FakeSecrets(json.dumps({"current": "new", "previous": "old"}))
        assert auth_tokens(Secret("s", both)) == ["new", "old"]

    def test_a_secret_is_kept_and_not_fetched_for_every_request(self) -> None:
        client = FakeSecrets()
        secret = Secret("s", client)
        for _ in range(10):
            secret.read()
        assert client.asked == 1

    def test_R34_when_a_reload_fails_the_last_good_content_stays(self) -> None:
        client, now = FakeSecrets(), [0.0]
        secret = Secret("s", client, now=lambda: now[0])
        secret.read()
        secret._provider.store = {}
        client.content = None
        assert auth_tokens(secret) == [AUTH_TOKEN]
        client.content = "not json"
        now[0] += 10
        assert auth_tokens(secret) == [AUTH_TOKEN]
        assert client.asked == 3

    @pytest.mark.parametrize(
        "content", ["[]", "null", "{}", '{"current": ""}', '{"current": null}', '{"previous": "x"}']
    )
    def test_R34_content_without_its_form_does_not_take_the_place_of_the_last_good_one(self, content: str) -> None:
        client, now, told = FakeSecrets(), [0.0], list[str]()
        secret = Secret("s", client, now=lambda: now[0], needed=AUTH_TOKENS, tell=told.append)
        assert auth_tokens(secret) == [AUTH_TOKEN]
        secret._provider.store = {}
        client.content = content
        assert auth_tokens(secret) == [AUTH_TOKEN]
        assert len(told) == 1
        with pytest.raises(SecretUnusable):
            Secret("s", client, needed=AUTH_TOKENS).read()

    def test_R35_while_reloads_fail_nobody_waits_for_more_than_one_in_ten_seconds(self) -> None:
        client, now = FakeSecrets(), [0.0]
        secret = Secret("s", client, now=lambda: now[0])
        secret.read()
        secret._provider.store = {}
        client.content = None
        for _ in range(5):  # as often as one question of Twilio's needs the tokens
            assert auth_tokens(secret) == [AUTH_TOKEN]
        assert client.asked == 2
        now[0] += 10
        secret.read()
        assert client.asked == 3
        client.content = json.dumps({"current": "new"})
        now[0] += 10
        assert auth_tokens(secret) == ["new"]

    @pytest.mark.parametrize("content", [None, "canary-not-json", "[]", "[" * 5000])
    def test_S12_an_unusable_secret_is_named_and_its_content_is_not(self, content: str | None) -> None:
        client = FakeSecrets()
        client.content = content
        with pytest.raises(SecretUnusable) as unusable:
            Secret("the-name", client).read()
        assert "the-name" in str(unusable.value)
        assert "canary" not in str(unusable.value)

    def test_half_a_secret_is_none(self) -> None:
        with pytest.raises(SecretUnusable):
            auth_tokens(Secret("s", FakeSecrets('{"previous": "old"}')))
        for half in ('{"username": "SK1"}', '{"password": "x"}'):
            with pytest.raises(SecretUnusable):
                rest_credentials(Secret("s", FakeSecrets(half)))
        whole = FakeSecrets('{"username": "SK1", "password": "x"}')
        assert rest_credentials(Secret("s", whole)) == ("SK1", "x")


def test_an_event_is_one_line_and_the_newest_owner_says_where_it_goes() -> None:
    old, new = io.StringIO(), io.StringIO()
    EventLog(events.Part.TRANSFER, clock=lambda: 0.0, stream=old)
    log = EventLog(events.Part.TRANSFER, clock=lambda: 1_795_000_000.5, stream=new)
    log.write(events.TRANSFER_REFUSED, "CA1", request_id="r", why="line\nbreak \u2028 \x1b[31m")
    log.count(Metric.CALLER_GONE)
    assert old.getvalue() == ""
    line, metric = new.getvalue().split("\n")[:2]
    fields = json.loads(line)
    assert (fields["event"], fields["part"], fields["call_sid"]) == ("transfer.refused", "transfer", "CA1")
    assert fields["at"] == "2026-11-18T11:06:40.500Z"
    assert fields["why"] == "line\nbreak \u2028 \x1b[31m"
    assert json.loads(metric)["CallerGone"] == [1.0]


FORBIDDEN = {
    "functions.voice_webhook.handler": [
        "twilio.rest",
        "requests",
        "pydantic",
        "aiohttp",
        "websockets",
        "numpy",
        "openai",
    ],
    "functions.transfer.handler": ["pydantic", "websockets", "numpy", "openai"],
    "contracts.ledger": ["boto3", "botocore", "twilio", "pydantic", "aws_lambda_powertools", "yaml"],
}


@pytest.mark.parametrize("module", FORBIDDEN)
def test_a_cold_start_does_not_import_what_it_does_not_need(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {FORBIDDEN[module]!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
