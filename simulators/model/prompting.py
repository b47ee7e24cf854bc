"""From a session to a response and its prompt: what a mind is asked, and what of its turn may be performed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from simulators import audio
from simulators.model import client_events, item_shapes, minds
from simulators.model.configuration import Configuration
from simulators.model.conversation import Conversation, Item
from simulators.model.faults import Faults
from simulators.model.minds import Occasion
from simulators.model.response import Event, Request, Response, usage_of

RATE_LIMITS = [
    {"name": "requests", "limit": 400, "remaining": 399, "reset_seconds": 0.15},
    {"name": "tokens", "limit": 200_000, "remaining": 195_000, "reset_seconds": 1.5},
]


def occasion(conversation: Conversation, *, first: bool) -> Occasion:
    """Why the client asks for a response now."""
    last = conversation.last.wire if conversation.last else {}
    if last.get("type") == "function_call_output":
        return Occasion.FUNCTION_OUTPUT
    if first:
        return Occasion.GREETING
    kinds = {part["type"] for part in last.get("content", ())}
    if "input_audio" in kinds:
        return Occasion.SPEECH
    return Occasion.TEXT if "input_text" in kinds else Occasion.OTHER


def response(
    settings: client_events.ResponseSettings | None,
    why: Occasion,
    configuration: Configuration,
    conversation: Conversation,
    *,
    new_id: Callable[[str], str],
    pace: float,
) -> Response:
    """A new response: the session's configuration, changed by what this `response.create` brings."""
    given = settings.model_dump(exclude_none=True) if settings else {}
    session = configuration.wire
    aside = given.get("conversation") == "none"
    output = {name: session["audio"]["output"][name] for name in ("format", "voice")}
    output.update(given.get("audio", {}).get("output", {}))
    items = _input(settings, conversation, new_id)
    instructions = given.get("instructions", session["instructions"])
    usage = usage_of(conversation if items is None else items, instructions)
    wire = {
        "object": "realtime.response",
        "id": new_id("resp"),
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": None if aside else f"conv_{session['id'].removeprefix('sess_')}",
        "output_modalities": given.get("output_modalities", session["output_modalities"]),
        "max_output_tokens": given.get("max_output_tokens", session["max_output_tokens"]),
        "audio": {"output": output},
        "usage": None,
        "metadata": given.get("metadata"),
    }
    request = Request(why, given, items, usage)
    return Response(wire, request, conversation=None if aside else conversation, new_id=new_id, pace=pace)


def _input(
    settings: client_events.ResponseSettings | None, conversation: Conversation, new_id: Callable[[str], str]
) -> list[Item] | None:
    """The items that a response brings along instead of the conversation; None if it brings none.

    Raises:
        Refused: a reference to an item that does not exist.
    """
    if settings is None or settings.input is None:
        return None
    return [
        conversation.find(shape.id, "item_reference_not_found", "response.input")
        if isinstance(shape, item_shapes.ItemReference)
        else Item.from_shape(shape, new_id)
        for shape in settings.input
    ]


def prompt(asked: Response, configuration: Configuration, conversation: Conversation) -> minds.Prompt:
    """What a mind is asked."""
    session, given = configuration.wire, asked.request.settings
    items = conversation if asked.request.items is None else asked.request.items
    return minds.Prompt(
        occasion=asked.request.occasion,
        items=[item.understood() for item in items],
        instructions=given.get("instructions", session["instructions"]),
        session_instructions=session["instructions"],
        tools=given.get("tools", session["tools"]),
        tool_choice=given.get("tool_choice", session["tool_choice"]),
        metadata=given.get("metadata", {}),
    )


def performable(turn: minds.Turn, asked: Response, configuration: Configuration, faults: Faults) -> minds.Turn:
    """The turn without what is not allowed (`tool_choice: "none"`), and with the connection's faults."""
    if faults.stalled:
        return minds.Turn((minds.Stall(),))
    if faults.mute:
        return minds.Turn()
    may_call = asked.request.settings.get("tool_choice", configuration.wire["tool_choice"]) != "none"
    steps: Sequence[minds.Step] = [step for step in turn.steps if may_call or not isinstance(step, minds.Call)]
    if faults.silent_audio:
        steps = [_silenced(step) for step in steps]
    return replace(turn, steps=steps)


def _silenced(step: minds.Step) -> minds.Step:
    if not isinstance(step, minds.Say):
        return step
    return replace(step, sound=audio.silence(len(minds.sound_of(step)) // audio.BYTES_PER_MS))


def transcribed(item: Item) -> Iterator[Event]:
    """The events that tell the client what was heard; billed by duration, as OpenAI's whisper is."""
    of_item: dict[str, Any] = {"item_id": item.item_id, "content_index": 0}
    kind = "conversation.item.input_audio_transcription"
    item.wire["content"][0]["transcript"] = item.heard
    if item.heard:
        yield {"type": f"{kind}.delta", **of_item, "delta": item.heard}
    usage = {"type": "duration", "seconds": item.sound_bytes / audio.BYTES_PER_MS / 1000}
    yield {"type": f"{kind}.completed", **of_item, "transcript": item.heard, "usage": usage}
