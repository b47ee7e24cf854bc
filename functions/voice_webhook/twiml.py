"""Every document the webhook can answer; each ends at a person, at the agent, at a question, or at a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from twilio.twiml.voice_response import (
    Connect,
    Stream,
    VoiceResponse,
)

from functions.transfer.dial_twiml import dial
from functions.transfer.directory import Destination

RECONNECTING = "One moment please, I am reconnecting you."
WAITING = "One moment please."
NOBODY = "I am sorry, nobody can take your call right now. Please call again a little later. Goodbye."


@dataclass(frozen=True, slots=True)
class Documents:
    """Writes TwiML with absolute URLs on the two public origins. `dial_seconds`: the longest talk with a person."""

    webhook_origin: str
    media_origin: str
    dial_seconds: int

    def stream(self, call_sid: str, visit: int, token: str, *, sentence: str = "") -> str:
        """Connect the agent, and ask `/voice/stream-ended` afterwards, by whichever of the two ways Twilio honours."""
        asked = f"?visit={visit}"
        ended = f"{self.webhook_origin}/voice/stream-ended{asked}"
        stream = Stream(
            url=f"{self.media_origin}/media/{token}",
            status_callback=f"{self.webhook_origin}/voice/stream-status{asked}",
        )
        stream.parameter(name="call_sid", value=call_sid)
        stream.parameter(name="visit", value=str(visit))
        response = VoiceResponse()
        if sentence:
            response.say(sentence)
        response.append(Connect(action=ended).append(stream))
        response.redirect(ended)
        return str(response)

    def dial(
        self,
        destination: Destination,
        *,
        request_id: str = "",
        visit: int = 0,
        caller_id: str = "",
        announce: bool = False,
    ) -> str:
        """Ring a person; `request_id` is empty when no claim could be made."""
        return str(
            dial(
                destination,
                origin=self.webhook_origin,
                dial_seconds=self.dial_seconds,
                request_id=request_id,
                visit=visit,
                caller_id=caller_id,
                announce=announce,
            )
        )

    def ask_again(self, visit: int, *, wait: bool = False) -> str:
        """Ask `/voice/stream-ended` about this visit, at once or after a sentence and a second."""
        response = VoiceResponse()
        if wait:
            response.say(WAITING)
            response.pause(length=1)
        response.redirect(f"{self.webhook_origin}/voice/stream-ended?visit={visit}")
        return str(response)

    def hang_up(self, sentence: str = "") -> str:
        """End the call, after a sentence if there is one."""
        response = VoiceResponse()
        if sentence:
            response.say(sentence)
        response.hangup()
        return str(response)
