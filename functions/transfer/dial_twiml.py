"""The documents that ring people, whoever sends them: the REST update or the webhook's answer.

What decides here: what stands in a document. Numbers come from the directory, URLs from the configured origin; of what
was said in the call only a cut, cleaned summary, as a value. URLs are absolute, or Twilio answers a REST update with
15004 (https://www.twilio.com/docs/api/errors/15004).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from twilio.twiml.voice_response import Client, Dial, Enqueue, VoiceResponse

from contracts.destination import Destination, Mode, Target, TargetKind
from contracts.hunt import Ring
from contracts.row import Row, Transfer
from contracts.sentences import Spoken
from functions.transfer.wording import cut

MAX_TWIML_CHARS = 4000  # of the Twiml parameter: https://www.twilio.com/docs/voice/api/call-resource
LEG_EVENTS = "initiated ringing answered completed"
SUMMARY_CHARS = 240  # https://www.twilio.com/docs/voice/twiml/client/parameter: no limit of its own, but the document's
HEADER_CHARS = 1024  # all headers of a SIP URI: https://www.twilio.com/docs/voice/twiml/sip


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One ring of one transfer, as every URL about it names it; `destination` is a key. `caller_id` may be ""."""

    origin: str
    call_sid: str
    request_id: str
    number: int
    visit: int
    destination: str
    summary: str = ""
    caller_id: str = ""
    dial_seconds: int

    @classmethod
    def of(cls, row: Row, transfer: Transfer, destination: str, *, origin: str, dial_seconds: int) -> Hop:
        """The hop at which a transfer stands."""
        return cls(
            origin=origin,
            call_sid=row.call_sid,
            request_id=transfer.request.request_id,
            number=transfer.hop,
            visit=row.stream.visit,
            destination=destination,
            summary=transfer.request.summary,
            caller_id=row.call.caller_id,
            dial_seconds=dial_seconds,
        )

    @property
    def room(self) -> str:
        """The name of the conference where both meet."""
        return f"{self.request_id}-{self.number}"

    def of_caller(self, question: str, **more: object) -> str:
        """The URL of a question that Twilio asks about the caller's call."""
        return self._url(question, {"request": self.request_id, "visit": self.visit, "hop": self.number, **more})

    def of_person(self, question: str, **more: object) -> str:
        """The URL of a question that Twilio asks about the person's call."""
        asked = {"call": self.call_sid, "request": self.request_id, "hop": self.number, "to": self.destination}
        return self._url(question, {**asked, **more})

    def _url(self, question: str, query: dict[str, object]) -> str:
        return f"{self.origin}/voice/{question}?{urlencode(query)}"


def dial(hop: Hop, ring: Ring, *, sentence: Spoken | None = None) -> VoiceResponse:
    """Ring people, after a sentence if there is one, and ask `/voice/dial-ended` afterwards.

    In a screened ring whoever answers hears `/voice/whisper` first, and the caller goes on hearing the ringing
    (https://www.twilio.com/docs/voice/twiml/number#attributes-url).
    """
    screened = ring.mode is not Mode.DIRECT
    more = {"screened": 1} if screened else {}
    verb = _dial(hop, hop.of_caller("dial-ended", **more), ring.seconds)
    leg = {"status_callback": hop.of_caller("leg-status", **more), "status_callback_event": LEG_EVENTS}
    if screened:
        leg["url"] = hop.of_person("whisper")
    for target in ring.targets:
        _noun(verb, target, hop, leg)
    response = VoiceResponse()
    if sentence:
        response.say(sentence.text, language=sentence.language)
    response.append(verb)
    return response


def dial_unclaimed(destination: Destination, *, origin: str, dial_seconds: int, caller_id: str = "") -> VoiceResponse:
    """Ring a destination's number without a claim: what there is to do when there is no ledger."""
    verb = Dial(
        action=f"{origin}/voice/dial-ended",
        answer_on_bridge=True,
        timeout=destination.ring_seconds,
        time_limit=dial_seconds,
        caller_id=caller_id or None,
    )
    verb.number(destination.number, status_callback=f"{origin}/voice/leg-status", status_callback_event=LEG_EVENTS)
    response = VoiceResponse()
    response.append(verb)
    return response


def enqueue(hop: Hop, ring: Ring, *, sentence: Spoken | None = None) -> VoiceResponse:
    """Let the caller wait in a queue or a TaskRouter workflow, and ask `/voice/queue-ended` afterwards.

    https://www.twilio.com/docs/voice/twiml/enqueue
    """
    (target,) = ring.targets
    wait = {
        "action": hop.of_caller("queue-ended"),
        "wait_url": hop.of_caller("queue-wait", seconds=ring.seconds),
    }
    if target.kind is TargetKind.QUEUE:
        verb = Enqueue(target.address, **wait)
    else:
        verb = Enqueue(workflow_sid=target.address, **wait)
        known = {"call_sid": hop.call_sid, "destination": hop.destination}
        verb.task(json.dumps(known | {"summary": cut(hop.summary, SUMMARY_CHARS)}))
    response = VoiceResponse()
    if sentence:
        response.say(sentence.text, language=sentence.language)
    response.append(verb)
    return response


def meeting(hop: Hop) -> VoiceResponse:
    """The caller's way to the person who has accepted; `/voice/dial-ended` is asked when they part."""
    verb = _dial(hop, hop.of_caller("dial-ended"), seconds=None)
    _room(verb, hop)
    response = VoiceResponse()
    response.append(verb)
    return response


def meeting_of_person(hop: Hop) -> VoiceResponse:
    """The person's way to the caller; when the caller leaves there is nothing more, and the call ends."""
    verb = Dial(time_limit=hop.dial_seconds)
    _room(verb, hop)
    response = VoiceResponse()
    response.append(verb)
    return response


def ask_webhook(origin: str, visit: int) -> str:
    """The document that has the webhook asked what is next."""
    response = VoiceResponse()
    response.redirect(f"{origin}/voice/stream-ended?visit={visit}")
    return str(response)


def ask_meeting_empty(hop: Hop) -> str:
    """The document that takes a caller out of a room where nobody is."""
    response = VoiceResponse()
    response.redirect(hop.of_caller("meeting-empty"))
    return str(response)


def _dial(hop: Hop, action: str, seconds: int | None) -> Dial:
    return Dial(
        action=action,
        answer_on_bridge=True,
        timeout=seconds,
        time_limit=hop.dial_seconds,
        caller_id=hop.caller_id or None,
    )


def _room(verb: Dial, hop: Hop) -> None:
    # Silence instead of music, since the other side is there, or on the way.
    verb.conference(hop.room, start_conference_on_enter=True, end_conference_on_exit=True, beep="false", wait_url="")


def _noun(verb: Dial, target: Target, hop: Hop, leg: dict[str, str]) -> None:
    match target.kind:
        case TargetKind.PHONE:
            verb.number(target.address, **leg)
        case TargetKind.SIP:
            verb.sip(_with_headers(target.address, hop), **leg)
        case TargetKind.CLIENT:
            client = Client(**leg)
            client.identity(target.address)
            client.parameter(name="call_sid", value=hop.call_sid)
            client.parameter(name="summary", value=cut(hop.summary, SUMMARY_CHARS))
            verb.append(client)
        case _:
            raise AssertionError("a queue does not ring: see `enqueue`")


def _with_headers(address: str, hop: Hop) -> str:
    """The URI with what a desk phone may show, as headers whose names begin with `X-`."""
    headers = f"X-Call-Sid={hop.call_sid}&X-Summary="
    summary = cut(hop.summary, SUMMARY_CHARS)
    while summary and len(headers) + len(quote(summary)) > HEADER_CHARS:
        summary = cut(summary, len(summary) * 2 // 3)
    return f"{address}?{headers}{quote(summary)}"
