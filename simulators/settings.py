"""What the environment says about the local stack: which neighbours are real, on which ports, with which credentials.

Read once, whole, from a mapping. Each neighbour is a stand-in until the environment names the real one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from contracts.agent_file import AgentFile, AgentFileError, load

ROOT = Path(__file__).resolve().parent.parent
LOCAL_ACCOUNT_SID = "AC00000000000000000000000000000001"
LOCAL_AUTH_TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105 - opens nothing but a stack on this machine
LOCAL_OPENAI_KEY = "sk-local"
REALTIME_URL = "wss://api.openai.com/v1/realtime"


class StackError(Exception):
    """The local stack cannot run: what is wrong, why, and what to do about it, in one line."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(f"{what}: {why}; {fix}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the local stack may be told. None stands for "the stand-in" or "the local one"; port 0 for any."""

    webhook_port: int = 8080
    relay_port: int = 8081
    account_sid: str = LOCAL_ACCOUNT_SID
    auth_token: str = LOCAL_AUTH_TOKEN
    twilio_api_base_url: str | None = None
    openai_realtime_url: str | None = None
    openai_api_key: str = LOCAL_OPENAI_KEY
    webhook_origin: str | None = None
    media_origin: str | None = None
    aws_endpoint_url: str | None = None
    region: str = "us-east-1"
    agent_file: Path = Path("agent.yaml")
    live_config: str | None = None
    drain_seconds: int = 5
    relays: int = 1

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check the environment; an empty variable counts as absent.

        Raises:
            StackError: a variable cannot be used, or the agent file cannot.
        """
        given = {name: value.strip() for name, value in environ.items() if value.strip()}
        if ("TWILIO_ACCOUNT_SID" in given) != ("TWILIO_AUTH_TOKEN" in given):
            missing = "TWILIO_AUTH_TOKEN" if "TWILIO_ACCOUNT_SID" in given else "TWILIO_ACCOUNT_SID"
            raise StackError(missing, "is missing while its sibling is set", "set both, or neither")
        account_sid = given.get("TWILIO_ACCOUNT_SID", LOCAL_ACCOUNT_SID)
        if not re.fullmatch(r"AC[0-9a-f]{32}", account_sid):
            raise StackError("TWILIO_ACCOUNT_SID", "is not AC and 32 hex digits", "copy it from the Twilio Console")
        live = given.get("LIVE") == "1"
        if live and "OPENAI_API_KEY" not in given:
            raise StackError("OPENAI_API_KEY", "is missing while LIVE=1 asks for the real model", "set it")
        settings = cls(
            webhook_port=_port(given, "WEBHOOK_PORT", 8080),
            relay_port=_port(given, "RELAY_PORT", 8081),
            account_sid=account_sid,
            auth_token=given.get("TWILIO_AUTH_TOKEN", LOCAL_AUTH_TOKEN),
            twilio_api_base_url=_url(given, "TWILIO_API_BASE_URL", ("http", "https")),
            openai_realtime_url=_url(given, "OPENAI_REALTIME_URL", ("ws", "wss")) or (REALTIME_URL if live else None),
            openai_api_key=given.get("OPENAI_API_KEY", LOCAL_OPENAI_KEY),
            webhook_origin=_url(given, "PUBLIC_WEBHOOK_ORIGIN", ("http", "https"), origin=True),
            media_origin=_url(given, "PUBLIC_MEDIA_ORIGIN", ("ws", "wss"), origin=True),
            aws_endpoint_url=_url(given, "AWS_ENDPOINT_URL", ("http", "https")),
            region=given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or "us-east-1",
            agent_file=Path(given.get("AGENT_FILE", "agent.yaml")),
            live_config=given.get("LIVE_CONFIG"),
            drain_seconds=_whole(given, "DRAIN_SECONDS", 5, 110),
            relays=max(1, _whole(given, "RELAYS", 1, 10)),
        )
        if settings.webhook_port == settings.relay_port != 0:
            raise StackError("RELAY_PORT", "is the same as WEBHOOK_PORT", "choose another")
        settings.agent()
        return settings

    def agent(self) -> AgentFile:
        """The agent file, checked.

        Raises:
            StackError: it cannot be used.
        """
        try:
            return load(self.agent_file)
        except AgentFileError as error:
            first, *others = str(error).splitlines()
            more = f" (and {len(others)} more)" if others else ""
            raise StackError("the agent file", f"{first}{more}", "correct it, or set AGENT_FILE to another") from error


def _whole(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) > most:
        raise StackError(name, f"is {text!r}", f"give a whole number from 0 to {most}")
    return int(text)


def _port(given: Mapping[str, str], name: str, default: int) -> int:
    return _whole(given, name, default, 65535)


def _url(given: Mapping[str, str], name: str, schemes: tuple[str, ...], *, origin: bool = False) -> str | None:
    text = given.get(name)
    if text is None:
        return None
    example = f"{schemes[-1]}://example.com{'' if origin else '/path'}"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise StackError(name, f"is not a URL ({error})", f"write it as {example}") from error
    if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
        raise StackError(name, f"is {text.rpartition('@')[2]!r}", f"write it as {example}, without a query")
    if parts.username is not None:  # whose password is not for the error, either
        raise StackError(name, "has a user", f"write it as {example}")
    if origin and parts.path not in {"", "/"}:
        raise StackError(name, "has a path", f"write only the origin, as {example}")
    return text.rstrip("/")
