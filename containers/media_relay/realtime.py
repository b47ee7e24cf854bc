"""The OpenAI Realtime API (GA): its events, and how the server's are read; `realtime_encoding.py` writes ours. Pure.

Only what a relay needs is read; event types that are not listed here are ignored, as the API asks of clients.
https://developers.openai.com/api/docs/guides/realtime-conversations
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from containers.media_relay import realtime_shapes as shapes


class ProtocolError(Exception):
    """The model's side sent what the protocol does not allow; `kind` is a short fixed word for logs and counts."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


# ---- server events -------------------------------------------------------------------------------------------------


class SessionUpdated(Struct, frozen=True):
    """Our session settings are in force; `mu_law` says that both directions carry `audio/pcmu`."""

    mu_law: bool


class SpeechStarted(Struct, frozen=True):
    """The caller began to speak."""

    item_id: str = ""


class SpeechStopped(Struct, frozen=True):
    """The caller's turn is over; an answer is on its way."""

    item_id: str = ""


class CallerTranscript(Struct, frozen=True):
    """What the caller said, as text; may come after the answer to it."""

    item_id: str
    transcript: str


class ResponseCreated(Struct, frozen=True):
    """A response is being generated."""

    response_id: str


class AudioDelta(Struct, frozen=True):
    """Some speech of the agent: base64 mu-law, generated faster than it plays."""

    response_id: str
    item_id: str
    delta: str


class AgentTranscript(Struct, frozen=True):
    """The whole text of one spoken item."""

    item_id: str
    transcript: str


class AgentWords(Struct, frozen=True):
    """Some of the text of an item that is being spoken; it runs a little ahead of the audio."""

    item_id: str
    delta: str


class FunctionCall(Struct, frozen=True):
    """The model calls a tool. `arguments` is a JSON text that the model wrote: trust nothing in it."""

    call_id: str
    name: str
    arguments: str


class Usage(Struct, frozen=True):
    """Tokens of one response, as billed."""

    input_tokens: int = 0
    output_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    cached_tokens: int = 0


class ResponseDone(Struct, frozen=True):
    """A response is over, however it went. `status`: completed, cancelled, incomplete or failed."""

    response_id: str
    status: str
    why: str = ""
    calls: tuple[FunctionCall, ...] = ()
    usage: Usage = Usage()


class Error(Struct, frozen=True):
    """The API objects; most errors leave the session as it is."""

    code: str
    kind: str
    client_event: str


ServerEvent = (
    SessionUpdated
    | SpeechStarted
    | SpeechStopped
    | CallerTranscript
    | ResponseCreated
    | AudioDelta
    | AgentTranscript
    | AgentWords
    | FunctionCall
    | ResponseDone
    | Error
)


# ---- client events -------------------------------------------------------------------------------------------------


class UpdateSession(Struct, frozen=True):
    """Set up the session: `session` as documented, with `type: realtime`."""

    session: dict[str, Any]


class Append(Struct, frozen=True):
    """The caller's audio, Twilio's payload unchanged."""

    audio: str


class CreateResponse(Struct, frozen=True):
    """Ask for speech. `instructions` replaces the session's for this response; "" keeps them."""

    event_id: str
    instructions: str = ""
    use_tools: bool = True


class CancelResponse(Struct, frozen=True):
    """Stop generating a response."""

    response_id: str


class Truncate(Struct, frozen=True):
    """Make the model forget what the caller did not hear of an item."""

    item_id: str
    audio_end_ms: int


class CreateItem(Struct, frozen=True):
    """Add a text to the conversation. `role`: user, assistant or system."""

    role: str
    text: str


class FunctionOutput(Struct, frozen=True):
    """The answer to a tool call."""

    call_id: str
    output: str


ClientEvent = UpdateSession | Append | CreateResponse | CancelResponse | Truncate | CreateItem | FunctionOutput


# ---- decoding ------------------------------------------------------------------------------------------------------


_decode_head = msgspec.json.Decoder(shapes.Head).decode
_DECODERS: dict[str, Any] = {
    name: msgspec.json.Decoder(shape).decode
    for name, shape in {
        "response.output_audio.delta": AudioDelta,
        "session.updated": shapes.SessionUpdated,
        "input_audio_buffer.speech_started": shapes.Speech,
        "input_audio_buffer.speech_stopped": shapes.Speech,
        "conversation.item.input_audio_transcription.completed": CallerTranscript,
        "response.created": shapes.ResponseCreated,
        "response.output_audio_transcript.delta": AgentWords,
        "response.output_audio_transcript.done": AgentTranscript,
        "response.function_call_arguments.done": shapes.Arguments,
        "response.output_item.done": shapes.ItemDone,
        "response.done": shapes.ResponseDone,
        "error": shapes.Error,
    }.items()
}
_is_base64 = re.compile(r"[A-Za-z0-9+/]+={0,2}").fullmatch
_MOST_TOKENS = 1_000_000_000


def decode(text: bytes) -> ServerEvent | None:
    """One text frame from the model; None for an event that a relay has no use for.

    Raises:
        ProtocolError: not JSON, no type, a needed field missing or of the wrong type, or audio that is not base64.
    """
    try:
        name = _decode_head(text).type
        decoder = _DECODERS.get(name)
        if decoder is None:
            return None
        event = decoder(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError("fields" if isinstance(error, msgspec.ValidationError) else "json") from None
    if type(event) is AudioDelta:
        if len(event.delta) % 4 or _is_base64(event.delta) is None:
            raise ProtocolError("audio")
        return event
    return _public(name, event)


def _public(name: str, event: object) -> ServerEvent | None:
    match event:
        case CallerTranscript() | AgentTranscript() | AgentWords():
            return event
        case shapes.Speech(item_id):
            return SpeechStarted(item_id) if name.endswith("started") else SpeechStopped(item_id)
        case shapes.ResponseCreated(response):
            return ResponseCreated(response.id)
        case shapes.Arguments(call_id, tool, arguments):
            return FunctionCall(call_id, tool, arguments)
        case shapes.ItemDone(item):
            return _function_call(item)
        case shapes.ResponseDone(response):
            return _response_done(response)
        case shapes.SessionUpdated(session):
            formats = (session.audio.input.format, session.audio.output.format)
            return SessionUpdated(formats == (shapes.MU_LAW, shapes.MU_LAW))
        case shapes.Error(error):
            return Error(error.code or "", error.type or "", error.event_id or "")
        case _:
            raise AssertionError(f"no reading for {name}")


def _function_call(item: shapes.Item) -> FunctionCall | None:
    if item.type != "function_call" or item.status not in {"completed", None} or not item.call_id:
        return None
    return FunctionCall(item.call_id, item.name or "", item.arguments or "")


def _response_done(response: shapes.Response) -> ResponseDone:
    details, usage = response.status_details or shapes.StatusDetails(), response.usage or shapes.Usage()
    spent = usage.input_token_details or shapes.TokenDetails()
    spoken = usage.output_token_details or shapes.TokenDetails()
    failure = details.error or shapes.Failure()
    return ResponseDone(
        response.id,
        response.status or "completed",
        failure.code or failure.type or details.reason or "",
        tuple(call for call in map(_function_call, response.output or ()) if call),
        Usage(
            _tokens(usage.input_tokens),
            _tokens(usage.output_tokens),
            _tokens(spent.audio_tokens),
            _tokens(spoken.audio_tokens),
            _tokens(spent.cached_tokens),
        ),
    )


def _tokens(count: int | None) -> int:
    """A count that no response can have counts as none: the response is over all the same, and prices are floats."""
    return count if count and 0 < count <= _MOST_TOKENS else 0
