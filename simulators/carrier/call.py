"""One call: its status, its line, and the one TwiML document that governs it at a time.

A REST update replaces the document, whatever it was doing: the running verb is cancelled and cleans up without
waiting, so that the new document starts in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from simulators.carrier.exchange import new_sid
from simulators.carrier.line import Line, Metronome
from simulators.carrier.resource import Resource, rfc2822
from simulators.carrier.webhooks import Failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from simulators.carrier.exchange import Exchange

_EVENT_OF: Final = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}


@dataclass(frozen=True, slots=True)
class Number:
    """What a telephone number, or one dialled leg, has configured: URLs as in Twilio's console."""

    voice_url: str = ""
    fallback_url: str | None = None
    status_callback: str | None = None
    status_callback_events: frozenset[str] = frozenset({"completed"})
    voice_method: str = "POST"
    fallback_method: str = "POST"
    status_callback_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Fetch:
    """Next: the document at a URL, asked with the call's parameters and these."""

    url: str
    method: str = "POST"
    parameters: Mapping[str, str] = field(default_factory=dict)
    is_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Inline:
    """Next: TwiML given in a REST request."""

    twiml: str


@dataclass(frozen=True, slots=True)
class End:
    """Next: nothing; the call ends with this status."""

    status: str = "completed"


Step = Fetch | Inline | End


class Call:
    """A call in progress or over, of a caller, of a dialled party, or made by REST.

    Attributes:
        resource: What REST shows of it.
        number: Its URLs.
        line: The party's line; None for a call without media, which only records what it is told.
        events: What happened, oldest first: `event` ("line"), `what`, `detail`, `seconds` since the call began, `at`.
        legs: The calls its `<Dial>`s made.
        updates: How many REST updates it has accepted.
        dials: How many `<Dial>`s it has carried out.
        fetching: Whether the next document is being asked for.
        taken_by: Who last took the running document away: "update" or who hung up.
    """

    def __init__(self, exchange: Exchange, resource: Resource, number: Number, line: Line | None) -> None:
        self.exchange = exchange
        self.resource = resource
        self.number = number
        self.line = line
        self.events: list[dict[str, Any]] = []
        self.legs: list[Call] = []
        self.updates = 0
        self.dials = 0
        self.fetching = False
        self.taken_by = ""
        self._sequence = 0
        self._next: Fetch | Inline | None = None
        self._executing: asyncio.Task[Any] | None = None
        self._metronome: Metronome | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        exchange.calls[resource.sid] = self

    # What others read.

    @property
    def sid(self) -> str:
        """The CallSid."""
        return self.resource.sid

    @property
    def status(self) -> str:
        """Twilio's CallStatus."""
        return self.resource.status

    @property
    def ended(self) -> Awaitable[None]:
        """To be awaited: the call's end."""
        return asyncio.shield(self._over)

    @property
    def mouth(self) -> bytes:
        """What the party said: mu-law, as long as `ear`."""
        return bytes(self.line.mouth) if self.line else b""

    @property
    def ear(self) -> bytes:
        """What the party heard: mu-law, as long as `mouth`."""
        return bytes(self.line.ear) if self.line else b""

    @property
    def open_line(self) -> Line:
        """The line of a call that has one."""
        assert self.line is not None, "only a call with media carries out TwiML"
        return self.line

    # What happens to it.

    def note(self, what: str, detail: str = "") -> None:
        """Record an event."""
        now = datetime.now(UTC)
        event = {
            "event": "line",
            "at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "part": "carrier",
            "call_sid": self.resource.parent_call_sid or self.sid,
            "what": what,
            "detail": detail,
            "seconds": round((now - self.resource.created_at).total_seconds(), 3),
        }
        self.events.append(event)
        self.exchange.on_event(event)

    def error(self, code: int, text: str, *, url: str = "", method: str = "POST") -> None:
        """Record an error in the debugger, with the request that went wrong if it was one, and among the events."""
        self.exchange.debugger.record(code, self.sid, text, url=url, method=method)
        self.note("error", f"{code} {text}")

    def warning(self, code: int, text: str, *, url: str = "", method: str = "POST") -> None:
        """Record a warning likewise."""
        self.exchange.debugger.record(code, self.sid, text, "warning", url=url, method=method)
        self.note("warning", f"{code} {text}")

    def open(self) -> None:
        """Let the line's time run."""
        self._metronome = Metronome(self.open_line.tick)

    def set_status(self, status: str, **extra: str) -> None:
        """Move on to a status and tell the status callback; a final status is never left."""
        if self.resource.ended or status == self.resource.status:
            return
        self.resource.status = status
        if status == "in-progress":
            self.resource.answered_at = datetime.now(UTC)
        elif self.resource.ended:
            self.resource.ended_at = datetime.now(UTC)
        self.note("status", status)
        event = _EVENT_OF.get(status, "completed")
        if self.number.status_callback and event in self.number.status_callback_events:
            told = self._progress() | extra
            self.inform(self.number.status_callback, told, self.number.status_callback_method)

    def inform(self, url: str, parameters: Mapping[str, str], method: str = "POST") -> None:
        """Send a callback beside the call; if it fails the debugger says so and the call goes on."""
        told = {**self.resource.parameters(), **parameters}

        async def send() -> None:
            try:
                await self.exchange.webhooks.ask(url, told, method)
            except Failed as failure:
                self.warning(failure.code, f"callback: {failure}", url=url, method=method)

        self.exchange.spawn(send())

    async def run(self, first: Fetch | Inline, perform: Callable[[Call, Fetch | Inline], Awaitable[End]]) -> None:
        """Be governed by one document after another until the call is over."""
        step: Fetch | Inline | None = first
        status = "completed"
        try:
            while step is not None and not self.resource.ended:
                end = await self.execute(perform(self, step))
                status = end.status if end else "completed"
                step, self._next = self._next, None
        finally:
            self.finish(status, by="carrier")

    async def execute(self, work: Awaitable[End]) -> End | None:
        """Do what a document says; None if it was taken away."""
        self._executing = task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task})
            return None if task.cancelled() else task.result()
        finally:
            task.cancel()

    def redirect(self, step: Fetch | Inline) -> None:
        """A REST update: from now on the call is governed by another document."""
        self.updates += 1
        self.note("updated", "twiml" if isinstance(step, Inline) else "url")
        if self.fetching and not self.exchange.variants.update_beats_action:
            self.note("update_lost", "an action was being fetched")
            return
        self.taken_by, self._next = "update", step
        if self._executing is not None:
            self._executing.cancel()

    def hang_up(self, by: str) -> None:
        """End the call now: by "caller", "callee", "rest" or "carrier"."""
        self.taken_by, self._next = by, None
        if self.status in {"queued", "initiated", "ringing"}:
            self.finish("no-answer" if by == "caller" else "canceled", by)
        else:
            self.finish("completed", by)

    def finish(self, status: str, by: str) -> None:
        """Be over: the document is taken away, the line drops, whoever awaits the end wakes."""
        if self._over.done():
            return
        if self._executing is not None:
            self._executing.cancel()
        self.set_status(status)
        self.note("ended", by)
        if self._metronome is not None:
            self._metronome.stop()
        if self.line is not None:
            self.line.drop()
        self._over.set_result(None)

    def _progress(self) -> dict[str, str]:
        parameters = {
            "Timestamp": rfc2822(datetime.now(UTC)) or "",
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._sequence),
        }
        self._sequence += 1
        if self.resource.ended:
            seconds = self.resource.seconds
            parameters |= {"CallDuration": str(seconds), "Duration": str(-(-seconds // 60))}
        return parameters


def new_call(  # noqa: PLR0913  # a call is who, whom, how, on what line, for whom
    exchange: Exchange,
    *,
    from_: str,
    to: str,
    direction: str,
    number: Number,
    line: Line | None,
    sid: str = "",
    parent: Call | None = None,
    visible_after: float = 0.0,
) -> Call:
    """A call the exchange knows from now on; REST lists show it `visible_after` seconds later."""
    resource = Resource(
        sid=sid or new_sid("CA"),
        account_sid=exchange.account_sid,
        from_=from_,
        to=to,
        direction=direction,
        created_at=datetime.now(UTC),
        visible_from=exchange.clock() + visible_after,
        parent_call_sid=parent.sid if parent else None,
    )
    call = Call(exchange, resource, number, line)
    if parent:
        parent.legs.append(call)
    return call
