"""The conversation's items: in which order they stand, what sounded, and what was cut off.

Rules of `conversation.item.*`: https://developers.openai.com/api/docs/guides/realtime-conversations.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simulators.model import client_events, item_shapes
from simulators.model.client_events import Refused

Event = dict[str, Any]


@dataclass(slots=True)
class Item:
    """One item.

    Attributes:
        wire: as events show it.
        sound_bytes: mu-law that it holds (8 bytes are 1 ms); only what has been sent, for the model's own.
        heard: what a mind understood of a caller's turn; clients see it only if they asked for transcription.
    """

    wire: dict[str, Any]
    sound_bytes: int = 0
    heard: str = ""

    @classmethod
    def from_shape(cls, shape: item_shapes.ItemShape, new_id: Callable[[str], str]) -> Item:
        """The item that a client describes; missing ids are given to it. Its audio is counted, and not shown again."""
        given = shape.model_dump(exclude_none=True)
        wire = {"id": new_id("item"), "object": "realtime.item", "status": "completed", **given}
        if wire["type"] == "function_call":
            wire.setdefault("call_id", new_id("call"))
        sound_bytes = sum(len(base64.b64decode(part.pop("audio", ""))) for part in wire.get("content", ()))
        return cls(wire, sound_bytes)

    @classmethod
    def of_speech(cls, item_id: str, sound_bytes: int) -> Item:
        """A caller's turn, out of the input audio buffer."""
        content = [{"type": "input_audio", "transcript": None}]
        shell = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed"}
        return cls({**shell, "role": "user", "content": content}, sound_bytes)

    @property
    def item_id(self) -> str:
        return str(self.wire["id"])

    def shown(self) -> dict[str, Any]:
        """A copy for an event: later changes do not reach it."""
        return copy.deepcopy(self.wire)

    def understood(self) -> dict[str, Any]:
        """A copy for a mind: a caller's audio carries what was heard."""
        wire = self.shown()
        for part in wire.get("content", ()):
            if part["type"] == "input_audio":
                part["transcript"] = self.heard or part.get("transcript") or ""
        return wire


class Conversation:
    """Items in order."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @property
    def last(self) -> Item | None:
        return self._items[-1] if self._items else None

    def edit(
        self,
        event: client_events.ItemCreate
        | client_events.ItemRetrieve
        | client_events.ItemDelete
        | client_events.ItemTruncate,
        new_id: Callable[[str], str],
    ) -> Iterator[Event]:
        """Do what the client asks, and say what was done.

        Raises:
            Refused: it names an item or a function call that does not exist, or cuts where nothing can be cut.
        """
        match event:
            case client_events.ItemCreate(item=shape, previous_item_id=after):
                item = Item.from_shape(shape, new_id)
                call_id = str(item.wire.get("call_id"))
                if item.wire["type"] == "function_call_output" and not self.knows_call(call_id):
                    message = f"Tool call ID '{call_id}' not found in conversation."
                    raise Refused("invalid_tool_call_id", message, "item.call_id")
                previous = self.add(item, after)
                for kind in ("added", "done"):
                    yield {"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": item.shown()}
            case client_events.ItemRetrieve(item_id=item_id):
                item = self.find(item_id, "item_retrieve_invalid_item_id")
                yield {"type": "conversation.item.retrieved", "item": item.shown()}
            case client_events.ItemDelete(item_id=item_id):
                self.delete(item_id)
                yield {"type": "conversation.item.deleted", "item_id": item_id}
            case client_events.ItemTruncate(item_id=item_id, audio_end_ms=end):
                self.truncate(item_id, end)
                what = {"item_id": item_id, "content_index": 0, "audio_end_ms": end}
                yield {"type": "conversation.item.truncated", **what}

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Put an item at the end, or after another one ("root": first); returns the id of the one before it.

        Raises:
            Refused: the id is taken, or the item before it does not exist.
        """
        if any(known.item_id == item.item_id for known in self._items):
            raise Refused("item_already_exists", f"Item with id '{item.item_id}' already exists.", "item.id")
        position = len(self._items)
        if after == "root":
            position = 0
        elif after is not None:
            before = self.find(after, "item_create_invalid_previous_item_id", "previous_item_id")
            position = self._items.index(before) + 1
        self._items.insert(position, item)
        return self._items[position - 1].item_id if position else None

    def find(self, item_id: str, code: str, param: str = "item_id") -> Item:
        """The item of that id.

        Raises:
            Refused: with `code`, when there is none.
        """
        for item in self._items:
            if item.item_id == item_id:
                return item
        raise Refused(code, f"The item with id '{item_id}' does not exist.", param)

    def delete(self, item_id: str) -> None:
        self._items.remove(self.find(item_id, "item_delete_invalid_item_id"))

    def truncate(self, item_id: str, audio_end_ms: int) -> None:
        """Forget what the caller did not hear: the sound after `audio_end_ms`, and the whole transcript.

        Raises:
            Refused: not an audio message of the assistant, or it has less audio than that.
        """
        item = self.find(item_id, "item_truncate_invalid_item_id")
        parts = [part for part in item.wire.get("content", ()) if part["type"] == "output_audio"]
        if item.wire.get("role") != "assistant" or not parts:
            raise Refused("invalid_value", "Only model output audio messages can be truncated.", "item_id")
        length = item.sound_bytes // 8
        if audio_end_ms > length:
            message = f"Audio content of {length}ms is already shorter than {audio_end_ms}ms"
            raise Refused("invalid_value", message, "audio_end_ms")
        item.sound_bytes = audio_end_ms * 8
        parts[0].pop("transcript", None)

    def knows_call(self, call_id: str) -> bool:
        return any(item.wire["type"] == "function_call" and item.wire.get("call_id") == call_id for item in self._items)
