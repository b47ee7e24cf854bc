"""Who is let in, and how the relay comes and goes.

A media socket opens after two proofs, both before the 101: Twilio's signature, then the one-time token, which the
ledger gives to exactly one taker. Nothing is opened towards the model here: that waits for a `start` that names the
token's call (`connection.py`), so that no stranger makes us spend.

`/healthz` says that the event loop lives, also when the relay is full or leaving: a load balancer that heard "busy"
would kill live calls. `/readyz` says whether a new call would be taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from containers.media_relay import agent
from containers.media_relay.circuit import Circuit, Signs
from containers.media_relay.effects import Effects, Stores
from containers.media_relay.gauge import Measures, Waits
from containers.media_relay.handoffs import Call
from containers.media_relay.handshake import SIGNATURE_HEADER, signed_by_twilio
from containers.media_relay.keys import Keys
from containers.media_relay.protection import Protection
from containers.media_relay.relay import ModelAddress, Relay
from containers.media_relay.session import Session
from containers.media_relay.websocket import Limits
from containers.media_relay.websocket_server import Request, ServerWebSocket
from contracts import events
from contracts.agent_file import AgentFile
from contracts.events import Event
from contracts.row import Row
from contracts.stream import MEDIA_PATH, MalformedPath, digest, parse
from contracts.visit import DRAINING, FULL, Refusal, StreamRefused

STREAM_LIMITS = Limits(open_timeout=3.0, ping_interval=5.0, ping_timeout=5.0, max_size=64 * 1024)
MOVE_SHARE = 2 / 5  # of a drain, its last part: calls move then, each between two turns if it can
TELL_SHARE = 3 / 5  # of the move, its first part: one call after another is told
LAST_SECONDS = 8.0  # what a call that is sent on may still take
MOST_PENDING = 200  # handshakes whose token is being looked up; and as many whose refusal is written down
NOTE_SECONDS = 1.0  # what telling it may take: Twilio's caller hears nothing meanwhile

LogEvent = Callable[[str, Event, dict[str, Any]], None]  # call_sid, event, fields


@dataclass(frozen=True, slots=True)
class Settings:
    """What stays the same for the relay's whole life.

    `keys` gives the secrets as they are now; `agent_file` the file that a call lives by, from its row's reference.
    `name` is the process's own, by which the ledger knows who has a stream.
    """

    media_origin: str
    account_sid: str
    agent_file: Callable[[str], Awaitable[AgentFile]]
    max_calls: int
    model_address: Callable[[Keys, str], ModelAddress]  # of a model by its name
    keys: Callable[[], Keys]
    name: str = ""
    wall: Callable[[], float] = time.time  # seconds since the epoch
    measures: Measures = field(default_factory=Measures)


class Server:
    """Every call of this relay, and the door."""

    def __init__(self, settings: Settings, stores: Stores, protection: Protection, log: LogEvent) -> None:
        self._settings = settings
        self._stores = stores
        self._protection = protection
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._calls: dict[Relay, tuple[str, int]] = {}  # with CallSid and visit
        self._pending: set[asyncio.Task[None]] = set()
        self._refusing: set[asyncio.Task[None]] = set()
        self._silent: dict[ServerWebSocket, None] = {}
        self._draining = False
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._circuit = Circuit(stores.breakers, stores.executor, partial(log, ""))

    @property
    def live_calls(self) -> int:
        """Calls that hold a place, from their token's being taken to their last effect."""
        return len(self._calls)

    @property
    def visits(self) -> list[tuple[str, int]]:
        """CallSid and visit of every live call."""
        return [*self._calls.values()]

    async def arrival(self) -> None:
        """Wait until a call has come since this was last asked."""
        await self._arrived.wait()
        self._arrived.clear()

    def check_calls(self) -> None:
        """Close every stream whose call has gone on elsewhere while nothing was done here."""
        for call in list(self._calls):
            call.check()

    @property
    def draining(self) -> bool:
        """Whether the relay is leaving."""
        return self._draining

    def connection(self) -> ServerWebSocket:
        """A new connection, for `loop.create_server`."""
        return ServerWebSocket(limits=STREAM_LIMITS, on_request=self._request, silent=self._silent)

    async def drain(self, seconds: float, moving: float | None = None) -> None:
        """Take no new call; let live ones end by themselves for `seconds`, and in the last `moving` send them on."""
        self._draining = True
        self._log("", events.RELAY_DRAINING, {"live_calls": self.live_calls, "seconds": seconds})
        if self._pending:  # handshakes that were taken before count as calls
            await asyncio.wait(self._pending)
        moving = seconds * MOVE_SHARE if moving is None else moving
        try:
            await asyncio.wait_for(self._empty.wait(), seconds - moving)
        except TimeoutError:
            self._move(moving)
            await self._wait_for_the_last(moving)

    def _move(self, seconds: float) -> None:
        """Not all at one moment, which would be one too many for whoever takes them in.

        One after another is told to go between two turns; each has as long to find such a moment.
        """
        calls = list(self._calls)
        for call, (after, within) in zip(calls, moments(len(calls), seconds), strict=True):
            self._loop.call_later(after, call.drain, within)

    async def _wait_for_the_last(self, moving: float) -> None:
        try:
            await asyncio.wait_for(self._empty.wait(), moving + LAST_SECONDS)
        except TimeoutError:
            self._log("", events.EFFECT_FAILED, {"effect": "drain", "error": f"{self.live_calls} calls did not end"})

    # ---- requests ------------------------------------------------------------------------------------------------

    def _request(self, websocket: ServerWebSocket, request: Request) -> None:
        path = request.path
        if path == "/healthz":
            websocket.respond(HTTPStatus.OK, "alive\n")
        elif path == "/readyz":
            full = self._why_not()
            websocket.respond(HTTPStatus.SERVICE_UNAVAILABLE if full else HTTPStatus.OK, f"{full or 'ready'}\n")
        elif not path.startswith(MEDIA_PATH):
            websocket.respond(HTTPStatus.NOT_FOUND, "there is nothing here\n")
        else:
            self._media(websocket, request)

    def _media(self, websocket: ServerWebSocket, request: Request) -> None:
        settings = self._settings
        try:
            call_sid, token = parse(request.path)
        except MalformedPath:
            self._refuse(websocket, HTTPStatus.FORBIDDEN, "malformed path", "")
            return
        signatures = request.headers.get_all(SIGNATURE_HEADER)
        if not signed_by_twilio(settings.media_origin, request.path, signatures, settings.keys().auth_tokens):
            self._refuse(websocket, HTTPStatus.FORBIDDEN, "signature", call_sid)
        elif not (why := self._why_not()):
            self._start(self._admit(websocket, call_sid, token), self._pending)
        elif len(self._refusing) < MOST_PENDING:
            self._start(self._turn_away(websocket, call_sid, token, why), self._refusing)
        else:
            self._refuse(websocket, HTTPStatus.SERVICE_UNAVAILABLE, why, call_sid)

    def _start(self, answer: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = self._loop.create_task(answer)
        among.add(task)
        task.add_done_callback(among.discard)

    def _why_not(self) -> str:
        if self._draining:
            return DRAINING
        if self.live_calls + len(self._pending) >= self._settings.max_calls or len(self._pending) >= MOST_PENDING:
            return FULL
        return ""

    async def _turn_away(self, websocket: ServerWebSocket, call_sid: str, token: str, why: str) -> None:
        """The webhook is asked as soon as Twilio has its answer, and shall know why: so the ledger is told first."""
        note = partial(self._stores.ledger.refuse_stream, call_sid, digest(token), why)
        try:
            await asyncio.wait_for(self._loop.run_in_executor(self._stores.executor, note), NOTE_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever the ledger raises, the answer is the same
            self._log(call_sid, events.LEDGER_FAILED, {"operation": "refuse_stream", "error": type(error).__name__})
        self._refuse(websocket, HTTPStatus.SERVICE_UNAVAILABLE, why, call_sid)

    async def _admit(self, websocket: ServerWebSocket, call_sid: str, token: str) -> None:
        try:
            row = await self._loop.run_in_executor(
                self._stores.executor, self._stores.ledger.take_stream, call_sid, digest(token), self._settings.name
            )
        except StreamRefused as refused:
            self._refuse(websocket, HTTPStatus.FORBIDDEN, refused.reason.value, call_sid)
            return
        except Exception as error:  # noqa: BLE001 - whatever the ledger raises, this handshake alone fails
            self._log(call_sid, events.LEDGER_FAILED, {"operation": "take_stream", "error": type(error).__name__})
            self._refuse(websocket, HTTPStatus.SERVICE_UNAVAILABLE, "ledger", call_sid)
            return
        try:
            await self._begin(websocket, row)
        except Exception as error:  # noqa: BLE001 - a defect of ours costs this visit, not a caller's silence
            self._log(call_sid, events.EFFECT_FAILED, {"effect": "admit", "error": type(error).__name__})
            self._refuse(websocket, HTTPStatus.SERVICE_UNAVAILABLE, "failure", call_sid)

    async def _begin(self, websocket: ServerWebSocket, row: Row) -> None:
        """Give the visit, whose token is taken, its place and its 101; neither is kept if anything fails."""
        call_sid, visit = row.call_sid, row.stream.visit
        agent_file = await self._settings.agent_file(row.call.edition)
        relay: Relay | None = None
        try:
            await self._protection.enter()  # before the 101: once it holds a call, ECS must not choose this task
            others = [(other, its) for other, (sid, its) in self._calls.items() if sid == call_sid]
            if any(its > visit for _, its in others):  # it went on while this handshake waited for its file
                self._protection.leave()
                self._refuse(websocket, HTTPStatus.FORBIDDEN, Refusal.SPENT.value, call_sid)
                return
            relay = self._relay(row, agent_file)
            self._calls[relay] = (call_sid, visit)
            for older, _ in others:
                older.supersede()
            self._empty.clear()
            self._arrived.set()
            relay.attach(websocket)
            if websocket.accept(relay):
                self._log(call_sid, events.MEDIA_ACCEPTED, {"visit": visit})
            else:
                self._log(call_sid, events.MEDIA_REFUSED, {"status": 0, "why": "the peer is gone or is no WebSocket"})
                relay.end()
        except Exception:
            if relay:
                relay.end()
            else:
                self._protection.leave()
            raise

    def _refuse(self, websocket: ServerWebSocket, status: HTTPStatus, why: str, call_sid: str) -> None:
        self._log(call_sid, events.MEDIA_REFUSED, {"status": status.value, "why": why})
        websocket.respond(status)

    # ---- calls ---------------------------------------------------------------------------------------------------

    def _relay(self, row: Row, agent_file: AgentFile) -> Relay:
        waits, signs = Waits(self._settings.measures), Signs(self._circuit)

        def log(event: Event, fields: dict[str, Any]) -> None:
            waits.note(event, self._loop.time())
            signs.note(event, fields)
            self._log(row.call_sid, event, fields)

        now, wall = self._loop.time(), self._settings.wall()
        ends_at = now + agent_file.limits.max_call_minutes * 60
        call = Call(row.call_sid, self._settings.account_sid, ends_at, epoch=wall - now)
        past = _past(row)
        session = Session(call, agent.brief(agent_file, past, wall), now)
        calling = past.calling.request.request_id if past.calling else ""
        effects = Effects(self._stores, row.call_sid, row.stream.visit, row.conversation, log, calling, row.spent)

        def address() -> ModelAddress:
            return self._settings.model_address(self._settings.keys(), agent_file.model)

        return Relay(session, effects, address, log, self._ended)

    def _ended(self, relay: Relay) -> None:
        if self._calls.pop(relay, None) is None:
            return
        self._protection.leave()
        if not self._calls:
            self._empty.set()


def moments(calls: int, seconds: float) -> list[tuple[float, float]]:
    """When each call is told to move, in seconds from now, and within how many; all are gone in `seconds`."""
    within = seconds * (1 - TELL_SHARE)
    return [(place / calls * (seconds - within), within) for place in range(calls)]


def _past(row: Row) -> agent.Past:
    calling = row.open_transfer
    return agent.Past(
        turns=[(turn.role, turn.text) for turn in row.conversation],
        attempts=row.attempts,
        visit=row.stream.visit,
        after_loss=row.stream.after_loss,
        resumes=row.stream.resumes,
        spent=row.spent,
        calling=calling if calling and calling.hunt.attended and not calling.joining else None,
    )
