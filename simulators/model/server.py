"""The stand-in's socket: the handshake as the API answers it, one `Session` a connection, a memory of what was said.

Only order is left to this module: what a session puts out leaves in that order, and its mind listens and thinks in a
thread, one thing after the other.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from simulators.model.faults import Faults
from simulators.model.minds import Close, Mind
from simulators.model.session import Hear, Output, Send, Session, Terms, Think

Event = dict[str, Any]


@dataclass(eq=False, kw_only=True)
class Record:
    """What happened on one connection.

    Attributes:
        headers: of the handshake, names in lower case.
        model: from the URL.
        mind: the one that answered.
        received, sent: events in order; what was not a JSON object is kept as {"type": None, "raw": …}.
        audio: what `input_audio_buffer.append` brought, decoded from base64 (mu-law if the client chose it).
        violations: what a careful client would not do.
        said: how many events were sent.
        keeps: whether it does; a busy server that is never asked would only grow, and stop to collect garbage.
        close_code, close_reason: how it ended; None and "" while it is open.
    """

    headers: dict[str, str]
    model: str
    mind: Mind
    received: list[Event] = field(default_factory=list)
    sent: list[Event] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    violations: list[str] = field(default_factory=list)
    said: int = 0
    keeps: bool = True
    close_code: int | None = None
    close_reason: str = ""

    def of_type(self, kind: str) -> list[Event]:
        """The events of that type, sent and received."""
        return [event for event in (*self.received, *self.sent) if event["type"] == kind]

    def remember(self, message: str | bytes) -> None:
        """Keep a message from the client."""
        if not self.keeps:
            return
        try:
            content = json.loads(message)
            kind = content["type"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.received.append({"type": None, "raw": message})
            return
        self.received.append(content)
        if kind == "input_audio_buffer.append":
            try:
                self.audio += base64.b64decode(content["audio"], validate=True)
            except (binascii.Error, ValueError, KeyError, TypeError):
                self.violations.append("input_audio_buffer.append without base64 audio")

    def told(self, event: Event) -> None:
        """Keep an event that was sent."""
        self.said += 1
        if self.keeps:
            self.sent.append(event)


class Talk:
    """Runs one connection until it is closed."""

    def __init__(
        self, socket: ServerConnection, record: Record, terms: Terms, faults: Faults, noticed: Callable[[], None]
    ) -> None:
        self._socket = socket
        self._record = record
        self._faults = faults
        self._noticed = noticed
        session_id = f"sess_{uuid.uuid4().hex[:20]}"
        self._session = Session(session_id, record.model, now=time.monotonic(), terms=terms, faults=faults)
        self._session.violations = record.violations
        self._turn = asyncio.Lock()
        self._work: asyncio.Queue[Hear | Think] = asyncio.Queue()
        self._deadline_moved = asyncio.Event()
        self._timed_for = self._session.deadline
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Speak the protocol; returns once the connection is closed."""
        record = self._record
        aside = [asyncio.create_task(self._guarded(work)) for work in (self._keep_time, self._keep_thinking)]
        try:
            await self._break_off()
            await self._put(lambda _now: self._session.open())
            async for message in self._socket:
                record.remember(message)
                await self._put(lambda now, message=message: self._session.receive(message, now))  # type: ignore[misc]
                if self._faults.read_pause:
                    await asyncio.sleep(self._faults.read_pause)
        except ConnectionClosed:
            pass  # the client has gone; how it went is recorded below
        finally:
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
            await self._socket.close()
            record.close_code, record.close_reason = self._socket.close_code, self._socket.close_reason or ""
            self._noticed()
        if self._failure is not None:
            raise self._failure

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """A mind that breaks ends its connection, instead of leaving it silent."""
        try:
            await work()
        except ConnectionClosed:
            pass  # the client has gone
        except Exception as error:  # noqa: BLE001 - the edge of one connection; `run` raises it again
            self._failure = error
            await self._close(1011, "internal server error")

    async def _put(self, transition: Callable[[float], list[Output]]) -> None:
        """Let the session make one step, and carry it out before anybody else makes the next."""
        async with self._turn:
            for output in transition(time.monotonic()):
                match output:
                    case Send(event):
                        await self._send(event)
                    case Close(code, reason):
                        await self._close(code, reason)
                    case _:
                        self._work.put_nowait(output)
        if self._session.deadline != self._timed_for:  # most messages are audio, and move nothing
            self._deadline_moved.set()
        self._noticed()

    async def _send(self, event: Event) -> None:
        await self._socket.send(json.dumps(event))
        self._record.told(event)
        await self._break_off()

    async def _break_off(self) -> None:
        if self._faults.close_after == self._record.said:
            await self._close(self._faults.close_code, self._faults.close_reason)

    async def _close(self, code: int, reason: str) -> None:
        if code == 1006:  # RFC 6455, 7.1.5: never sent, only found when the connection is cut
            self._socket.transport.abort()
        else:
            await self._socket.close(code, reason)

    async def _keep_time(self) -> None:
        while True:
            self._timed_for = self._session.deadline
            delay = self._timed_for - time.monotonic()
            self._deadline_moved.clear()
            try:
                async with asyncio.timeout(max(0.0, delay)):
                    await self._deadline_moved.wait()
            except TimeoutError:
                await self._put(self._session.advance)

    async def _keep_thinking(self) -> None:
        mind, session = self._record.mind, self._session
        while True:
            match await self._work.get():
                case Hear(item_id, sound):
                    heard = await asyncio.to_thread(mind.hear, sound)
                    await self._put(lambda _now, item_id=item_id, heard=heard: session.heard(item_id, heard))  # type: ignore[misc]
                case Think(response_id):
                    prompt = session.prompt(response_id)
                    if prompt is not None:
                        turn = await asyncio.to_thread(mind.answer, prompt)
                        await self._put(lambda now, of=response_id, turn=turn: session.answered(of, turn, now))  # type: ignore[misc]
