"""Our client events as the Realtime API reads them. Pure.

https://developers.openai.com/api/docs/guides/realtime-conversations
"""

from __future__ import annotations

from typing import Any

import msgspec

from containers.media_relay import realtime_shapes as shapes
from containers.media_relay.realtime import (
    Append,
    CancelResponse,
    ClientEvent,
    CreateItem,
    CreateResponse,
    FunctionOutput,
    Truncate,
    UpdateSession,
)

_encode = msgspec.json.Encoder().encode
_CONTENT = {"user": "input_text", "system": "input_text", "assistant": "output_text"}


def encode(event: ClientEvent) -> bytes:
    """The text frame that says `event`."""
    if type(event) is Append:
        return _encode(shapes.Append(event.audio))
    return _encode(_wire(event))


def _wire(event: ClientEvent) -> dict[str, Any]:
    match event:
        case UpdateSession(session):
            return {"type": "session.update", "session": session}
        case CreateResponse(event_id, instructions, use_tools):
            response: dict[str, Any] = {"instructions": instructions} if instructions else {}
            if not use_tools:
                response["tool_choice"] = "none"
            return {"type": "response.create", "event_id": event_id} | ({"response": response} if response else {})
        case CancelResponse(response_id):
            return {"type": "response.cancel", "response_id": response_id}
        case Truncate(item_id, audio_end_ms):
            where = {"item_id": item_id, "content_index": 0, "audio_end_ms": audio_end_ms}
            return {"type": "conversation.item.truncate", **where}
        case CreateItem(role, text):
            content = [{"type": _CONTENT[role], "text": text}]
            return {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": content}}
        case FunctionOutput(call_id, output):
            item = {"type": "function_call_output", "call_id": call_id, "output": output}
            return {"type": "conversation.item.create", "item": item}
        case Append():  # pragma: no branch - there is no other event
            raise AssertionError("appends are encoded on the short path")
