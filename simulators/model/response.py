"""One response: a turn performed as the stream of events that the API sends, faster than it will be played.

The order of events follows https://developers.openai.com/api/docs/guides/realtime-conversations and the typed models of
the `openai` package. Deltas carry 400 ms of audio and leave at `pace` times real time; `response.done` always comes,
once.
"""

from __future__ import annotations

import base64
import copy
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulators import audio
from simulators.model import formats, minds
from simulators.model.conversation import Conversation, Item

DELTA_MS = 400
_MS_PER_TOKEN = 50  # of the assistant's audio; the caller's is 100: .../guides/voice-latency-cost
_CHARACTERS_PER_TOKEN = 4

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What a response was asked to be.

    Attributes:
        occasion: why.
        settings: the fields that its `response.create` brought; they win over the session's.
        items: what it is made from, where that is not the conversation.
        input_usage: the input side of its `usage`.
    """

    occasion: minds.Occasion
    settings: Mapping[str, Any]
    items: Sequence[Item] | None
    input_usage: Mapping[str, Any]


class Response:
    """Performs a turn. `due` is when it next has something to say: infinite before `begin` and once it is `done`."""

    def __init__(
        self,
        wire: Event,
        request: Request,
        *,
        conversation: Conversation | None,
        new_id: Callable[[str], str],
        pace: float,
    ) -> None:
        self.wire = wire
        self.request = request
        self.conversation = conversation
        self.due = math.inf
        self.sound_ms = 0
        self._new_id = new_id
        self._pace = pace
        self._script: Iterator[Event | minds.Close | float] = iter(())
        self._item: Item | None = None
        self._tokens = {"text": 0, "audio": 0}

    @property
    def response_id(self) -> str:
        return str(self.wire["id"])

    @property
    def done(self) -> bool:
        return bool(self.wire["status"] != "in_progress")

    def shown(self) -> Event:
        """A copy of the `response` object for an event."""
        return copy.deepcopy(self.wire)

    def begin(self, turn: minds.Turn, now: float) -> None:
        """Perform this turn from now on."""
        if not self.done:
            self._script = self._perform(turn)
            self.due = now

    def advance(self, now: float) -> Iterator[Event | minds.Close]:
        """Everything that is due."""
        while self.due <= now and not self.done:
            step = next(self._script, math.inf)
            if isinstance(step, float):
                self.due += step
            else:
                yield step
        if self.done:
            self.due = math.inf

    def cut(self, reason: str, late_deltas: int = 0) -> Iterator[Event]:
        """End it as cancelled; `late_deltas` still come first, as if they had been on their way."""
        while late_deltas:
            step = next(self._script, None)
            if not isinstance(step, (dict, float)) or self.done:
                break
            if isinstance(step, dict):
                yield step
                late_deltas -= step["type"] == "response.output_audio.delta"
        if not self.done:
            yield from self._end("cancelled", {"type": "cancelled", "reason": reason})

    def _perform(self, turn: minds.Turn) -> Iterator[Event | minds.Close | float]:
        for step in turn.steps:
            match step:
                case minds.Say():
                    yield from self._say(step)
                case minds.Call():
                    yield from self._call(step)
                case minds.Pause(ms):
                    yield ms / 1000
                case minds.Stall():
                    yield math.inf
                case minds.Close():
                    yield step
                case minds.Error(code, message):
                    yield error_event(code, message, kind="server_error")
                case minds.Fail() | minds.Stop():
                    yield from self._end(step.details["type"], step.details)
            if self.done:
                return
        yield from self._end("completed")

    def _say(self, step: minds.Say) -> Iterator[Event | float]:
        sound = minds.sound_of(step)
        spoken = self.wire["output_modalities"] == ["audio"]
        part = {"type": "output_audio", "transcript": ""} if spoken else {"type": "output_text", "text": ""}
        yield from self._open({"type": "message", "role": "assistant", "content": []})
        assert self._item is not None, "an item is open while its parts are performed"
        self._item.wire["content"].append(part)
        yield self._of_part("response.content_part.added", part=_part_shown(part))
        size = DELTA_MS * audio.BYTES_PER_MS
        count = max(1, math.ceil(len(sound) / size))
        tokens = re.findall(r"\S+\s*|\s+", step.text)
        for number in range(count):
            piece = sound[number * size : (number + 1) * size]
            if step.until_ms is not None:
                piece = piece[: max(0, step.until_ms * audio.BYTES_PER_MS - number * size)]
                if not piece:
                    return
            words = "".join(tokens[len(tokens) * number // count : len(tokens) * (number + 1) // count])
            if not self._afford(words, piece if spoken else b""):
                yield from self._end("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
                return
            yield from self._deltas(part, words, piece if spoken else None)
            yield len(piece) / audio.BYTES_PER_MS / 1000 / self._pace if spoken else 0.0
        if step.until_ms is None:
            yield from self._close_item("completed")

    def _deltas(self, part: Event, words: str, piece: bytes | None) -> Iterator[Event]:
        if piece is None:
            part["text"] += words
            yield self._of_part("response.output_text.delta", delta=words)
            return
        assert self._item is not None, "an item is open while its parts are performed"
        part["transcript"] = part.get("transcript", "") + words
        if words:
            yield self._of_part("response.output_audio_transcript.delta", delta=words)
        if piece:
            self._item.sound_bytes += len(piece)
            self.sound_ms += len(piece) // audio.BYTES_PER_MS
            content = formats.from_ulaw(self.wire["audio"]["output"]["format"]["type"], piece)
            yield self._of_part("response.output_audio.delta", delta=base64.b64encode(content).decode())

    def _call(self, step: minds.Call) -> Iterator[Event | float]:
        call_id = self._new_id("call")
        yield from self._open({"type": "function_call", "name": step.name, "call_id": call_id, "arguments": ""})
        assert self._item is not None, "an item is open while its parts are performed"
        half = (len(step.arguments) + 1) // 2
        for piece in (step.arguments[:half], step.arguments[half:]):
            if piece:
                self._item.wire["arguments"] += piece
                yield self._of_item("response.function_call_arguments.delta", call_id=call_id, delta=piece)
                yield 0.0
        self._afford(step.arguments, b"")
        yield from self._close_item("completed")

    def _open(self, content: Event) -> Iterator[Event]:
        yield from self._close_item("incomplete")
        shell = {"id": self._new_id("item"), "object": "realtime.item", "status": "in_progress"}
        self._item = Item({**shell, **content})
        yield self._of_output("response.output_item.added", item=self._item.shown())
        if self.conversation is not None:
            previous = self.conversation.add(self._item)
            yield {"type": "conversation.item.added", "previous_item_id": previous, "item": self._item.shown()}

    def _close_item(self, status: str) -> Iterator[Event]:
        item = self._item
        if item is None:
            return
        item.wire["status"] = status
        if item.wire["type"] == "function_call":
            names = {name: item.wire[name] for name in ("call_id", "name", "arguments")}
            yield self._of_item("response.function_call_arguments.done", **names)
        for part in item.wire.get("content", ()):
            if part["type"] == "output_audio":
                transcript = part.get("transcript", "")
                yield self._of_part("response.output_audio.done")
                yield self._of_part("response.output_audio_transcript.done", transcript=transcript)
            else:
                yield self._of_part("response.output_text.done", text=part["text"])
            yield self._of_part("response.content_part.done", part=_part_shown(part))
        if self.conversation is not None:
            yield {"type": "conversation.item.done", "previous_item_id": self._previous(item), "item": item.shown()}
        yield self._of_output("response.output_item.done", item=item.shown())
        self.wire["output"].append(item.shown())
        self._item = None

    def _end(self, status: str, details: Event | None = None) -> Iterator[Event]:
        yield from self._close_item("incomplete")
        usage = {
            **self.request.input_usage,
            "output_token_details": {f"{kind}_tokens": n for kind, n in self._tokens.items()},
        }
        usage["output_tokens"] = sum(self._tokens.values())
        usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
        self.wire.update(status=status, status_details=details, usage=usage)
        self.due = math.inf
        yield {"type": "response.done", "response": self.shown()}

    def _afford(self, words: str, piece: bytes) -> bool:
        self._tokens["text"] += math.ceil(len(words) / _CHARACTERS_PER_TOKEN)
        self._tokens["audio"] += math.ceil(len(piece) / audio.BYTES_PER_MS / _MS_PER_TOKEN)
        limit = self.wire["max_output_tokens"]
        return bool(limit == "inf" or sum(self._tokens.values()) <= limit)

    def _previous(self, item: Item) -> str | None:
        assert self.conversation is not None, "only items of the conversation have neighbours"
        previous = None
        for known in self.conversation:
            if known is item:
                return previous
            previous = known.item_id
        return None  # the client has deleted it meanwhile

    def _of_output(self, kind: str, **fields: object) -> Event:
        output = {"response_id": self.response_id, "output_index": len(self.wire["output"])}
        return {"type": kind, **output, **fields}

    def _of_item(self, kind: str, **fields: object) -> Event:
        assert self._item is not None, "an item is open while its parts are performed"
        return self._of_output(kind, item_id=self._item.item_id, **fields)

    def _of_part(self, kind: str, **fields: object) -> Event:
        return self._of_item(kind, content_index=0, **fields)


def _part_shown(part: Event) -> Event:
    """A part as `response.content_part.*` names it: `audio` and `text`, without the `output_` of items."""
    return {**part, "type": part["type"].removeprefix("output_")}


def error_event(
    code: str, message: str, param: str | None = None, *, kind: str = "invalid_request_error", cause: str | None = None
) -> Event:
    """An `error` event; `cause` is the `event_id` of the client event that is at fault."""
    error = {"type": kind, "code": code, "message": message, "param": param, "event_id": cause}
    return {"type": "error", "error": error}


def usage_of(items: Iterable[Item], instructions: str) -> Event:
    """The input side of a response's `usage`: the whole conversation is billed anew each time.

    Text counts a token for four characters (our estimate), audio one for 100 ms of the caller's and 50 ms of the
    assistant's (https://developers.openai.com/api/docs/guides/voice-latency-cost).
    """
    text = math.ceil(len(instructions) / _CHARACTERS_PER_TOKEN)
    sound = 0
    for item in items:
        own = item.wire.get("role") == "assistant"
        sound += math.ceil(item.sound_bytes / audio.BYTES_PER_MS / (_MS_PER_TOKEN if own else 2 * _MS_PER_TOKEN))
        words = [str(part.get("text", "")) for part in item.wire.get("content", ())]
        words += [str(item.wire.get(name, "")) for name in ("arguments", "output")]
        text += math.ceil(sum(map(len, words)) / _CHARACTERS_PER_TOKEN)
    cached = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
    details = {"text_tokens": text, "audio_tokens": sound, "image_tokens": 0}
    return {
        "input_tokens": text + sound,
        "input_token_details": {**details, "cached_tokens": 0, "cached_tokens_details": cached},
    }
