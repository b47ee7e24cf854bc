"""Every document the webhook can answer; each ends at a person, at the agent, at a question, or at a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from twilio.twiml.voice_response import Connect, Gather, Stream, VoiceResponse

from contracts.destination import Directory, Voicemail
from contracts.hunt import Ring
from contracts.row import Row, Transfer
from contracts.sentences import Sentence, Spoken, as_written, spoken
from functions.transfer.dial_twiml import Hop, dial, dial_unclaimed, enqueue, meeting, meeting_of_person
from functions.transfer.wording import opening

KEY_SECONDS = 6  # of thinking, after a whisper of five
HOLD_SECONDS = 8


@dataclass(frozen=True, slots=True)
class Documents:
    """Writes TwiML with absolute URLs on the two public origins."""

    webhook_origin: str
    media_origin: str

    def stream(self, call_sid: str, visit: int, token: str, *, sentence: Spoken | None = None) -> str:
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
            _say(response, sentence)
        response.append(Connect(action=ended).append(stream))
        response.redirect(ended)
        return str(response)

    def ring(self, row: Row, transfer: Transfer, ring: Ring, directory: Directory) -> str:
        """Ring people, or let the caller wait in a queue."""
        hop = self.hop(row, transfer, ring.destination.key, directory)
        sentence = opening(transfer, ring.destination, directory.language)
        queues = ring.targets[0].kind.queues
        return str(enqueue(hop, ring, sentence=sentence) if queues else dial(hop, ring, sentence=sentence))

    def meeting(self, row: Row, transfer: Transfer, directory: Directory) -> str:
        """The caller meets the person who has accepted."""
        return str(meeting(self.hop(row, transfer, transfer.position.destination, directory)))

    def meeting_of_person(self, row: Row, transfer: Transfer, directory: Directory) -> str:
        """The person who has accepted meets the caller."""
        return str(meeting_of_person(self.hop(row, transfer, transfer.position.destination, directory)))

    def default_person(self, directory: Directory, caller_id: str) -> str:
        """Ring the default person without a claim."""
        return str(
            dial_unclaimed(
                directory.default,
                origin=self.webhook_origin,
                dial_seconds=directory.dial_seconds,
                caller_id=caller_id,
            )
        )

    def whisper(self, key_url: str, language: str, told: str = "") -> str:
        """Say who is calling, as `told`, and ask for a key.

        Whoever reaches the end of this document is connected (https://www.twilio.com/docs/voice/twiml/number), so it
        ends with hanging up.
        """
        gather = Gather(
            input="dtmf",
            num_digits=1,
            timeout=KEY_SECONDS,
            finish_on_key="",
            action_on_empty_result=True,
            action=key_url,
        )
        keys = spoken(Sentence.KEYS, language)
        _say(gather, keys._replace(text=f"{told} {keys.text}".strip()))
        response = VoiceResponse()
        response.append(gather)
        response.hangup()
        return str(response)

    def of_person(self, question: str, query: Mapping[str, str], *, again: bool) -> str:
        """The URL of the next question to a person, about the same ring."""
        asked = {name: query[name] for name in ("call", "request", "hop", "to") if name in query}
        return f"{self.webhook_origin}/voice/{question}?{urlencode(asked | ({'again': '1'} if again else {}))}"

    def consent(self) -> str:
        """Nothing more to say to the person: be connected."""
        return str(VoiceResponse())

    def hold(self, waited: int, seconds: int, language: str) -> str:
        """What a caller in a queue hears, until the time is over.

        https://www.twilio.com/docs/voice/twiml/enqueue#attributes-waiturl
        """
        response = VoiceResponse()
        if waited >= seconds:
            response.leave()
        else:
            _say(response, spoken(Sentence.HOLD, language))
            response.pause(length=max(1, min(HOLD_SECONDS, seconds - waited)))
        return str(response)

    def take_message(self, voicemail: Voicemail, destination: str, language: str) -> str:
        """Record a message. An empty one asks nothing, and what follows is said.

        https://www.twilio.com/docs/voice/twiml/record
        """
        response = VoiceResponse()
        _say(response, as_written(voicemail.greeting, language))
        response.record(
            action=f"{self.webhook_origin}/voice/message?to={destination}",
            timeout=5,
            finish_on_key="#",
            max_length=voicemail.max_seconds,
            play_beep=True,
            recording_status_callback=f"{self.webhook_origin}/voice/recording?to={destination}",
            recording_status_callback_event="completed",
        )
        _say(response, spoken(Sentence.NOTHING_RECORDED, language))
        response.hangup()
        return str(response)

    def ask_again(self, visit: int, *, wait_in: str = "") -> str:
        """Ask `/voice/stream-ended` about this visit, at once or after a sentence (in this language) and a second."""
        response = VoiceResponse()
        if wait_in:
            _say(response, spoken(Sentence.WAITING, wait_in))
            response.pause(length=1)
        response.redirect(f"{self.webhook_origin}/voice/stream-ended?visit={visit}")
        return str(response)

    def hang_up(self, sentence: Spoken | None = None) -> str:
        """End the call, after a sentence if there is one."""
        response = VoiceResponse()
        if sentence:
            _say(response, sentence)
        response.hangup()
        return str(response)

    def hop(self, row: Row, transfer: Transfer, destination: str, directory: Directory) -> Hop:
        """The hop at which a transfer stands."""
        return Hop.of(row, transfer, destination, origin=self.webhook_origin, dial_seconds=directory.dial_seconds)


def _say(verb: VoiceResponse | Gather, said: Spoken) -> None:
    verb.say(said.text, language=said.language)
