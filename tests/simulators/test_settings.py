from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.settings import LOCAL_ACCOUNT_SID, LOCAL_AUTH_TOKEN, REALTIME_URL, ROOT, Settings, StackError
from simulators.stack import free_port

AGENT = {"AGENT_FILE": str(ROOT / "agent.yaml")}
NAMES = [
    "WEBHOOK_PORT",
    "RELAY_PORT",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_API_BASE_URL",
    "OPENAI_REALTIME_URL",
    "OPENAI_API_KEY",
    "PUBLIC_WEBHOOK_ORIGIN",
    "PUBLIC_MEDIA_ORIGIN",
    "AWS_ENDPOINT_URL",
    "DRAIN_SECONDS",
    "LIVE",
]


def test_an_empty_environment_means_stand_ins_on_the_usual_ports() -> None:
    settings = Settings.from_env({**AGENT, "TWILIO_API_BASE_URL": " "})
    assert (settings.webhook_port, settings.relay_port) == (8080, 8081)
    assert (settings.account_sid, settings.auth_token) == (LOCAL_ACCOUNT_SID, LOCAL_AUTH_TOKEN)
    assert settings.twilio_api_base_url is settings.openai_realtime_url is settings.aws_endpoint_url is None


def test_what_the_environment_names_is_used() -> None:
    settings = Settings.from_env(
        {
            **AGENT,
            "WEBHOOK_PORT": "9001",
            "TWILIO_ACCOUNT_SID": "AC" + "a" * 32,
            "TWILIO_AUTH_TOKEN": "secret",
            "TWILIO_API_BASE_URL": "http://127.0.0.1:9999/",
            "OPENAI_REALTIME_URL": "ws://127.0.0.1:9000/v1/realtime",
            "PUBLIC_MEDIA_ORIGIN": "wss://media.example.com",
        }
    )
    assert settings.webhook_port == 9001
    assert settings.account_sid == "AC" + "a" * 32
    assert settings.twilio_api_base_url == "http://127.0.0.1:9999"
    assert settings.openai_realtime_url == "ws://127.0.0.1:9000/v1/realtime"
    assert settings.media_origin == "wss://media.example.com"


def test_live_means_the_real_model_and_needs_a_key() -> None:
    assert Settings.from_env({**AGENT, "LIVE": "1", "OPENAI_API_KEY": "sk"}).openai_realtime_url == REALTIME_URL
    with pytest.raises(StackError, match="OPENAI_API_KEY"):
        Settings.from_env({**AGENT, "LIVE": "1"})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"WEBHOOK_PORT": "eighty"}, "WEBHOOK_PORT"),
        ({"RELAY_PORT": "70000"}, "RELAY_PORT"),
        ({"WEBHOOK_PORT": "9000", "RELAY_PORT": "9000"}, "RELAY_PORT"),
        ({"TWILIO_ACCOUNT_SID": "AC" + "a" * 32}, "TWILIO_AUTH_TOKEN"),
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "x"}, "TWILIO_ACCOUNT_SID"),
        ({"TWILIO_API_BASE_URL": "api.twilio.com"}, "TWILIO_API_BASE_URL"),
        ({"OPENAI_REALTIME_URL": "wss://x/v1?model=a"}, "OPENAI_REALTIME_URL"),
        ({"PUBLIC_MEDIA_ORIGIN": "https://media.example.com"}, "PUBLIC_MEDIA_ORIGIN"),
        ({"PUBLIC_WEBHOOK_ORIGIN": "https://example.com/path"}, "PUBLIC_WEBHOOK_ORIGIN"),
        ({"PUBLIC_WEBHOOK_ORIGIN": "https://user:canary@example.com"}, "PUBLIC_WEBHOOK_ORIGIN"),
        ({"PUBLIC_MEDIA_ORIGIN": "https://user:canary@example.com"}, "PUBLIC_MEDIA_ORIGIN"),
        ({"AWS_ENDPOINT_URL": "http://[::1"}, "AWS_ENDPOINT_URL"),
        ({"AGENT_FILE": "/nowhere/agent.yaml"}, "AGENT_FILE"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(StackError, match=named) as refused:
        Settings.from_env({**AGENT, **wrong})
    assert "\n" not in str(refused.value)
    assert "canary" not in str(refused.value)


def test_an_error_in_the_agent_file_is_told_with_its_path_and_how_many_more(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("persona: x\ngreeting: y\ndefault_destination: z\ndestinations: {z: {number: abc}}\n")
    with pytest.raises(StackError, match=r"destinations\.z\..*\(and \d more\)") as refused:
        Settings.from_env({"AGENT_FILE": str(file)})
    assert "\n" not in str(refused.value)


@given(environ=st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(exclude_characters="\0"), max_size=20)))
def test_no_environment_is_answered_with_anything_but_settings_or_a_reason(environ: dict[str, str]) -> None:
    with contextlib.suppress(StackError):
        Settings.from_env({**AGENT, **environ})


def test_a_port_in_use_is_named_with_the_variable_that_moves_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port}.*RELAY_PORT"):
            free_port(port, "RELAY_PORT")
    assert free_port(port, "RELAY_PORT") == port
    assert free_port(0, "RELAY_PORT") > 0
