"""The stand-in for OpenAI's Realtime API as a server on this machine.

What the handshake refuses follows https://developers.openai.com/api/docs/guides/realtime: a bearer token and a model
are needed, and the header of the beta interface ends the session after its upgrade.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from simulators.model.faults import Faults
from simulators.model.minds import Mind, ScriptedMind
from simulators.model.response import error_event
from simulators.model.server import Record, Talk
from simulators.model.session import Terms

PATH = "/v1/realtime"
MAX_MESSAGE_BYTES = 24 * 1024 * 1024  # 15 MiB of audio as base64, and room to refuse more by an error event
_SHUT_DOWN = ("gpt-4o-realtime-preview", "gpt-4o-mini-realtime-preview")  # with the beta interface, May 2026
_BETA_REFUSED = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."


class Model:
    """A Realtime server.

    Args:
        mind: makes the mind of each connection.
        api_key: the only accepted bearer token; None accepts any.
        terms: lifetime of sessions and pace of audio.
        faults: how connections misbehave: one value for all, or chosen by the connection's number (from 0, refused
            ones count).
        remembers: whether `sessions` is kept.
    """

    def __init__(
        self,
        mind: Callable[[], Mind] = ScriptedMind,
        *,
        api_key: str | None = None,
        terms: Terms | None = None,
        faults: Faults | Callable[[int], Faults] | None = None,
        remembers: bool = True,
    ) -> None:
        self.sessions: list[Record] = []
        self.refused: list[int] = []  # HTTP status of every handshake that was refused
        self._mind = mind
        self._api_key = api_key
        self._terms = terms or Terms()
        self._remembers = remembers
        self._faults = faults if callable(faults) else lambda _number: faults or Faults()
        self._attempts: dict[ServerConnection, Faults] = {}
        self._attempt_count = 0
        self._changed = asyncio.Event()
        self._server: Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "the port is known once the server has started"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """What `OPENAI_REALTIME_URL` names: without query."""
        return f"ws://127.0.0.1:{self.port}{PATH}"

    @property
    def live(self) -> int:
        """How many connections are open."""
        return len(self._server.connections) if self._server else 0

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen; port 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        self._server = await serve(
            self._talk,
            host,
            port,
            process_request=self._admit,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            close_timeout=1,
        )

    async def stop(self) -> None:
        """Close every connection (1001) and stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def until(self, condition: Callable[[], object], timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a guard for tests
        """Wait until something that happens on the connections makes the condition true.

        Raises:
            TimeoutError: it did not within `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        faults = self._faults(self._attempt_count)
        self._attempt_count += 1
        if faults.accept_after:
            await asyncio.sleep(faults.accept_after)
        refusal = self._refusal(request, faults)
        if refusal is None:
            self._attempts[connection] = faults
            return None
        status, code, message = refusal
        self.refused.append(status)
        self._changed.set()
        body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
        response = connection.respond(HTTPStatus(status), json.dumps(body) + "\n")
        response.headers["Content-Type"] = "application/json"
        return response

    def _refusal(self, request: Request, faults: Faults) -> tuple[int, str, str] | None:
        target = urlsplit(request.path)
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if faults.refuse_status is not None:
            return faults.refuse_status, "server_error", "The server had an error while processing your request."
        if target.path != PATH:
            return 404, "not_found", f"Invalid URL (GET {target.path})"
        if scheme.lower() != "bearer" or not key.strip():
            return 401, "missing_api_key", "Missing bearer authentication in header."
        if self._api_key is not None and not hmac.compare_digest(key.strip().encode(), self._api_key.encode()):
            return 401, "invalid_api_key", "Incorrect API key provided."
        names = parse_qs(target.query).get("model")
        if not names:
            return 400, "missing_model", "You must provide a model parameter."
        if names[0].startswith(_SHUT_DOWN):
            return 404, "model_not_found", f"The model '{names[0]}' does not exist or you do not have access to it."
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None, "an upgraded connection has had its request"
        faults = self._attempts.pop(connection)
        if "OpenAI-Beta" in request.headers:
            error = {"event_id": "event_beta", **error_event("beta_api_shape_disabled", _BETA_REFUSED)}
            await connection.send(json.dumps(error))
            await connection.close(4000, "beta_api_shape_disabled")
            return
        record = Record(
            headers={name.lower(): value for name, value in request.headers.raw_items()},
            model=parse_qs(urlsplit(request.path).query)["model"][0],
            mind=self._mind(),
            keeps=self._remembers,
        )
        if self._remembers:
            self.sessions.append(record)
        await Talk(connection, record, self._terms, faults, self._changed.set).run()
