"""One Realtime session: client events in, server events out. Nothing here waits, reads a clock or touches a socket.

    session.created ─► configured by session.update ─► listening ─► response ─► listening … ─► session_expired, closed

What has to think or listen is asked for (`Think`, `Hear`) and comes back as `answered` and `heard`; `deadline` says
when `advance` has something to do. One response at a time writes to the conversation; those beside it
(`conversation: "none"`) do not. Sources of the rules: https://developers.openai.com/api/docs/guides/realtime and
https://developers.openai.com/api/docs/guides/realtime-conversations.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulators.model import client_events, minds, prompting
from simulators.model.client_events import Refused
from simulators.model.configuration import Configuration
from simulators.model.conversation import Conversation, Item
from simulators.model.faults import Faults
from simulators.model.formats import PCM
from simulators.model.input_audio import InputAudio
from simulators.model.minds import Close, Occasion
from simulators.model.response import Event, Response, error_event
from simulators.model.vad import SpeechStarted, SpeechStopped

MAX_APPEND_BYTES = 15 * 1024 * 1024  # "15 MiB" of audio in one append
MIN_COMMIT_MS = 100
_EXPIRED = "Your session hit the maximum duration of {:g} minutes."


@dataclass(frozen=True, slots=True)
class Send:
    """Send this server event."""

    event: Event


@dataclass(frozen=True, slots=True)
class Hear:
    """Find out what was said (mu-law, 8 kHz), then call `heard`."""

    item_id: str
    sound: bytes


@dataclass(frozen=True, slots=True)
class Think:
    """Answer `prompt(response_id)`, then call `answered`. Comes after every `Hear` that it depends on."""

    response_id: str


Output = Send | Hear | Think | Close


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the service grants every session.

    Attributes:
        lifetime: seconds until `session_expired`.
        pace: how many times faster than real time audio is produced.
        expires_at: Unix time, only shown.
    """

    lifetime: float = 3600.0
    pace: float = 4.0
    expires_at: int = 0


class Session:
    """One connection. `violations` lists what a careful client would not do, though the API says nothing."""

    def __init__(
        self, session_id: str, model: str, *, now: float, terms: Terms | None = None, faults: Faults | None = None
    ) -> None:
        """`now` is in seconds, as in every method; `model` is the one in the URL."""
        self._terms = terms or Terms()
        self._faults = faults or Faults()
        self.configuration = Configuration(session_id, model, self._terms.expires_at)
        self.conversation = Conversation()
        self.responses: dict[str, Response] = {}
        self.violations: list[str] = []
        self._audio = InputAudio()
        self._speech: tuple[str, int] | None = None  # item id and start (ms) of the caller's turn under way
        self._ends, self._idle_ends = now + self._terms.lifetime, math.inf
        self._numbers = itertools.count(1)
        self._has_responded = False
        self._closed = False

    @property
    def active(self) -> Response | None:
        """The response that writes to the conversation."""
        return next((one for one in self.responses.values() if one.conversation is not None), None)

    @property
    def deadline(self) -> float:
        """When `advance` is next needed."""
        if self._closed:
            return math.inf
        return min([self._ends, self._idle_ends, *(one.due for one in self.responses.values())])

    def open(self) -> list[Output]:
        """What the server says first."""
        return self._out([{"type": "session.created", "session": self.configuration.shown()}])

    def receive(self, message: str | bytes, now: float) -> list[Output]:
        """A message from the client."""
        outputs, cause = list[Output](), None
        try:
            content = client_events.decode(message)
            cause = client_events.event_id(content)
            self._faults.refuse(content.get("type"))
            self._out(self._handle(client_events.parse(content), now), outputs)
        except Refused as refused:
            self._out([error_event(refused.code, refused.message, refused.param, cause=cause)], outputs)
        return outputs

    def prompt(self, response_id: str) -> minds.Prompt | None:
        """What a response is to be made from; None if it is over already."""
        response = self.responses.get(response_id)
        return None if response is None else prompting.prompt(response, self.configuration, self.conversation)

    def heard(self, item_id: str, transcript: str) -> list[Output]:
        """A mind has understood a committed turn ("" if nothing)."""
        item = next((one for one in self.conversation if one.item_id == item_id), None)
        if item is None:  # deleted meanwhile
            return []
        item.heard = transcript
        return self._out(prompting.transcribed(item) if self.configuration.transcribes else ())

    def answered(self, response_id: str, turn: minds.Turn, now: float) -> list[Output]:
        """A mind knows what a response does."""
        response = self.responses.get(response_id)
        if response is None:
            return []
        response.begin(prompting.performable(turn, response, self.configuration, self._faults), now)
        return self.advance(now)

    def advance(self, now: float) -> list[Output]:
        """Everything that is due by now."""
        return self._out(self._due(now))

    def _out(self, produced: Iterable[Event | Output], outputs: list[Output] | None = None) -> list[Output]:
        outputs = [] if outputs is None else outputs
        for one in produced if not self._closed else ():
            if isinstance(one, dict):
                outputs.append(Send({"type": one["type"], "event_id": self._new_id("event"), **one}))
                continue
            outputs.append(one)
            if isinstance(one, Close):
                self._closed = True
                break
        return outputs

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{self.configuration.wire['id'][-12:]}{next(self._numbers):06d}"

    def _due(self, now: float) -> Iterator[Event | Output]:
        if now >= self._ends:
            message = _EXPIRED.format(self._terms.lifetime / 60)
            if not self._faults.expires_silently:
                yield error_event("session_expired", message)
            yield Close(1001, message)
            return
        for response in list(self.responses.values()):
            yield from response.advance(now)
            self._settle(response, now)
        if now >= self._idle_ends:
            yield from self._idle()

    def _settle(self, response: Response, now: float) -> None:
        if not response.done:
            return
        del self.responses[response.response_id]
        if response.conversation is not None:
            idle_ms = (self.configuration.turn_detection or {}).get("idle_timeout_ms")
            self._idle_ends = now + (response.sound_ms + idle_ms) / 1000 if idle_ms else math.inf

    def _idle(self) -> Iterator[Event | Output]:
        self._idle_ends = math.inf
        item_id, end = self._new_id("item"), self._audio.position_ms
        start = end - self._audio.held_ms
        position = {"audio_start_ms": start, "audio_end_ms": end, "item_id": item_id}
        yield {"type": "input_audio_buffer.timeout_triggered", **position}
        yield from self._commit(item_id, self._audio.take())
        yield from self._respond(None, Occasion.IDLE)

    def _handle(self, event: client_events.ClientEvent, now: float) -> Iterator[Event | Output]:
        match event:
            case client_events.Append():
                return self._append(event, now)
            case client_events.SessionUpdate():
                return self._update(event)
            case client_events.Commit():
                return self._commit_by_hand()
            case client_events.Clear():
                self._audio.clear()
                self._speech = None
                return iter([{"type": "input_audio_buffer.cleared"}])
            case client_events.OutputClear():
                raise Refused("invalid_value", "output_audio_buffer.clear is for WebRTC and SIP only.", "type")
            case client_events.ResponseCreate():
                return self._create(event)
            case client_events.ResponseCancel():
                return self._cancel(event, now)
            case _:
                return self.conversation.edit(event, self._new_id)

    def _update(self, event: client_events.SessionUpdate) -> Iterator[Event]:
        if self._faults.never_updated:
            return
        has_spoken = any(item.sound_bytes and item.wire.get("role") == "assistant" for item in self.conversation)
        self.configuration.update(event.session, has_spoken=has_spoken, responding=self.active is not None)
        if self._faults.formats_ignored:
            self.configuration.reset_formats()
        yield {"type": "session.updated", "session": self.configuration.shown()}

    def _append(self, event: client_events.Append, now: float) -> Iterator[Event | Output]:
        try:
            content = base64.b64decode(event.audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused("invalid_value", "Invalid 'audio'. Expected base64-encoded audio bytes.", "audio") from error
        if len(content) > MAX_APPEND_BYTES:
            raise Refused("invalid_value", "Invalid 'audio': more than 15 MiB in one event.", "audio")
        settings = self.configuration
        if not settings.format_chosen and not self.violations:
            self.violations.append(f"audio was appended before a format was chosen: it is read as {PCM} at 24 kHz")
        sensitivity = settings.sensitivity if settings.turn_detection and self._faults.hears() else None
        for noticed in self._audio.append(content, settings.input_format, sensitivity):
            yield from self._noticed(noticed, now)

    def _noticed(self, noticed: SpeechStarted | SpeechStopped, now: float) -> Iterator[Event | Output]:
        detection, active = self.configuration.turn_detection or {}, self.active
        match noticed:
            case SpeechStarted(ms):
                self._speech = (self._new_id("item"), ms)
                fields = {"audio_start_ms": ms, "item_id": self._speech[0]}
                yield {"type": "input_audio_buffer.speech_started", **fields}
                if detection["interrupt_response"] and active is not None:
                    yield from active.cut("turn_detected", self._faults.late_deltas)
                    self._settle(active, now)
                self._idle_ends = math.inf
            case SpeechStopped(ms):
                assert self._speech is not None, "speech stops only after it has started"
                (item_id, start), self._speech = self._speech, None
                yield {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": ms, "item_id": item_id}
                yield from self._commit(item_id, self._audio.take(start, ms))
                if detection["create_response"]:
                    yield from self._respond(None, Occasion.SPEECH)

    def _commit_by_hand(self) -> Iterator[Event | Output]:
        if self._audio.held_ms < MIN_COMMIT_MS:
            message = (
                "Error committing input audio buffer: buffer too small. "
                f"Expected at least {MIN_COMMIT_MS}ms of audio, but buffer only has {self._audio.held_ms}ms of audio."
            )
            raise Refused("input_audio_buffer_commit_empty", message)
        yield from self._commit(self._new_id("item"), self._audio.take())

    def _commit(self, item_id: str, sound: bytes) -> Iterator[Event | Output]:
        item = Item.of_speech(item_id, len(sound))
        previous = self.conversation.add(item)
        yield {"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item_id}
        for kind in ("added", "done"):
            yield {"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": item.shown()}
        yield Hear(item_id, sound)

    def _create(self, event: client_events.ResponseCreate) -> Iterator[Event | Output]:
        yield from self._respond(event.response, prompting.occasion(self.conversation, first=not self._has_responded))

    def _respond(self, settings: client_events.ResponseSettings | None, occasion: Occasion) -> Iterator[Event | Output]:
        aside, active = settings is not None and settings.conversation == "none", self.active
        if active is not None and not aside:
            message = (
                f"Conversation already has an active response in progress: {active.response_id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise Refused("conversation_already_has_active_response", message)
        response = prompting.response(
            settings, occasion, self.configuration, self.conversation, new_id=self._new_id, pace=self._terms.pace
        )
        self.responses[response.response_id] = response
        self._has_responded, self._idle_ends = True, math.inf
        yield {"type": "response.created", "response": response.shown()}
        yield {"type": "rate_limits.updated", "rate_limits": prompting.RATE_LIMITS}
        yield Think(response.response_id)

    def _cancel(self, event: client_events.ResponseCancel, now: float) -> Iterator[Event]:
        response = self.active if event.response_id is None else self.responses.get(event.response_id)
        if response is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        yield from response.cut("client_cancelled")
        self._settle(response, now)
