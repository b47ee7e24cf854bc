"""Whether a key may open the agent's session: one Realtime socket, configured as the relay does it, then closed.

No response is created, so nothing is billed. https://developers.openai.com/api/docs/guides/realtime
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from cli.errors import CommandError
from contracts.agent_file import AgentFile

REALTIME_URL = "wss://api.openai.com/v1/realtime"
_WHAT = "OpenAI"
_NEW_KEY = "make a key at https://platform.openai.com/api-keys, then './patchthrough secrets set openai'"
_REFUSALS = {
    401: ("the API key is not accepted", _NEW_KEY),
    403: ("the API key may not use the Realtime API", "allow it for the key's project, or use another key"),
    404: ("the model does not exist, or the key may not use it", "correct 'model' in the agent file"),
    429: ("the quota or rate limit is used up", "check billing at https://platform.openai.com/settings"),
}


def check_session(environ: Mapping[str, str], agent: AgentFile, key: str, *, seconds: float = 10.0) -> None:
    """Open the agent's session with a key and configure it.

    Args:
        environ: `OPENAI_REALTIME_URL` names another server.
        agent: whose model, voice and transcription are tried.
        key: the API key; it is in no error.
        seconds: for all of it.

    Raises:
        CommandError: not reachable, key refused, or model, voice or format not to be had.
    """
    url = environ.get("OPENAI_REALTIME_URL") or REALTIME_URL
    deadline = time.monotonic() + seconds
    try:
        with connect(
            f"{url}?{urlencode({'model': agent.model})}",
            additional_headers={"Authorization": f"Bearer {key}"},
            open_timeout=seconds,
            close_timeout=1,
            compression=None,
            proxy=True if url == REALTIME_URL else None,
        ) as socket:
            _configure(socket, agent, deadline)
    except InvalidStatus as refused:
        raise _refusal(refused.response.status_code) from None
    except TimeoutError:
        raise CommandError(_WHAT, f"no session within {seconds:g} s", "try again; https://status.openai.com") from None
    except (OSError, WebSocketException, ValueError) as error:  # ValueError: not JSON, or a key no header can carry
        why = f"no session could be opened ({type(error).__name__})"
        raise CommandError(_WHAT, why, "check the network and OPENAI_REALTIME_URL") from None


def _refusal(status: int) -> CommandError:
    why, fix = _REFUSALS.get(
        status, (f"the socket was refused (HTTP {status})", "try again; https://status.openai.com")
    )
    return CommandError(_WHAT, why, fix)


def _configure(socket: ClientConnection, agent: AgentFile, deadline: float) -> None:
    _expect(socket, "session.created", deadline)
    socket.send(json.dumps({"type": "session.update", "session": _session(agent)}))
    updated = _expect(socket, "session.updated", deadline)
    for side in ("input", "output"):
        if _format(updated, side) != "audio/pcmu":
            raise CommandError(_WHAT, f"the session's {side} is not audio/pcmu", "use a model that speaks mu-law")


def _format(updated: dict[str, Any], side: str) -> object:
    try:
        return updated["session"]["audio"][side]["format"]["type"]
    except (KeyError, TypeError):
        return None


def _session(agent: AgentFile) -> dict[str, Any]:
    mu_law = {"type": "audio/pcmu"}
    transcription = {"model": agent.transcription_model, "language": agent.language[:2]}
    audio = {
        "input": {"format": mu_law, "transcription": transcription},
        "output": {"format": mu_law, "voice": agent.voice},
    }
    return {"type": "realtime", "output_modalities": ["audio"], "audio": audio}


def _expect(socket: ClientConnection, wanted: str, deadline: float) -> dict[str, Any]:
    while True:
        event = json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
        if not isinstance(event, dict):
            raise ValueError("an event is an object")  # noqa: TRY004 - a bad message, as bad JSON is
        if event.get("type") == "error":
            error = event.get("error")
            error = error if isinstance(error, dict) else {}
            if error.get("code") == "invalid_api_key":  # its message repeats a part of the key
                raise _refusal(401)
            raise CommandError(
                _WHAT, str(error.get("message")), "correct model, voice or transcription in the agent file"
            )
        if event.get("type") == wanted:
            return event
