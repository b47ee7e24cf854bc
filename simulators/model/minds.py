"""What the model thinks: a mind hears a turn's audio and answers a prompt with steps to perform.

A mind is called from a thread, one call at a time and in order, and may take as long as it likes. `ScriptedMind`
follows data; `listening.ListeningMind` follows the caller.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from simulators import audio

MS_PER_CHARACTER = 60


class Occasion(StrEnum):
    """Why there is something to answer."""

    GREETING = "greeting"  # the first response, asked for by the client
    SPEECH = "speech"  # the caller's turn is over
    TEXT = "text"  # a message item was added as text
    FUNCTION_OUTPUT = "function_output"
    IDLE = "idle"  # nobody spoke for idle_timeout_ms
    OTHER = "other"  # the client asked again


@dataclass(frozen=True, slots=True)
class Say:
    """Speak.

    Attributes:
        text: the words; they become the transcript.
        sound: mu-law at 8 kHz; left out, a tone of 60 ms a character stands for the voice.
        until_ms: stop producing there and leave the item open: the next step happens in the middle of the sentence.
    """

    text: str
    sound: bytes | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function; `arguments` is the raw string, valid JSON or not."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Pause:
    """Produce nothing for a while (ms of real time, not hastened by the pace)."""

    ms: float


@dataclass(frozen=True, slots=True)
class Fail:
    """End with `response.done`, status failed; an item under way stays incomplete."""

    code: str = "server_error"
    message: str = "The server had an error while processing your request."

    @property
    def details(self) -> dict[str, Any]:
        """The response's `status_details`."""
        return {"type": "failed", "error": {"type": "server_error", "code": self.code, "message": self.message}}


@dataclass(frozen=True, slots=True)
class Stop:
    """End with `response.done`, status incomplete; `reason` is `max_output_tokens` or `content_filter`."""

    reason: str = "max_output_tokens"

    @property
    def details(self) -> dict[str, Any]:
        """The response's `status_details`."""
        return {"type": "incomplete", "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Stall:
    """Produce nothing more, ever; the response stays active until it is cancelled."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket; code 1006 cuts it without a closing handshake."""

    code: int = 1011
    reason: str = "internal server error"


@dataclass(frozen=True, slots=True)
class Error:
    """Send an `error` event that no client event caused, and go on."""

    code: str
    message: str = "The server had an error while processing your request."


Step = Say | Call | Pause | Fail | Stop | Stall | Close | Error


@dataclass(frozen=True, slots=True)
class Turn:
    """One response: steps in order (none: complete without output), and when a script uses it.

    Attributes:
        steps: what the response does.
        on: the occasion that this turn waits for; None is any.
        heard: transcript of the caller's turn that it answers (with `on=Occasion.SPEECH`).
        name: with `on=Occasion.FUNCTION_OUTPUT`, the function whose output it waits for; "" is any.
    """

    steps: Sequence[Step] = ()
    on: Occasion | None = None
    heard: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a response is made from.

    Attributes:
        occasion: why it is made.
        items: the conversation's items as the client knows them, oldest first; audio appears as its transcript.
        instructions: of the session, or of this response if it brings its own.
        session_instructions: always of the session.
        tools: function tools offered.
        tool_choice: `auto`, `none`, `required` or an object.
        metadata: of the `response.create`.
    """

    occasion: Occasion
    items: Sequence[Mapping[str, Any]] = ()
    instructions: str = ""
    session_instructions: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: object = "auto"
    metadata: Mapping[str, str] = field(default_factory=dict)


class Mind(Protocol):
    """Decides what is heard and what is said."""

    def hear(self, sound: bytes) -> str:
        """Transcript of a committed turn (mu-law, 8 kHz); "" if nothing was understood."""

    def answer(self, prompt: Prompt) -> Turn:
        """What the response does."""


class ScriptedMind:
    """Follows a script: each response takes the first unused turn that waits for its occasion, or for any.

    When none fits, `otherwise` is used. `prompts` remembers what was asked.
    """

    def __init__(self, script: Sequence[Turn] = (), *, otherwise: Turn = Turn((Say("I see. Please go on."),))) -> None:
        self._unused = list(script)
        self._heard = [turn.heard for turn in script if turn.on is Occasion.SPEECH]
        self._otherwise = otherwise
        self.prompts: list[Prompt] = []

    def hear(self, sound: bytes) -> str:
        """The transcript that the script gives to its next caller's turn, whatever the sound is."""
        del sound
        return self._heard.pop(0) if self._heard else ""

    def answer(self, prompt: Prompt) -> Turn:
        """The script's turn for this occasion."""
        self.prompts.append(prompt)
        for turn in self._unused:
            if turn.on in (None, prompt.occasion) and turn.name in ("", called_function(prompt)):
                self._unused.remove(turn)
                return turn
        return self._otherwise


def called_function(prompt: Prompt) -> str:
    """Name of the function whose output the prompt ends with; "" if it ends otherwise."""
    last = prompt.items[-1] if prompt.items else {}
    if last.get("type") != "function_call_output":
        return ""
    calls = (item for item in prompt.items if item.get("type") == "function_call")
    return next((str(call["name"]) for call in calls if call.get("call_id") == last["call_id"]), "")


@functools.lru_cache(maxsize=64)
def hum(ms: int) -> bytes:
    """A tone that stands for a voice of this length (mu-law, 8 kHz)."""
    return audio.tone((220.0,), ms, -20)


def sound_of(step: Say) -> bytes:
    """What a spoken step sounds like."""
    return hum(len(step.text) * MS_PER_CHARACTER) if step.sound is None else step.sound
