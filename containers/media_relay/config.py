"""What the relay is told by its environment, read once and whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from containers.media_relay.protection import EcsAgent
from contracts.feed import ProfileName

_REQUIRED = (
    "PUBLIC_MEDIA_ORIGIN",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN_SECRET",
    "OPENAI_API_KEY_SECRET",
    "LEDGER_TABLE",
    "TRANSFER_QUEUE_URL",
)
_OPENAI = "wss://api.openai.com/v1/realtime"


class ConfigError(ValueError):
    """The environment does not say what the relay needs; the text names each variable and what it should hold."""


@dataclass(frozen=True, slots=True)
class Config:
    """Where the relay listens and whom it talks to. Times in seconds.

    `max_calls` None: as the agent file says; `live_config` None: the agent file is watched; `ecs_agent` None: the
    relay is no task of ECS; `most_memory`: octets in use at which it sends its calls on and ends, 0 for no limit.
    """

    host: str
    port: int
    media_origin: str
    account_sid: str
    auth_token_secret: str
    openai_key_secret: str
    openai_url: str
    ledger_table: str
    queue_url: str
    agent_file: Path
    live_config: ProfileName | None
    max_calls: int | None
    drain_seconds: float
    ecs_agent: EcsAgent | None
    beat_seconds: float
    most_memory: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Config:
        """Read the environment.

        Raises:
            ConfigError: variables are missing, or do not hold what they should.
        """
        missing = [name for name in _REQUIRED if not environ.get(name, "").strip()]
        if missing:
            raise ConfigError(f"missing in the environment: {', '.join(missing)}; set them and start again")
        return cls(
            host=environ.get("RELAY_HOST", "127.0.0.1"),
            port=_whole(environ, "RELAY_PORT", 8081, 0, 65535),
            media_origin=_origin(environ, "PUBLIC_MEDIA_ORIGIN"),
            account_sid=environ["TWILIO_ACCOUNT_SID"],
            auth_token_secret=environ["TWILIO_AUTH_TOKEN_SECRET"],
            openai_key_secret=environ["OPENAI_API_KEY_SECRET"],
            openai_url=_model_url(environ, "OPENAI_REALTIME_URL"),
            ledger_table=environ["LEDGER_TABLE"],
            queue_url=environ["TRANSFER_QUEUE_URL"],
            agent_file=Path(environ.get("AGENT_FILE") or "agent.yaml"),
            live_config=_profile(environ, "LIVE_CONFIG"),
            max_calls=_whole(environ, "MAX_CALLS", 0, 1, 100_000) if environ.get("MAX_CALLS") else None,
            drain_seconds=float(_whole(environ, "DRAIN_SECONDS", 110, 0, 3600)),
            beat_seconds=_whole(environ, "BEAT_MILLISECONDS", 2000, 50, 10_000) / 1000,
            most_memory=_whole(environ, "MAX_RSS_MIB", 0, 0, 1_000_000) * 1024 * 1024,
            ecs_agent=_ecs_agent(environ, "ECS_AGENT_URI", "TASK_PROTECTION_MINUTES"),
        )


def _whole(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise ConfigError(f"{name} is '{text}'; it must be a whole number from {least} to {most}")
    return int(text)


def _origin(environ: Mapping[str, str], name: str) -> str:
    origin = environ[name].rstrip("/")
    if _socket_url(origin) != origin or "@" in origin:  # a password in it is not for the log
        given = origin.rpartition("@")[2]
        raise ConfigError(
            f"{name} is '{given}'; it must be an origin such as wss://media.example.com, without a user or a path"
        )
    return origin


def _model_url(environ: Mapping[str, str], name: str) -> str:
    url = environ.get(name) or _OPENAI
    if not _socket_url(url) or "?" in url:
        raise ConfigError(f"{name} is '{url}'; it must be a URL such as {_OPENAI}, without a query")
    return url


def _profile(environ: Mapping[str, str], name: str) -> ProfileName | None:
    if not environ.get(name):
        return None
    try:
        return ProfileName.parse(environ[name])
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _ecs_agent(environ: Mapping[str, str], uri: str, minutes: str) -> EcsAgent | None:
    """ECS sets the URI in each of its containers, and takes 1 to 2,880 minutes; 120 is its own default."""
    lasting = _whole(environ, minutes, 120, 1, 2880)
    if not environ.get(uri):
        return None
    if not _origin_of(environ[uri], "http"):
        raise ConfigError(f"{uri} is '{environ[uri]}'; it must be a URL such as http://169.254.170.2/api/…, or not set")
    return EcsAgent(environ[uri].rstrip("/"), lasting)


def _socket_url(url: str) -> str:
    return _origin_of(url, "wss", "ws")


def _origin_of(url: str, *schemes: str) -> str:
    """The origin of a URL of one of those schemes; "" if it is none."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if fits else ""
