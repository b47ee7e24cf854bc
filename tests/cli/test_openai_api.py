from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from cli.deployment import Deployment
from cli.errors import CommandError
from cli.openai_api import check_session

AGENT = Deployment.of("dev").settings.agent
CREATED = {"type": "session.created", "session": {}}
KEY = "sk-canary-key"


def _updated(of_input: str = "audio/pcmu", of_output: str = "audio/pcmu") -> dict[str, Any]:
    audio = {"input": {"format": {"type": of_input}}, "output": {"format": {"type": of_output}}}
    return {"type": "session.updated", "session": {"audio": audio}}


@contextmanager
def _server(talk: Callable[[ServerConnection], None]) -> Iterator[dict[str, str]]:
    with serve(talk, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield {"OPENAI_REALTIME_URL": "ws://127.0.0.1:{}/v1/realtime".format(*server.socket.getsockname()[1:2])}
        finally:
            server.shutdown()
            thread.join()


def _says(*events: object) -> Callable[[ServerConnection], None]:
    def talk(socket: ServerConnection) -> None:
        for event in events:
            socket.send(event if isinstance(event, str) else json.dumps(event))
        for _ in socket:
            pass

    return talk


def test_a_session_with_the_agents_settings_is_enough() -> None:
    with _server(_says(CREATED, {"type": "rate_limits.updated"}, _updated())) as environ:
        check_session(environ, AGENT, KEY)


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([{"type": "error", "error": {"message": "Invalid voice: marina"}}], "Invalid voice: marina"),
        ([CREATED, {"type": "error", "error": {"message": "no such model"}}], "no such model"),
        ([CREATED, {"type": "error", "error": {"code": "invalid_api_key", "message": f"{KEY}"}}], "not accepted"),
        ([CREATED, {"type": "error", "error": None}], "None"),
        ([CREATED, _updated(of_output="audio/pcm")], "the session's output is not audio/pcmu"),
        ([CREATED, _updated(of_input="audio/pcm")], "the session's input is not audio/pcmu"),
        ([CREATED, {"type": "session.updated", "session": None}], "is not audio/pcmu"),
        (["not json"], "no session could be opened"),
        (["[]"], "no session could be opened"),
    ],
)
def test_S12_what_is_wrong_with_a_session_is_said_without_the_key(events: list[object], why: str) -> None:
    with _server(_says(*events)) as environ, pytest.raises(CommandError) as raised:
        check_session(environ, AGENT, KEY)
    assert why in raised.value.why
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("events", [[], [CREATED], [{"type": "unknown"}]])
def test_a_session_that_is_never_ready_is_given_up(events: list[object]) -> None:
    with _server(_says(*events)) as environ, pytest.raises(CommandError, match=r"no session within 0\.3 s"):
        check_session(environ, AGENT, KEY, seconds=0.3)
