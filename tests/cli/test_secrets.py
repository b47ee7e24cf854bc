from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.key_store import rotated
from simulators.model import Faults
from tests.cli.operating import (
    ACCOUNT,
    API_KEY,
    API_SECRET,
    CANARY,
    NEW_TOKEN,
    OPENAI_KEY,
    TOKEN,
    Desk,
    stand_ins,
)

AUTH_TOKEN = "patchthrough/dev/twilio-auth-token"
REST = "patchthrough/dev/twilio-rest"
OPENAI = "patchthrough/dev/openai-api-key"
SID = "/patchthrough/dev/twilio-account-sid"
MakeDesk = Callable[[pytest.MonkeyPatch, pytest.CaptureFixture[str]], Desk]


@pytest.fixture(scope="module")
def neighbours() -> Iterator[MakeDesk]:
    with stand_ins() as made:
        yield made


@pytest.fixture
def desk(neighbours: MakeDesk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    return neighbours(monkeypatch, capsys)


def test_keys_are_tried_and_then_stored(desk: Desk) -> None:
    desk.carrier.credentials[API_KEY] = API_SECRET
    ran = desk.set_keys(api_key_sid=API_KEY, api_key_secret=API_SECRET)
    assert ran.status == 0, ran.err
    assert desk.stored() == {
        AUTH_TOKEN: json.dumps({"current": TOKEN}),
        REST: json.dumps({"username": API_KEY, "password": API_SECRET}),
        OPENAI: OPENAI_KEY,
        SID: ACCOUNT,
    }
    assert ran.out == "all keys are stored\n"


def test_the_model_is_asked_for_a_session_as_the_relay_wants_it_and_for_no_response(desk: Desk) -> None:
    assert desk.set_keys().status == 0
    (session,) = desk.model.sessions
    assert session.model == "gpt-realtime-2.1"
    assert [event["type"] for event in session.received] == ["session.update"]
    audio = session.received[0]["session"]["audio"]
    assert audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcmu"}
    assert audio["output"]["voice"] == "marin"
    assert session.violations == []


def test_without_an_api_key_the_auth_token_is_the_rest_credential_and_that_is_said(desk: Desk) -> None:
    ran = desk.set_keys()
    assert json.loads(desk.stored()[REST]) == {"username": ACCOUNT, "password": TOKEN}
    assert "no API key" in ran.err


def test_a_trial_account_is_a_note(desk: Desk) -> None:
    desk.carrier.account.type = "Trial"
    ran = desk.set_keys()
    assert ran.status == 0
    assert "trial" in ran.err


def test_only_twilio_or_only_openai_can_be_set(desk: Desk) -> None:
    assert desk.set_keys("twilio", openai_api_key=None).status == 0
    assert set(desk.stored()) == {AUTH_TOKEN, REST, SID}
    ran = desk.set_keys("openai", account_sid=None, auth_token=None)
    assert ran.status == 0
    assert set(desk.stored()) == {AUTH_TOKEN, REST, SID, OPENAI}


def test_without_an_openai_key_twilios_are_stored_and_the_rest_is_named(desk: Desk) -> None:
    ran = desk.set_keys(openai_api_key=None)
    assert ran.status == 0
    assert ran.out == f"missing: secret {OPENAI}\n"


def test_R34_a_new_auth_token_keeps_the_old_one_beside_it_and_the_same_one_changes_nothing(desk: Desk) -> None:
    desk.set_keys()
    desk.carrier.account.auth_token = desk.carrier.credentials[ACCOUNT] = NEW_TOKEN
    assert desk.set_keys(auth_token=NEW_TOKEN).status == 0
    both = {"current": NEW_TOKEN, "previous": TOKEN}
    assert json.loads(desk.stored()[AUTH_TOKEN]) == both
    again = desk.set_keys(auth_token=NEW_TOKEN)
    assert json.loads(desk.stored()[AUTH_TOKEN]) == both
    assert "unchanged" in again.err
    assert desk.set_keys("--forget-previous", auth_token=NEW_TOKEN).status == 0
    assert json.loads(desk.stored()[AUTH_TOKEN]) == {"current": NEW_TOKEN}


@given(tokens=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=8))
def test_R34_of_any_row_of_tokens_the_last_two_different_ones_are_accepted(tokens: list[tuple[str, bool]]) -> None:
    stored: dict[str, str] = {}
    accepted: list[str] = []
    for token, forget in tokens:
        stored = rotated(stored, token, forget_previous=forget)
        if not accepted or accepted[0] != token:
            accepted = [token, *accepted[:1]]
        accepted = accepted[:1] if forget else accepted
        assert list(stored.values()) == accepted


def test_another_accounts_token_is_not_kept_as_the_previous_one(desk: Desk) -> None:
    desk.set_keys()
    desk.aws("ssm").put_parameter(Name=SID, Value="AC" + "9" * 32, Type="String", Overwrite=True)
    secret = json.dumps({"current": "foreign"})
    desk.aws("secretsmanager").put_secret_value(SecretId=AUTH_TOKEN, SecretString=secret)
    ran = desk.set_keys()
    assert json.loads(desk.stored()[AUTH_TOKEN]) == {"current": TOKEN}
    assert "The account changed" in ran.err


def test_a_secret_that_is_scheduled_for_deletion_is_restored(desk: Desk) -> None:
    desk.set_keys()
    for name in (AUTH_TOKEN, REST, OPENAI):
        desk.aws("secretsmanager").delete_secret(SecretId=name, RecoveryWindowInDays=7)
    assert desk.run("secrets", "check").status == 1
    assert desk.set_keys().status == 0
    assert desk.run("secrets", "check").status == 0
    assert desk.stored()[OPENAI] == OPENAI_KEY


def _refused(desk: Desk, *, expect: str, stored: bool = False, **keys: str | None) -> None:
    ran = desk.set_keys(**keys)
    assert ran.status == 1
    assert expect in ran.err
    assert "  why  " in ran.err
    assert "  fix  " in ran.err
    assert CANARY not in ran.text
    assert bool(desk.stored()) is stored


def test_S12_refused_keys_are_not_stored_and_never_shown(desk: Desk) -> None:
    _refused(desk, expect="Twilio refuses the credential", auth_token="canary-wrong")
    _refused(desk, expect=f"API key {API_KEY}", api_key_sid=API_KEY, api_key_secret="canary-wrong")
    _refused(desk, expect="the API key is not accepted", openai_api_key="canary-wrong")
    _refused(desk, expect="auth_token must be printable", auth_token="canary token")
    _refused(desk, expect="account_sid must be AC and 32 hex digits", account_sid="canary")
    _refused(desk, expect="belong together", api_key_secret="canary")
    _refused(desk, expect="auth_token is missing", auth_token=None)
    _refused(desk, expect="openai_api_key must be printable", openai_api_key="canary\r\nX-Evil: 1")


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_an_account_that_is_not_active_is_refused(desk: Desk, status: str) -> None:
    desk.carrier.account.status = status  # type: ignore[assignment]  # one of its literals
    _refused(desk, expect=f"it is {status}")


@pytest.mark.parametrize(
    ("faults", "expect"),
    [
        (Faults(refuse_status=404), "the model does not exist"),
        (Faults(refuse_status=429), "quota"),
        (Faults(refuse_status=503), "HTTP 503"),
        (Faults(close_after=1, close_code=1011), "no session could be opened"),
    ],
)
def test_S12_what_the_model_refuses_is_explained_without_the_key(desk: Desk, faults: Faults, expect: str) -> None:
    desk.faults.append(faults)
    _refused(desk, expect=expect)


def test_S12_neighbours_that_cannot_be_reached_are_named_without_a_key(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TWILIO_API_BASE_URL", "http://127.0.0.1:1")
        _refused(desk, expect="Twilio cannot be reached")
    with monkeypatch.context() as patch:
        patch.setenv("TWILIO_API_BASE_URL", desk.endpoint)
        _refused(desk, expect="Twilio")
    with monkeypatch.context() as patch:
        patch.setenv("OPENAI_REALTIME_URL", "ws://127.0.0.1:1/v1/realtime")
        _refused(desk, expect="no session could be opened")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    ran = desk.set_keys()
    assert ran.status == 1
    assert CANARY not in ran.text


@pytest.mark.parametrize(
    "text",
    ["canary", '["canary"]', '{"canary": 1}', '{"auth_token": ["canary"]}', '{"openai_api_key": {"a": "canary"}}'],
)
def test_S12_bad_input_is_explained_without_repeating_it(desk: Desk, text: str) -> None:
    ran = desk.run("secrets", "set", "--from-stdin", stdin=text)
    assert ran.status == 1
    assert "account_sid" in ran.err
    assert CANARY not in ran.text


def test_without_a_terminal_and_without_from_stdin_nothing_is_asked(desk: Desk) -> None:
    ran = desk.run("secrets", "set", stdin="")
    assert ran.status == 1
    assert "--from-stdin" in ran.err


@pytest.mark.parametrize("there", list(itertools.product([False, True], repeat=4)))
def test_S26_unless_all_four_are_stored_a_deploy_does_not_start(desk: Desk, there: tuple[bool, ...]) -> None:
    desk.store()
    for name, kept in zip((AUTH_TOKEN, REST, OPENAI), there, strict=False):
        if not kept:
            desk.aws("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    if not there[3]:
        desk.aws("ssm").delete_parameter(Name=SID)
    ran = desk.run("secrets", "check")
    assert ran.status == (0 if all(there) else 1)
    for name, kept in zip((AUTH_TOKEN, REST, OPENAI, SID), there, strict=True):
        assert (name in ran.out) is not kept
    assert ("./patchthrough secrets set --stage dev" in ran.err) is not all(there)
    assert CANARY not in ran.text


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "text", '{"current": ""}', '{"previous": "a"}', '{"username": "a"}']
)
def test_S26_a_secret_without_its_form_counts_as_missing(desk: Desk, content: str) -> None:
    desk.store(twilio_auth_token=content or " ", twilio_rest=content or " ")
    ran = desk.run("secrets", "check", "--json")
    assert ran.status == 1
    assert json.loads(ran.out)["missing"] == [f"secret {AUTH_TOKEN}", f"secret {REST}"]
    assert json.loads(ran.err)["fix"] == "run './patchthrough secrets set --stage dev'"


def test_keys_are_deleted_only_when_that_is_meant_and_nothing_needs_them(desk: Desk) -> None:
    desk.set_keys()
    assert "--yes" in desk.run("secrets", "delete").err
    desk.deploy()
    assert "make destroy" in desk.run("secrets", "delete", "--yes").err
    assert len(desk.stored()) == 4
    desk.destroy()
    assert desk.run("secrets", "delete", "--yes").status == 0
    assert desk.stored() == {}
    assert desk.run("secrets", "delete", "--yes").status == 0


def test_on_a_deployed_stage_it_is_said_when_the_parts_notice(desk: Desk) -> None:
    desk.deploy()
    assert "within a minute" in desk.set_keys().err


def test_S12_keys_typed_at_a_terminal_are_stored_and_not_echoed(desk: Desk) -> None:
    spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    command = [sys.executable, "-c", spawn, sys.executable, "-m", "cli", "secrets", "set"]
    pipe = subprocess.PIPE
    shown = b""
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=dict(desk.environ)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for question, answer in (
            (b"Twilio account SID: ", ACCOUNT),
            (b"auth token (not shown): ", TOKEN),
            (b"use the auth token): ", ""),
            (b"OpenAI API key (not shown): ", OPENAI_KEY),
        ):
            while not shown.endswith(question):  # by then the terminal echoes no more
                byte = process.stdout.read(1)
                assert byte, shown
                shown += byte
            process.stdin.write(answer.encode() + b"\n")
            process.stdin.flush()
        shown += process.stdout.read()
    assert process.returncode == 0, shown
    assert CANARY.encode() not in shown
    assert desk.stored()[OPENAI] == OPENAI_KEY
    assert json.loads(desk.stored()[AUTH_TOKEN]) == {"current": TOKEN}


def test_S12_as_a_program_of_its_own_a_failure_shows_no_key(desk: Desk) -> None:
    keys = {"account_sid": ACCOUNT, "auth_token": "canary-wrong", "openai_api_key": OPENAI_KEY}
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "secrets", "set", "--from-stdin"],
        input=json.dumps(keys),
        capture_output=True,
        text=True,
        env=dict(desk.environ),
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "Twilio refuses the credential" in ran.stderr
    assert CANARY not in ran.stdout + ran.stderr
