"""The one `<Dial>` that reaches a person, whoever sends it: the REST update or the webhook's answer."""

from __future__ import annotations

from urllib.parse import urlencode

from twilio.twiml.voice_response import Dial, VoiceResponse

from functions.transfer.directory import Destination

MAX_TWIML_CHARS = 4000  # of the Twiml parameter: https://www.twilio.com/docs/voice/api/call-resource


def dial(  # every argument is one attribute of the verb
    destination: Destination,
    *,
    origin: str,
    dial_seconds: int,
    request_id: str = "",
    visit: int = 0,
    caller_id: str = "",
    announce: bool = False,
) -> VoiceResponse:
    """The document that rings `destination` and asks `/voice/dial-ended` afterwards.

    URLs are absolute, or Twilio answers a REST update with 15004 (https://www.twilio.com/docs/api/errors/15004).

    Args:
        destination: from the directory, never from a message.
        origin: the webhook's public origin.
        dial_seconds: the longest conversation.
        request_id: empty when no claim stands behind this dial.
        visit: the visit to the agent that came before, 0 if unknown.
        caller_id: what the person sees; empty: Twilio's default, the caller's number.
        announce: say first whom the caller is connected to, because the agent could not.
    """
    asked = {"request": request_id, "visit": str(visit)} if request_id else {}
    query = f"?{urlencode(asked)}" if asked else ""
    verb = Dial(
        action=f"{origin}/voice/dial-ended{query}",
        answer_on_bridge=True,
        timeout=destination.ring_seconds,
        time_limit=dial_seconds,
        caller_id=caller_id or None,
    )
    verb.number(
        destination.number,
        status_callback=f"{origin}/voice/leg-status{query}",
        status_callback_event="initiated ringing answered completed",
    )
    response = VoiceResponse()
    if announce:
        response.say(f"One moment please, I am connecting you to {destination.name}.")
    response.append(verb)
    assert len(str(response)) <= MAX_TWIML_CHARS, "origin, name and number are short, so the document is"
    return response
