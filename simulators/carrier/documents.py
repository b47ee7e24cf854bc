"""Documents: asking for them, and carrying out their verbs one after another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from simulators.carrier import twiml
from simulators.carrier.call import End, Inline

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from simulators.carrier.call import Call, Fetch, Step
    from simulators.carrier.twiml import Document, Element

    Verbs = Mapping[str, Callable[[Call, Element, Document], Awaitable[Step | None]]]

# These leave a ringing call ringing; `<Dial answerOnBridge>` as well.
_UNANSWERED: Final = frozenset({"Redirect", "Hangup", "Reject", "Pause"})
_MEDIA_TYPES: Final = frozenset({"text/xml", "application/xml"})


async def read(call: Call, step: Fetch | Inline) -> Document:
    """The document of a step.

    Raises:
        Failed: it could not be had.
        Malformed: it cannot be carried out.
    """
    if isinstance(step, Inline):
        return twiml.parse(step.twiml)
    call.fetching = True
    try:
        answer = await call.exchange.webhooks.ask(
            step.url, {**call.resource.parameters(), **step.parameters}, step.method
        )
    finally:
        call.fetching = False
    if answer.content_type not in _MEDIA_TYPES:
        raise twiml.Malformed(12300, f"{step.url}: content type {answer.content_type}, not XML")
    return twiml.parse(answer.body, url=step.url.partition("#")[0])


async def carry_out(call: Call, document: Document, verbs: Verbs, end: str = "completed") -> Step:
    """Carry out the verbs of one document; returns where they lead, `End(end)` if they merely run out."""
    for text in document.warnings:
        call.warning(12200, text)
    for verb in document.verbs:
        if verb.name not in _UNANSWERED and not (verb.name == "Dial" and verb.flag("answerOnBridge")):
            call.set_status("in-progress")
        call.note("verb", verb.name)
        try:
            following = await verbs[verb.name](call, verb, document)
        except asyncio.CancelledError:
            _ask_in_vain(call, verb, document)
            raise
        if following is not None:
            return following
    return End(end)


def _ask_in_vain(call: Call, verb: Element, document: Document) -> None:
    """By variant, request the `action` of a verb that an update or a hang-up interrupted; its answer is ignored."""
    variants = call.exchange.variants
    asked = variants.action_on_update if call.taken_by == "update" else variants.action_on_hang_up
    if not asked or "action" not in verb.attributes or verb.name not in {"Connect", "Dial", "Enqueue"}:
        return
    extra = {}
    if verb.name == "Dial" and call.legs:
        leg = call.legs[-1]
        extra = {"DialCallStatus": leg.status, "DialCallSid": leg.sid}
    call.inform(twiml.resolve(document.url, verb.get("action")), extra, verb.get("method", "POST"))
