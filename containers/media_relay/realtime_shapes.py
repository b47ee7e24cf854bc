"""The shapes that `realtime.py` reads and writes, field for field as the Realtime API has them.

Where the vendor's own types say Optional, a null is read as well: `openai.types.realtime` of the public package.
Fields that are not listed here are ignored.
"""

from __future__ import annotations

from msgspec import Struct


class Head(Struct, frozen=True):
    type: str


class Format(Struct, frozen=True):
    type: str = ""


MU_LAW = Format("audio/pcmu")


class Side(Struct, frozen=True):
    format: Format | None = None


class Audio(Struct, frozen=True):
    input: Side = Side()
    output: Side = Side()


class Session(Struct, frozen=True):
    audio: Audio = Audio()


class SessionUpdated(Struct, frozen=True):
    session: Session


class Speech(Struct, frozen=True):
    item_id: str = ""


class Named(Struct, frozen=True):
    id: str


class ResponseCreated(Struct, frozen=True):
    response: Named


class Arguments(Struct, frozen=True):
    call_id: str
    name: str
    arguments: str


class Item(Struct, frozen=True):
    type: str | None = None
    status: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class ItemDone(Struct, frozen=True):
    item: Item


class Failure(Struct, frozen=True):
    code: str | None = None
    type: str | None = None
    event_id: str | None = None


class StatusDetails(Struct, frozen=True):
    reason: str | None = None
    error: Failure | None = None


class TokenDetails(Struct, frozen=True):
    audio_tokens: int | None = None
    cached_tokens: int | None = None


class Usage(Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: TokenDetails | None = None
    output_token_details: TokenDetails | None = None


class Response(Struct, frozen=True):
    id: str
    status: str | None = None
    status_details: StatusDetails | None = None
    output: list[Item] | None = None
    usage: Usage | None = None


class ResponseDone(Struct, frozen=True):
    response: Response


class Error(Struct, frozen=True):
    error: Failure


class Append(Struct, tag_field="type", tag="input_audio_buffer.append", frozen=True):
    audio: str
