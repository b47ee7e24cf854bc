"""The session's configuration: the GA defaults, and what an update may change.

Defaults and rules: https://developers.openai.com/api/docs/guides/realtime and the field descriptions of
`openai.types.realtime.RealtimeSessionCreateRequest`. Note the default format: PCM at 24 kHz, both ways.
"""

from __future__ import annotations

import copy
from typing import Any

from simulators.model import shapes
from simulators.model.client_events import Refused
from simulators.model.formats import PCM
from simulators.model.vad import Sensitivity

# "include" and the like may be cleared with null; the others have no such value.
_NULLABLE = {"tracing", "prompt", "include", "reasoning", "transcription", "noise_reduction", "turn_detection"}
_PAUSE_MS = {"low": 1200, "medium": 600, "auto": 600, "high": 300}  # our stand-in for "semantic": a patience


class Configuration:
    """The whole session object, as `session.created` and `session.updated` show it in `wire`."""

    def __init__(self, session_id: str, model: str, expires_at: int) -> None:
        self.format_chosen = False  # the client has named an input format, be it the default
        self.wire: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "You are a helpful, witty and friendly assistant.",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": expires_at,
            "include": None,
            "audio": {
                "input": {
                    "format": {"type": PCM, "rate": 24000},
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": shapes.ServerVad(type="server_vad").model_dump(),
                },
                "output": {"format": {"type": PCM, "rate": 24000}, "voice": "marin", "speed": 1.0},
            },
        }

    def shown(self) -> dict[str, Any]:
        """A copy for an event: later changes do not reach it."""
        return copy.deepcopy(self.wire)

    @property
    def transcribes(self) -> bool:
        """Whether the client wants to read what the caller said."""
        return self.wire["audio"]["input"]["transcription"] is not None

    @property
    def input_format(self) -> str:
        """`audio/pcm`, `audio/pcmu` or `audio/pcma`."""
        return str(self.wire["audio"]["input"]["format"]["type"])

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """The VAD settings; None when turns are the client's business."""
        settings: dict[str, Any] | None = self.wire["audio"]["input"]["turn_detection"]
        return settings

    @property
    def sensitivity(self) -> Sensitivity:
        """What the detector obeys; semantic VAD is imitated by a patience that follows its eagerness."""
        settings = self.turn_detection or {}
        if settings.get("type") == "semantic_vad":
            return Sensitivity(silence_duration_ms=_PAUSE_MS[settings["eagerness"]])
        names = ("threshold", "prefix_padding_ms", "silence_duration_ms")
        return Sensitivity(**{name: settings[name] for name in names if name in settings})

    def update(self, settings: shapes.SessionSettings, *, has_spoken: bool, responding: bool) -> None:
        """Change only the fields that are present.

        Raises:
            Refused: a change that the API does not allow now; nothing has changed then.
        """
        given = settings.model_dump(exclude_unset=True)
        _refuse_nulls(given, "session")
        self._check(given, has_spoken=has_spoken, responding=responding)
        audio = given.pop("audio", {})
        changed = copy.deepcopy(self.wire)
        changed.update(given)
        for side in ("input", "output"):
            _merge(changed["audio"][side], audio.get(side, {}))
        self.format_chosen = self.format_chosen or "format" in audio.get("input", {})
        self.wire = changed

    def reset_formats(self) -> None:
        """Back to PCM at 24 kHz, both ways."""
        for side in ("input", "output"):
            self.wire["audio"][side]["format"] = {"type": PCM, "rate": 24000}

    def _check(self, given: dict[str, Any], *, has_spoken: bool, responding: bool) -> None:
        output = given.get("audio", {}).get("output", {})
        now = self.wire["audio"]["output"]
        if given.get("model", self.wire["model"]) != self.wire["model"]:
            raise Refused("invalid_value", "The model of a session cannot be changed.", "session.model")
        if has_spoken and output.get("voice", now["voice"]) != now["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise Refused("cannot_update_voice", message, "session.audio.output.voice")
        if responding and output.get("speed", now["speed"]) != now["speed"]:
            message = "Cannot change the speed while a response is in progress."
            raise Refused("invalid_value", message, "session.audio.output.speed")
        if self.wire["tracing"] is not None and given.get("tracing", self.wire["tracing"]) != self.wire["tracing"]:
            raise Refused("invalid_value", "Cannot modify tracing once it is enabled.", "session.tracing")
        for name in ("reasoning", "parallel_tool_calls"):
            if name in given and not str(self.wire["model"]).startswith("gpt-realtime-2"):
                message = f"'{name}' is not supported with {self.wire['model']}."
                raise Refused("unsupported_parameter", message, f"session.{name}")


def _merge(present: dict[str, Any], given: dict[str, Any]) -> None:
    for name, value in given.items():
        if name == "turn_detection" and value is not None:
            shape = shapes.ServerVad if value["type"] == "server_vad" else shapes.SemanticVad
            kept = present[name] if present[name] and present[name]["type"] == value["type"] else {}
            present[name] = shape(**{**kept, **value}).model_dump()
        elif name == "format":
            present[name] = {**value, "rate": 24000} if value["type"] == PCM else value
        else:
            present[name] = value


def _refuse_nulls(given: dict[str, Any], path: str) -> None:
    for name, value in given.items():
        here = f"{path}.{name}"
        if value is None and name not in _NULLABLE:
            raise Refused("invalid_type", f"Invalid type for '{here}': got null.", here)
        if isinstance(value, dict) and name in ("audio", "input", "output"):
            _refuse_nulls(value, here)
