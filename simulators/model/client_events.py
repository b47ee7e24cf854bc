"""What a client may say: every client event of the GA Realtime API, and how a message becomes one or is refused.

Sources: https://developers.openai.com/api/docs/guides/realtime and the typed models of the `openai` package; where no
wording of an error is published, the message is ours.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, NoReturn, get_args

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from simulators.model import item_shapes, shapes

EventId = Annotated[str, StringConstraints(max_length=512)]
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    Field(max_length=16),
]


class ResponseAudioOutput(shapes.Shape):
    format: shapes.Format | None = None
    voice: shapes.BuiltInVoice | shapes.CustomVoice | None = None


class ResponseAudio(shapes.Shape):
    output: ResponseAudioOutput | None = None


class ResponseSettings(shapes.Shape):
    audio: ResponseAudio | None = None
    conversation: Literal["auto", "none"] | None = None
    input: list[item_shapes.InputItem] | None = None
    instructions: str | None = None
    max_output_tokens: shapes.MaxTokens | None = None
    metadata: Metadata | None = None
    output_modalities: shapes.Modalities | None = None
    parallel_tool_calls: bool | None = None
    prompt: shapes.Prompt | None = None
    reasoning: shapes.Reasoning | None = None
    tool_choice: shapes.ToolChoice | None = None
    tools: shapes.Tools | None = None


class _Event(shapes.Shape):
    event_id: EventId | None = None


class SessionUpdate(_Event):
    type: Literal["session.update"]
    session: shapes.SessionSettings


class Append(_Event):
    type: Literal["input_audio_buffer.append"]
    audio: str


class Commit(_Event):
    type: Literal["input_audio_buffer.commit"]


class Clear(_Event):
    type: Literal["input_audio_buffer.clear"]


class OutputClear(_Event):
    type: Literal["output_audio_buffer.clear"]


class ItemCreate(_Event):
    type: Literal["conversation.item.create"]
    item: item_shapes.TaggedItem
    previous_item_id: str | None = None


class ItemRetrieve(_Event):
    type: Literal["conversation.item.retrieve"]
    item_id: str


class ItemDelete(_Event):
    type: Literal["conversation.item.delete"]
    item_id: str


class ItemTruncate(_Event):
    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: Literal[0]
    audio_end_ms: int = Field(ge=0)


class ResponseCreate(_Event):
    type: Literal["response.create"]
    response: ResponseSettings | None = None


class ResponseCancel(_Event):
    type: Literal["response.cancel"]
    response_id: str | None = None


ClientEvent = (
    SessionUpdate
    | Append
    | Commit
    | Clear
    | OutputClear
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)


class Refused(Exception):  # noqa: N818 - named for what happened to the client's event
    """A client event that is answered with an `error` event; `code`, `message` and `param` are those of its `error`."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    get_args(event.model_fields["type"].annotation)[0]: TypeAdapter(event) for event in get_args(ClientEvent)
}


def decode(message: str | bytes) -> dict[str, Any]:
    """The JSON object in a message.

    Raises:
        Refused: a binary message, not JSON, or not an object.
    """
    if isinstance(message, bytes):
        raise Refused("invalid_event", "Binary messages are not supported; send events as JSON text.")
    try:
        content = _DECODER.decode(message)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_event", "The message could not be parsed as JSON.") from error
    if not isinstance(content, dict):
        raise Refused("invalid_event", "An event must be a JSON object.")
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def event_id(content: dict[str, Any]) -> str | None:
    """The client's own id of an event, if it is one that an error may repeat."""
    found = content.get("event_id")
    return found if isinstance(found, str) and len(found) <= 512 else None


def parse(content: dict[str, Any]) -> ClientEvent:
    """The client event in a decoded message.

    Raises:
        Refused: its type is unknown, or a field is unknown, missing, of a wrong type or out of range.
    """
    kind = content.get("type")
    if kind is None:
        raise Refused("missing_required_parameter", "Missing required parameter: 'type'.", "type")
    adapter = _ADAPTERS.get(kind) if isinstance(kind, str) else None
    if adapter is None:
        known = ", ".join(f"'{name}'" for name in sorted(_ADAPTERS))
        raise Refused("invalid_value", f"Invalid value: {kind!r:.80}. Supported values are: {known}.", "type")
    try:
        event: ClientEvent = adapter.validate_python(content)
    except ValidationError as error:
        raise _refusal(content, error) from error
    return event


def _refusal(content: dict[str, Any], error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_context=False)[0]
    kind = first["type"]
    path = _path(content, first["loc"], named_but_absent=kind == "missing")
    if kind.startswith("union_tag"):  # the location ends at the object whose discriminator is wrong
        path += ".role" if "'role'" in first["msg"] else ".type"
    if kind in ("missing", "union_tag_not_found"):
        return Refused("missing_required_parameter", f"Missing required parameter: '{path}'.", path)
    if kind == "extra_forbidden":
        return Refused("unknown_parameter", f"Unknown parameter: '{path}'.", path)
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return Refused(code, f"Invalid '{path}': {first['msg']}.", path)


def _path(content: object, location: tuple[int | str, ...], *, named_but_absent: bool) -> str:
    """The parameter's path as the API writes it; pydantic's union tags, which name no field, are passed over."""
    path, here = "", content
    for depth, step in enumerate(location):
        if isinstance(here, list) and isinstance(step, int):
            path, here = f"{path}[{step}]", here[step]
        elif isinstance(here, dict) and (step in here or (named_but_absent and depth == len(location) - 1)):
            path, here = f"{path}.{step}" if path else str(step), here.get(step)
    return path
