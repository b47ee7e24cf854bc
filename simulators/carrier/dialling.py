"""`<Dial>`: ring one or many, sequentially or at once, whisper to who answers, bridge, and say how it went.

https://www.twilio.com/docs/voice/twiml/dial
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulators import audio
from simulators.carrier.bridge import wired
from simulators.carrier.call import Call, End, Fetch, Number, new_call
from simulators.carrier.callees import Callee
from simulators.carrier.documents import carry_out, read
from simulators.carrier.line import FRAME_MS, Line
from simulators.carrier.rooms import dial_queue, join
from simulators.carrier.twiml import Element, Malformed, resolve
from simulators.carrier.verbs import SIMPLE, follow
from simulators.carrier.webhooks import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulators.carrier.call import Step
    from simulators.carrier.twiml import Document

_CADENCE_MS: Final = 6000
_RING: Final = audio.tone([440, 480], 2000, -19)
_NO_ONE: Final = Callee(answer="failed", after=0.0)


def ringing() -> Callable[[], bytes]:
    """North American ringback from its beginning, 20 ms a call: 440 + 480 Hz, two seconds on and four off."""
    at = 0

    def frame() -> bytes:
        nonlocal at
        start, at = at * audio.BYTES_PER_MS, (at + FRAME_MS) % _CADENCE_MS
        return _RING[start : start + FRAME_MS * audio.BYTES_PER_MS]

    return frame


async def dial(call: Call, verb: Element, document: Document) -> Step | None:
    """Carry out `<Dial>`; asks `action` with the outcome, or goes on to the next verb."""
    call.dials += 1
    _check_caller_id(call, verb)
    nouns = verb.children or (Element("Number", {}, verb.text, ()),)
    if nouns[0].name == "Queue":
        outcome = await dial_queue(call, nouns[0].text)
    elif nouns[0].name == "Conference":
        outcome = await join(call, nouns[0])
    else:
        outcome = await _dial_parties(call, verb, nouns, document)
    call.note("dial_ended", outcome["DialCallStatus"])
    return follow(verb, document, outcome)


async def _dial_parties(call: Call, verb: Element, nouns: Sequence[Element], document: Document) -> dict[str, str]:
    legs = [_leg(call, verb, noun, document.url) for noun in nouns]
    groups = [[leg] for leg in legs] if verb.flag("sequential") else [legs]
    seconds = verb.number("timeout", 30) + call.exchange.variants.ring_grace_seconds
    winner = None
    try:
        # https://www.twilio.com/docs/voice/twiml/number: with answerOnBridge the caller hears the ringing during a
        # whisper too; without it the line is silent from the answer on.
        ring, on_bridge = ringing(), verb.flag("answerOnBridge")
        unanswered = [leg.call for leg in legs]

        def heard() -> bytes:
            return ring() if on_bridge or all(leg.status != "in-progress" for leg in unanswered) else b""

        with call.open_line.connect(source=heard):
            for group in groups:
                winner = await _race(group, seconds)
                if winner is not None:
                    break
        if winner is not None:
            for leg in legs:
                if leg is not winner:
                    leg.call.hang_up("dial")
            await _bridge(call, winner, verb)
    finally:
        for leg in legs:
            leg.call.hang_up("dial")
    return _outcome(winner or legs[-1], bridged=winner is not None)


def _outcome(leg: Leg, *, bridged: bool) -> dict[str, str]:
    variants = leg.call.exchange.variants
    status = "completed" if bridged else leg.result or "no-answer"
    if not bridged and leg.call.status == "completed":
        status = variants.unaccepted_status
    outcome = {"DialCallStatus": status, "DialCallSid": leg.call.sid, "DialBridged": str(bridged).lower()}
    if leg.call.resource.answered_at is not None:
        outcome["DialCallDuration"] = str(leg.call.resource.seconds)
    return outcome


@dataclass(slots=True)
class Leg:
    """A call to one party: `result` is the DialCallStatus it would give if it is not bridged."""

    call: Call
    callee: Callee
    whisper: Fetch | None
    result: str = ""

    async def ring(self) -> bool:
        """Ring until something becomes of it; True if the party is to be bridged."""
        self.call.set_status("initiated")
        self.call.set_status("ringing")
        if self.callee.answer == "no-answer":
            await asyncio.Event().wait()
        await asyncio.sleep(self.callee.after)
        if self.call.resource.ended:
            return False
        if self.callee.answer not in {"answers", "voicemail"}:
            declined = self.call.exchange.variants.declined_status
            self.result = {"busy": "busy", "declines": declined}.get(self.callee.answer, "failed")
            self.call.finish(self.result, by="callee")
            return False
        line = self.call.open_line
        line.hung_up = lambda: self.call.hang_up("callee")
        self.call.set_status("in-progress")
        self.call.open()
        self.call.exchange.spawn(self.callee.live(line, self.call.exchange))
        if self.whisper is not None:
            end = await self.call.execute(_whisper(self.call, self.whisper))
            if end is None or end.status != "consent":
                self.call.finish("completed", by="callee")
        return not self.call.resource.ended


async def _whisper(call: Call, step: Fetch) -> End:
    """Carry out a `<Number url>` document: no `<Dial>` there (13201); running out of verbs means consent."""
    while True:
        try:
            document = await read(call, step)
            _refuse_dialling(document)
            following = await carry_out(call, document, SIMPLE, end="consent")
        except (Failed, Malformed) as problem:
            call.error(problem.code, str(problem))
            return End()
        if isinstance(following, End):
            return following
        assert isinstance(following, Fetch), "only REST gives TwiML inline"
        step = following


def _refuse_dialling(document: Document) -> None:
    for verb in document.verbs:
        if verb.name not in SIMPLE:
            raise Malformed(13201, f"<{verb.name}> in the TwiML of a dialled leg")


def _check_caller_id(call: Call, verb: Element) -> None:
    """https://www.twilio.com/docs/api/errors/13214: the calling, the called, or one of the account's own numbers."""
    allowed = {"", call.resource.from_, call.resource.to, *call.exchange.numbers}
    if verb.get("callerId") not in allowed:
        call.warning(13214, "callerId is neither the caller's, the called, nor one of the account's numbers")


def _leg(call: Call, verb: Element, noun: Element, base: str) -> Leg:
    exchange = call.exchange
    address = noun.text or next((child.text for child in noun.children if child.name == "Identity"), "")
    to = f"client:{address}" if noun.name == "Client" else address
    callback = noun.get("statusCallback")
    number = Number(
        status_callback=resolve(base, callback) if callback else None,
        status_callback_events=frozenset(noun.get("statusCallbackEvent", "completed").split()),
    )
    child = new_call(
        exchange,
        from_=verb.get("callerId", call.resource.from_),
        to=to,
        direction="outbound-dial",
        number=number,
        line=Line(),
        parent=call,
        visible_after=exchange.variants.child_visibility_seconds,
    )
    call.note("leg", child.sid)
    # https://www.twilio.com/docs/voice/twiml/sip: what follows the "?" are headers, not the address.
    callee = exchange.callee(to.partition("?")[0], call.resource.to) or _NO_ONE
    if noun.get("machineDetection"):
        child.resource.answered_by = "machine_start" if callee.answer == "voicemail" else "human"
    url = noun.get("url")
    return Leg(child, callee, Fetch(resolve(base, url), noun.get("method", "POST")) if url else None)


async def _race(legs: list[Leg], seconds: float) -> Leg | None:
    """Ring them all for so long; the first to be had is returned, the others are let go."""
    ringing_legs = {leg.call.exchange.spawn(leg.ring()): leg for leg in legs}
    pending = set(ringing_legs)
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        while pending:
            answered = any(ringing_legs[task].call.status == "in-progress" for task in pending)
            left = None if answered else max(0.0, deadline - asyncio.get_running_loop().time())
            done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.result():
                    return ringing_legs[task]
            if not done and all(ringing_legs[task].call.status != "in-progress" for task in pending):
                for leg in legs:
                    leg.result = "no-answer"
                    leg.call.finish("no-answer", by="carrier")
                return None
        return None
    finally:
        for task in pending:
            task.cancel()


async def _bridge(call: Call, leg: Leg, verb: Element) -> None:
    call.set_status("in-progress")
    call.note("bridged", leg.call.sid)

    def pressed(key: str) -> None:
        if key == "*" and verb.flag("hangupOnStar"):
            leg.call.hang_up("caller")

    try:
        async with asyncio.timeout(verb.number("timeLimit", 14400)):
            with wired(call.open_line, leg.call.open_line, pressed):
                await leg.call.ended
    except TimeoutError:
        call.note("time_limit", verb.get("timeLimit"))
    leg.call.hang_up("carrier")
