"""The environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from containers.media_relay.config import Config, ConfigError
from containers.media_relay.protection import EcsAgent

ENVIRON = {
    "PUBLIC_MEDIA_ORIGIN": "wss://media.example.com/",
    "TWILIO_ACCOUNT_SID": "AC1",
    "TWILIO_AUTH_TOKEN_SECRET": "token",
    "OPENAI_API_KEY_SECRET": "key",
    "LEDGER_TABLE": "ledger",
    "TRANSFER_QUEUE_URL": "https://queue",
}


def test_what_is_not_said_has_a_default() -> None:
    config = Config.from_env(ENVIRON | {"AGENT_FILE": "", "RELAY_PORT": ""})
    assert (config.host, config.port, config.max_calls) == ("127.0.0.1", 8081, None)
    assert config.media_origin == "wss://media.example.com"
    assert config.openai_url == "wss://api.openai.com/v1/realtime"
    assert config.agent_file == Path("agent.yaml")


def test_what_is_said_is_taken() -> None:
    said = {
        "RELAY_HOST": "0.0.0.0",
        "RELAY_PORT": "9000",
        "MAX_CALLS": "5",
        "DRAIN_SECONDS": "0",
        "AGENT_FILE": "x.yaml",
    }
    config = Config.from_env(ENVIRON | said | {"OPENAI_REALTIME_URL": "ws://model", "PUBLIC_MEDIA_ORIGIN": "ws://h:1"})
    assert (config.host, config.port, config.max_calls, config.drain_seconds) == ("0.0.0.0", 9000, 5, 0.0)
    assert (config.openai_url, config.media_origin, config.agent_file.name) == ("ws://model", "ws://h:1", "x.yaml")


def test_it_is_a_task_of_ecs_when_ecs_says_so() -> None:
    assert Config.from_env(ENVIRON | {"TASK_PROTECTION_MINUTES": "32"}).ecs_agent is None
    uri = "http://169.254.170.2/api/0123-456"
    assert Config.from_env(ENVIRON | {"ECS_AGENT_URI": uri}).ecs_agent == EcsAgent(uri, 120)
    given = {"ECS_AGENT_URI": f"{uri}/", "TASK_PROTECTION_MINUTES": "32"}
    assert Config.from_env(ENVIRON | given).ecs_agent == EcsAgent(uri, 32)


def test_the_agent_file_is_watched_unless_a_configuration_of_appconfig_is_named() -> None:
    assert Config.from_env(ENVIRON | {"LIVE_CONFIG": ""}).live_config is None
    named = Config.from_env(ENVIRON | {"LIVE_CONFIG": "patchthrough-dev/live/agent"}).live_config
    assert named == ("patchthrough-dev", "live", "agent")


@pytest.mark.parametrize("name", ENVIRON)
def test_S26_a_missing_variable_stops_the_start_and_is_named(name: str) -> None:
    for environ in (
        ENVIRON | {name: ""},
        ENVIRON | {name: " \t\n"},
        {key: value for key, value in ENVIRON.items() if key != name},
    ):
        with pytest.raises(ConfigError, match=name):
            Config.from_env(environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAY_PORT", "65536"),
        ("RELAY_PORT", "-1"),
        ("RELAY_PORT", "eighty"),
        ("RELAY_PORT", "٨٠"),
        ("MAX_CALLS", "0"),
        ("LIVE_CONFIG", "patchthrough-dev/live"),
        ("DRAIN_SECONDS", "1.5"),
        ("TASK_PROTECTION_MINUTES", "0"),
        ("TASK_PROTECTION_MINUTES", "2881"),
        ("ECS_AGENT_URI", "169.254.170.2/api/0123"),
        ("ECS_AGENT_URI", "https://169.254.170.2/api/0123"),
        ("ECS_AGENT_URI", "http:///api/0123"),
        ("PUBLIC_MEDIA_ORIGIN", "https://media.example.com"),
        ("PUBLIC_MEDIA_ORIGIN", "wss://media.example.com/path"),
        ("PUBLIC_MEDIA_ORIGIN", "wss://"),
        ("PUBLIC_MEDIA_ORIGIN", "wss://h?query"),
        ("PUBLIC_MEDIA_ORIGIN", "wss://h:port"),
        ("PUBLIC_MEDIA_ORIGIN", "wss://user:canary@h"),
        ("PUBLIC_MEDIA_ORIGIN", "wss://[h"),
        ("OPENAI_REALTIME_URL", "https://api.openai.com/v1/realtime"),
        ("OPENAI_REALTIME_URL", "wss://api.openai.com/v1/realtime?model=x"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_remedy(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is .*must be") as refused:
        Config.from_env(ENVIRON | {name: value})
    assert "canary" not in str(refused.value)
