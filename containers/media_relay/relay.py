"""One call: two sockets and one session. What the session decides is done here, in order, in the same turn."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from containers.media_relay import actions, media_streams, realtime, realtime_encoding
from containers.media_relay.actions import SessionEvent
from containers.media_relay.effects import Effects
from containers.media_relay.ladder import fatal
from containers.media_relay.names import Names
from containers.media_relay.session import Session
from containers.media_relay.silence import NEVER
from containers.media_relay.websocket import Closed, Limits, WebSocket
from containers.media_relay.websocket_client import ClientWebSocket, ConnectFailed, connect
from contracts import events
from contracts.events import Event
from contracts.row import Turn

# A model's host that is gone without a word is noticed within five seconds, and the caller hears a sound within seven.
MODEL_LIMITS = Limits(open_timeout=2.0, ping_interval=2.0, ping_timeout=3.0, max_size=16 * 1024 * 1024)
RETRY_SECONDS = 0.3  # from half of it to half as much again: calls that failed together do not return together
TRIES, TRIES_AGAIN = 2, 4  # to connect: a caller who has talked with an agent already is worth some more
AT_ONCE = 20  # handshakes with the model that one relay has under way


@dataclass(frozen=True, slots=True, repr=False)
class ModelAddress:
    """Where the model answers. `url` without query; all calls share `ssl_context`, `turns` to shake hands, `names`."""

    url: str
    model: str
    key: str
    ssl_context: ssl.SSLContext | None
    turns: asyncio.Semaphore
    names: Names


LogEvent = Callable[[Event, dict[str, Any]], None]


class Relay:
    """Twilio's stream on one side, the model's socket on the other, a session in between."""

    def __init__(
        self,
        session: Session,
        effects: Effects,
        address: Callable[[], ModelAddress],  # asked again for another session
        log: LogEvent,
        on_end: Callable[[Relay], None],
    ) -> None:
        self._session = session
        self._effects = effects
        self._address = address
        self._log = log
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._stream: WebSocket | None = None
        self._model: ClientWebSocket | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None
        self._timer_at = NEVER
        self._counts: Counter[str] = Counter()
        self._ended = False

    # ---- from the server -----------------------------------------------------------------------------------------

    def attach(self, stream: WebSocket) -> None:
        """Twilio's socket is about to be open: its `start` is waited for."""
        self._stream = stream
        self._arm()

    def drain(self, within: float) -> None:
        """End the stream within so many seconds, at a good moment if there is one: the call goes on elsewhere."""
        self._tell(actions.Drain(within))

    def supersede(self) -> None:
        """Another stream has the call: close this one, now."""
        self._tell(actions.Superseded())

    def check(self) -> None:
        """Close the stream if the ledger says that another has the call."""
        self._effects.check(self._tell)

    # ---- from Twilio's socket (an `Endpoint`) --------------------------------------------------------------------

    def message_received(self, text: bytes) -> None:
        """One message from Twilio."""
        try:
            message = media_streams.decode(text)
        except media_streams.ProtocolError as error:
            self._malformed("twilio", error.kind)
            return
        if type(message) is media_streams.Media:
            done = self._session.handle(message, self._loop.time())
            for action in done:
                self._perform(action)
            if len(done) > 1:  # more than the audio: there is a new deadline
                self._arm()
        elif message is not None:
            self._tell(message)

    def connection_lost(self, closed: Closed) -> None:
        """Twilio's socket is gone, and with it this visit."""
        self._tell(actions.StreamGone(closed.reason or closed.by, closed.code))
        self.end()

    def end(self) -> None:
        """Give everything back. Once."""
        if self._timer:
            self._timer.cancel()
        self._close_model()
        if self._counts:
            congested = self._counts.pop("congested", 0)
            self._log(events.FRAMES_DROPPED, {"malformed": self._counts.total(), "congested": congested})
        if not self._ended:
            self._effects.stream_ended("never_started")
        self._effects.settled(lambda: self._on_end(self))

    # ---- to and from the model's socket --------------------------------------------------------------------------

    async def _connect(self, address: ModelAddress, tries: int) -> None:
        url = f"{address.url}?model={quote(address.model)}"
        headers = {"Authorization": f"Bearer {address.key}"}
        began = self._loop.time()
        for tries_left in reversed(range(tries)):
            try:
                async with address.turns:
                    await connect(
                        url,
                        headers=headers,
                        limits=MODEL_LIMITS,
                        endpoint_factory=self._model_opened,
                        ssl_context=address.ssl_context,
                        resolve=address.names.addresses,
                    )
            except ConnectFailed as error:
                if not tries_left or fatal(error.reason, error.status or 0):
                    self._tell(actions.ModelGone(error.reason, error.status or 0))
                    return
                await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - to spread, not to hide
            else:
                self._log(events.MODEL_CONNECTED, {"ms": round((self._loop.time() - began) * 1000)})
                return

    def _model_opened(self, model: ClientWebSocket) -> _ModelSide:
        self._model = model
        self._loop.call_soon(self._tell, actions.ModelConnected())
        return _ModelSide(self._model_message, partial(self._model_lost, model))

    def _model_message(self, text: bytes) -> None:
        try:
            event = realtime.decode(text)
        except realtime.ProtocolError as error:
            self._malformed("model", error.kind)
            return
        if event is not None:
            self._tell(event)

    def _model_lost(self, model: WebSocket, closed: Closed) -> None:
        if self._model is model:  # not one that was given up before
            self._model = None
            self._tell(actions.ModelGone(closed.reason or f"closed by {closed.by}", closed.code))

    def _connect_model(self) -> None:
        tries = TRIES_AGAIN if self._connecting else TRIES
        self._close_model()
        self._connecting = self._loop.create_task(self._connect(self._address(), tries))

    def _close_model(self) -> None:
        if self._connecting:
            self._connecting.cancel()
        model, self._model = self._model, None
        if model is not None:
            model.close()

    # ---- the session ---------------------------------------------------------------------------------------------

    def _tell(self, event: SessionEvent) -> None:
        """Timers and effects call this too: a call that fails here would else go on without a deadline."""
        try:
            for action in self._session.handle(event, self._loop.time()):
                self._perform(action)
            self._arm()
        except Exception as error:  # noqa: BLE001 - the edge of one call: it alone ends, and the webhook takes over
            self._log(events.EFFECT_FAILED, {"effect": "session", "error": type(error).__name__})
            # Its kind only: it holds what was said, and this goes to the log.
            self._loop.call_exception_handler({"message": f"{type(event).__name__} failed", "exception": error})
            if self._stream:
                self._stream.abort()

    def _perform(self, action: actions.Action) -> None:  # noqa: C901, PLR0912 - the table of actions
        match action:
            case realtime.Append():
                if self._model and not self._model.send_perishable(realtime_encoding.encode(action)):
                    self._counts["congested"] += 1
            case media_streams.Media() | media_streams.Mark() | media_streams.Clear():
                if self._stream:
                    self._stream.send(media_streams.encode(action))
            case actions.Log(event, fields):
                self._note(event, fields)
            case actions.QueueTransfer(to):
                self._effects.queue_transfer(to, self._tell)
            case actions.NoteTransfer(to):
                self._effects.note_transfer(to)
            case actions.ReadTransfer():
                self._effects.read_transfer(self._tell)
            case actions.RecordEnd(reason):
                self._effects.record_end(reason, self._tell)
            case actions.Remember(role, text):
                self._effects.remember(Turn("caller" if role == "caller" else "agent", text))
            case actions.ConnectModel():
                self._connect_model()
            case actions.CloseModel():
                self._close_model()
            case actions.CloseStream(why):
                self._effects.settled(lambda: self._close_stream(why))
            case _:
                if self._model:
                    self._model.send(realtime_encoding.encode(action))

    def _close_stream(self, why: str) -> None:
        if self._stream:
            self._stream.close(1000, why)

    def _note(self, event: Event, fields: dict[str, Any]) -> None:
        if event is events.STREAM_STARTED:
            self._effects.stream_started(str(fields["stream_sid"]))
        elif event is events.STREAM_ENDED:
            self._ended = True
            self._effects.stream_ended(str(fields["why"]))
        elif event is events.HANDOFF_ASKED:
            self._effects.person_asked()
        elif event is events.RESPONSE_DONE:
            self._effects.spent += float(fields["cost_usd"])
        if "request_id" in event.fields:
            fields = {"request_id": self._effects.request_id, **fields}
        self._log(event, fields)

    def _malformed(self, side: str, kind: str) -> None:
        """Counted always, told once per kind; the call goes on."""
        kind = f"{side}.{kind}"
        self._counts[kind] += 1
        if self._counts[kind] == 1:
            self._tell(actions.Malformed(side, kind))

    # ---- time ----------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Have the session called at its deadline; a deadline that moves later is looked at when the timer fires."""
        at = self._session.deadline
        if self._timer and not self._timer.cancelled() and self._timer_at <= at:
            return
        if self._timer:
            self._timer.cancel()
        # What is due at once uvloop answers with a plain handle, which cannot be asked for its time.
        self._timer, self._timer_at = (self._loop.call_at(at, self._time_passed) if at != NEVER else None), at

    def _time_passed(self) -> None:
        self._timer = None
        if self._loop.time() >= self._session.deadline:
            self._tell(actions.Tick())
        else:
            self._arm()


@dataclass(frozen=True, slots=True)
class _ModelSide:
    """The model's end as an `Endpoint`."""

    message_received: Callable[[bytes], None]
    connection_lost: Callable[[Closed], None]
