"""What an item of the conversation may be when a client describes it.

Sources: as for `shapes`. Items of MCP tools are not among them: the stand-in has no MCP servers.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from simulators.model.shapes import Shape


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not valid base64") from error
    return text


Base64 = Annotated[str, AfterValidator(_is_base64)]
ItemId = Annotated[str, StringConstraints(min_length=1, max_length=32)]


class InputText(Shape):
    type: Literal["input_text"]
    text: str


class InputAudio(Shape):
    type: Literal["input_audio"]
    audio: Base64
    transcript: str | None = None


class InputImage(Shape):
    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Shape):
    type: Literal["output_text"]
    text: str


class OutputAudio(Shape):
    type: Literal["output_audio"]
    audio: Base64 | None = None
    transcript: str | None = None


class _Item(Shape):
    id: ItemId | None = None
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None


class UserMessage(_Item):
    type: Literal["message"]
    role: Literal["user"]
    content: list[Annotated[InputText | InputAudio | InputImage, Field(discriminator="type")]]


class SystemMessage(_Item):
    type: Literal["message"]
    role: Literal["system"]
    content: list[InputText]


class AssistantMessage(_Item):
    type: Literal["message"]
    role: Literal["assistant"]
    content: list[Annotated[OutputText | OutputAudio, Field(discriminator="type")]]


class FunctionCall(_Item):
    type: Literal["function_call"]
    name: str
    arguments: str
    call_id: str | None = None


class FunctionCallOutput(_Item):
    type: Literal["function_call_output"]
    call_id: str
    output: str


class ItemReference(Shape):
    type: Literal["item_reference"]
    id: str


Message = Annotated[UserMessage | SystemMessage | AssistantMessage, Field(discriminator="role")]
ItemShape = UserMessage | SystemMessage | AssistantMessage | FunctionCall | FunctionCallOutput
TaggedItem = Annotated[Message | FunctionCall | FunctionCallOutput, Field(discriminator="type")]
InputItem = Annotated[Message | FunctionCall | FunctionCallOutput | ItemReference, Field(discriminator="type")]
