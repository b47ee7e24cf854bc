"""Where calls meet without dialling each other: `<Enqueue>` with `<Dial><Queue>`, and `<Dial><Conference>`.

Those who wait in a queue hear the document of its `waitUrl`, over and over, else this carrier's own music; in a
conference they hear that music, unless its `waitUrl` is empty.

https://www.twilio.com/docs/voice/twiml/enqueue and https://www.twilio.com/docs/voice/twiml/conference
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from simulators import audio
from simulators.carrier.bridge import wired
from simulators.carrier.call import End, Fetch
from simulators.carrier.documents import carry_out, read
from simulators.carrier.exchange import new_sid
from simulators.carrier.line import SILENT_FRAME
from simulators.carrier.twiml import resolve
from simulators.carrier.verbs import SIMPLE, follow

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.carrier.call import Call, Step
    from simulators.carrier.line import Line
    from simulators.carrier.twiml import Document, Element

_HOLD: Final = audio.tone([330, 392], 400, -30) + audio.silence(1600)
_QUEUE_SIZE: Final = 100


def hold() -> Callable[[], bytes]:
    """Music on hold, such as it is, 20 ms a call."""
    at = 0

    def frame() -> bytes:
        nonlocal at
        start, at = at, (at + len(SILENT_FRAME)) % len(_HOLD)
        return _HOLD[start : start + len(SILENT_FRAME)]

    return frame


def _silence() -> bytes:
    return b""


@dataclass(slots=True)
class Waiting:
    """A call in a queue: `met` is set to the call that dialled the queue, `parted` when they are through."""

    call: Call
    met: asyncio.Future[Call]
    parted: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Queue:
    """Calls waiting in order."""

    sid: str = field(default_factory=lambda: new_sid("QU"))
    waiting: deque[Waiting] = field(default_factory=deque)


async def enqueue(call: Call, verb: Element, document: Document) -> Step | None:
    """`<Enqueue>`: wait until somebody dials the queue, stay until they part, then ask `action`."""
    queue = call.exchange.queues.setdefault(verb.text, Queue())
    if len(queue.waiting) >= verb.number("maxQueueSize", _QUEUE_SIZE):
        return follow(verb, document, {"QueueResult": "queue-full", "QueueSid": queue.sid, "QueueTime": "0"})
    place = Waiting(call, asyncio.get_running_loop().create_future())
    begun = call.open_line.ms
    queue.waiting.append(place)
    call.note("enqueued", verb.text)
    try:
        with call.open_line.connect(source=hold()):
            left = await _wait(call, verb, document, place, begun)
            waited = (call.open_line.ms - begun) // 1000
            if not left:
                await place.parted.wait()
    finally:
        place.parted.set()
        if place in queue.waiting:
            queue.waiting.remove(place)
    result = "leave" if left else "bridged"
    return follow(verb, document, {"QueueResult": result, "QueueSid": queue.sid, "QueueTime": str(waited)})


async def _wait(call: Call, verb: Element, document: Document, place: Waiting, begun: int) -> bool:
    """Wait to be met; True if the `waitUrl`'s document let the caller leave first."""
    if not verb.get("waitUrl"):
        await place.met
        return False
    hearing = asyncio.ensure_future(_hear_wait_url(call, verb, document, begun))
    try:
        waiting: set[asyncio.Future[Any]] = {hearing, place.met}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not place.met.done():
            hearing.result()
        return not place.met.done()
    finally:
        hearing.cancel()


async def _hear_wait_url(call: Call, verb: Element, document: Document, begun: int) -> None:
    """https://www.twilio.com/docs/voice/twiml/enqueue#attributes-waiturl; ends with `<Leave>`."""
    url = resolve(document.url, verb.get("waitUrl"))
    while True:
        waited = {"QueueTime": str((call.open_line.ms - begun) // 1000), "QueuePosition": "1"}
        wait = await read(call, Fetch(url, verb.get("waitUrlMethod", "POST"), waited))
        if isinstance(await carry_out(call, wait, _WAITING, end=_AGAIN), Left):
            return
        await asyncio.sleep(0)  # a document without verbs is asked for again, and keeps nobody else from their turn


class Left(End):
    """`<Leave>` was reached."""


async def _leave(call: Call, verb: Element, document: Document) -> Step | None:
    del call, verb, document
    return Left()


_AGAIN: Final = "again"
_WAITING: Final = {name: SIMPLE[name] for name in ("Say", "Play", "Pause")} | {"Leave": _leave}


async def dial_queue(call: Call, name: str) -> dict[str, str]:
    """`<Dial><Queue>`: be bridged to whoever waits longest; nobody there is "failed"."""
    queue = call.exchange.queues.get(name)
    if queue is None or not queue.waiting:
        return {"DialCallStatus": "failed", "DialBridged": "false"}
    place = queue.waiting.popleft()
    place.met.set_result(call)
    call.note("bridged", place.call.sid)
    try:
        with wired(call.open_line, place.call.open_line):
            await place.parted.wait()
    finally:
        place.parted.set()
    return {"DialCallStatus": "completed", "DialCallSid": place.call.sid, "DialBridged": "true"}


@dataclass(slots=True)
class Conference:
    """Lines that all hear each other, whose calls they are, and the last frame each has said."""

    name: str
    sid: str = field(default_factory=lambda: new_sid("CF"))
    members: dict[Line, Call] = field(default_factory=dict)
    said: dict[Line, bytes] = field(default_factory=dict)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def heard_by(self, line: Line) -> bytes:
        """What all others say."""
        others = [frame for other, frame in self.said.items() if other is not line and frame != SILENT_FRAME]
        return audio.mix(others) if others else b""


async def join(call: Call, noun: Element) -> dict[str, str]:
    """`<Dial><Conference>`: stay until it ends; whoever is alone hears music."""
    room = call.exchange.conferences.setdefault(noun.text, Conference(noun.text))
    line = call.open_line
    music = _silence if noun.attributes.get("waitUrl") == "" else hold()

    def hear() -> bytes:
        return room.heard_by(line) if len(room.said) > 1 else music()

    def say(frame: bytes) -> None:
        room.said[line] = SILENT_FRAME if noun.flag("muted") else frame

    room.said[line], room.members[line] = SILENT_FRAME, call
    call.note("joined", noun.text)
    if len(room.members) > 1:
        for member, one in room.members.items():
            if not member.bridged:
                member.bridged = True
                one.note("bridged", next(other.sid for other in room.members.values() if other is not one))
    try:
        with line.connect(source=hear, listener=say):
            await room.closed.wait()
    finally:
        del room.said[line], room.members[line]
        line.bridged = False
        if noun.flag("endConferenceOnExit"):
            room.closed.set()
        if not room.said:
            call.exchange.conferences.pop(noun.text, None)
    return {"DialCallStatus": "answered", "DialBridged": "true"}
