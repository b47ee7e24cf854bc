"""A client that drives a session without sockets or clocks, and checks each server event as it comes."""

from __future__ import annotations

import base64
import json
from collections import deque
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from simulators.model import Close, Faults, Mind, ScriptedMind, Terms
from simulators.model.session import Hear, Output, Send, Session, Think

Event = dict[str, Any]

OPENAI_SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
TELEPHONE: Event = {
    "type": "realtime",
    "audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}},
}


def conforms(event: Event) -> None:
    """Fails unless OpenAI's own types accept the event, and know every field of it."""
    parsed = OPENAI_SERVER_EVENT.validate_python(event)
    assert parsed.type == event["type"]
    assert not parsed.model_extra, f"{event['type']} has fields that OpenAI's does not: {parsed.model_extra}"


class Client:
    """Remembers everything the session sent; its mind answers at once, in order."""

    def __init__(self, mind: Mind | None = None, *, terms: Terms | None = None, faults: Faults | None = None) -> None:
        self.mind = mind or ScriptedMind()
        self.now = 1000.0
        self.sent: list[Event] = []
        self.closed: Close | None = None
        self.session = Session("sess_test", "gpt-realtime-2.1", now=self.now, terms=terms, faults=faults)
        self._take(self.session.open())

    def __call__(self, kind: str, **fields: Any) -> list[Event]:
        """Send a client event; returns what came back at once."""
        return self.send_text(json.dumps({"type": kind, **fields}))

    def send_text(self, message: str | bytes) -> list[Event]:
        return self._take(self.session.receive(message, self.now))

    def telephone(self, **turn_detection: Any) -> list[Event]:
        """Configure for telephone audio; keyword arguments change the VAD, `type=None` turns it off."""
        session = json.loads(json.dumps(TELEPHONE))
        if turn_detection:
            detection = None if turn_detection.get("type", "") is None else {"type": "server_vad", **turn_detection}
            session["audio"]["input"]["turn_detection"] = detection
        return self("session.update", session=session)

    def hears(self, ulaw: bytes, chunk: int = 160) -> list[Event]:
        """Append audio in frames, in real time."""
        came: list[Event] = []
        for start in range(0, len(ulaw), chunk):
            frame = ulaw[start : start + chunk]
            came += self("input_audio_buffer.append", audio=base64.b64encode(frame).decode())
            self.now += len(frame) / 8000
            came += self._take(self.session.advance(self.now))
        return came

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass, deadline by deadline."""
        end, came = self.now + seconds, []
        while self.session.deadline <= end:
            self.now = max(self.now, self.session.deadline)
            came += self._take(self.session.advance(self.now))
        self.now = end
        return came

    def of_type(self, kind: str) -> list[Event]:
        return [event for event in self.sent if event["type"] == kind]

    def _take(self, outputs: list[Output]) -> list[Event]:
        came: list[Event] = []
        todo = deque(outputs)
        while todo:
            match todo.popleft():
                case Send(event):
                    conforms(event)
                    came.append(event)
                case Close() as close:
                    assert self.closed is None, "a session closes once"
                    self.closed = close
                case Hear(item_id, sound):
                    todo.extend(self.session.heard(item_id, self.mind.hear(sound)))
                case Think(response_id):
                    prompt = self.session.prompt(response_id)
                    if prompt is not None:
                        todo.extend(self.session.answered(response_id, self.mind.answer(prompt), self.now))
        self.sent += came
        return came


def kinds(events: list[Event]) -> list[str]:
    return [str(event["type"]) for event in events]


def error_of(events: list[Event]) -> Event:
    """The one error among them."""
    (error,) = (event["error"] for event in events if event["type"] == "error")
    assert isinstance(error, dict)
    return error
