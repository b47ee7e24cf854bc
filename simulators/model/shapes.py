"""What a session may be set to: the exact fields of `session.update`, and nothing besides.

An unknown field is refused as the API refuses it, so that a shape of the old beta interface, or a misspelt one, is
found here and not in front of a caller. Sources: https://developers.openai.com/api/docs/guides/realtime and the typed
models of the `openai` package (`openai.types.realtime`), which carry OpenAI's own descriptions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]
BuiltInVoice = Literal["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"]
Modalities = Annotated[list[Literal["text", "audio"]], Field(min_length=1, max_length=1)]


class Shape(BaseModel):
    """Exact fields, exact types; a field left out stays out (`model_fields_set`)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Pcm(Shape):
    type: Literal["audio/pcm"]
    rate: Literal[24000] = 24000


class Pcmu(Shape):
    type: Literal["audio/pcmu"]


class Pcma(Shape):
    type: Literal["audio/pcma"]


Format = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


class CustomVoice(Shape):
    id: str


class ServerVad(Shape):
    type: Literal["server_vad"]
    threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0)
    silence_duration_ms: int = Field(default=500, ge=0)
    idle_timeout_ms: int | None = Field(default=None, ge=5000, le=30000)
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(Shape):
    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class NoiseReduction(Shape):
    type: Literal["near_field", "far_field"]
    strength: float | None = None


class Transcription(Shape):
    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    prompt: str | None = None
    keywords: list[str] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class Input(Shape):
    format: Format | None = None
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = None


class Output(Shape):
    format: Format | None = None
    voice: BuiltInVoice | CustomVoice | None = None
    speed: float | None = Field(default=None, ge=0.25, le=1.5)


class Audio(Shape):
    input: Input | None = None
    output: Output | None = None


class FunctionTool(Shape):
    type: Literal["function"]
    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class McpTool(Shape):
    type: Literal["mcp"]
    server_label: str
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None
    allowed_tools: list[str] | dict[str, Any] | None = None
    authorization: str | None = None
    connector_id: str | None = None
    defer_loading: bool | None = None
    headers: dict[str, str] | None = None
    require_approval: Literal["always", "never"] | dict[str, Any] | None = None
    server_description: str | None = None
    server_url: str | None = None
    tunnel_id: str | None = None


Tools = list[Annotated[FunctionTool | McpTool, Field(discriminator="type")]]


class FunctionChoice(Shape):
    type: Literal["function"]
    name: str


class McpChoice(Shape):
    type: Literal["mcp"]
    server_label: str
    name: str | None = None


ToolChoice = Literal["auto", "none", "required"] | FunctionChoice | McpChoice


class Reasoning(Shape):
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class Prompt(Shape):
    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None


class TokenLimits(Shape):
    post_instructions: int | None = Field(default=None, ge=0)


class RetentionRatio(Shape):
    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0, le=1)
    token_limits: TokenLimits | None = None


class Tracing(Shape):
    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, Any] | None = None


class SessionSettings(Shape):
    type: Literal["realtime"]
    audio: Audio | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None
    instructions: str | None = None
    max_output_tokens: MaxTokens | None = None
    model: str | None = None
    output_modalities: Modalities | None = None
    parallel_tool_calls: bool | None = None
    prompt: Prompt | None = None
    reasoning: Reasoning | None = None
    tool_choice: ToolChoice | None = None
    tools: Tools | None = None
    tracing: Literal["auto"] | Tracing | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio | None = None
