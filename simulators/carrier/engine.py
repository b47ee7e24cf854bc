"""The TwiML engine: fetch a document, carry out its verbs in order, go where they lead, fall back when something fails.

A failure (no answer, not TwiML) leads to the number's fallback URL, asked with `ErrorCode` and `ErrorUrl`; without
one, or if that fails too, the party hears that there was an application error and the call ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulators.carrier import twiml
from simulators.carrier.call import End, Fetch
from simulators.carrier.dialling import dial
from simulators.carrier.documents import carry_out, read
from simulators.carrier.rooms import enqueue
from simulators.carrier.stream import connect
from simulators.carrier.verbs import SIMPLE
from simulators.carrier.webhooks import Failed

if TYPE_CHECKING:
    from simulators.carrier.call import Call, Inline
    from simulators.carrier.documents import Verbs

_VERBS: Final[Verbs] = {**SIMPLE, "Dial": dial, "Connect": connect, "Enqueue": enqueue}
_APOLOGY: Final = "We are sorry. An application error has occurred. Goodbye."


async def perform(call: Call, step: Fetch | Inline) -> End:
    """Carry out documents until one ends the call."""
    while True:
        try:
            document = await read(call, step)
            following = await carry_out(call, document, _VERBS)
        except (Failed, twiml.Malformed) as problem:
            asked = {"url": step.url, "method": step.method} if isinstance(step, Fetch) else {}
            call.error(problem.code, str(problem), **asked)
            fallback = _fallback(call, step, problem.code)
            if fallback is None:
                return await _apologise(call)
            following = fallback
        if isinstance(following, End):
            return following
        step = following


def _fallback(call: Call, step: Fetch | Inline, code: int) -> Fetch | None:
    url = call.number.fallback_url
    if url is None or (isinstance(step, Fetch) and step.is_fallback):
        return None
    failed = step.url if isinstance(step, Fetch) else ""
    told = {"ErrorCode": str(code), "ErrorUrl": failed}
    return Fetch(url, call.number.fallback_method, told, is_fallback=True)


async def _apologise(call: Call) -> End:
    if call.status != "in-progress":
        return End("failed")
    speech = await call.exchange.speech(_APOLOGY, "OPERATOR")
    await call.open_line.play(speech)
    return End()
