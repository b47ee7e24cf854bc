"""The tools the model has, and what its calls of them mean. Pure.

The model names a destination, never a number. Its arguments are a text it wrote: whatever they are, a caller who should
reach a person does, if need be the default one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from containers.media_relay.actions import ToEnd, ToPerson
from containers.media_relay.agent import END_TOOL, MESSAGE_TOOL, TRANSFER_TOOL, Brief
from containers.media_relay.realtime import FunctionCall
from contracts.transfer import Reason

SUMMARY_CHARACTERS = 600
REASON_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What a tool call asks for; `to` is None for a tool that we do not have. `answer` is what the model is told."""

    tool: str
    to: ToPerson | ToEnd | None
    answer: dict[str, str]
    why: str = ""  # it was not accepted as it stood

    @property
    def accepted(self) -> bool:
        """Whether the call could be followed to the letter."""
        return not self.why


def read(call: FunctionCall, brief: Brief) -> Asked:
    """The meaning of a tool call."""
    arguments = _arguments(call.arguments)
    if call.name == TRANSFER_TOOL:
        return _transfer(TRANSFER_TOOL, Reason.CALLER_ASKED, arguments, brief)
    if call.name == MESSAGE_TOOL and brief.directory.voicemail:
        return _transfer(MESSAGE_TOOL, Reason.CALLER_LEAVES_MESSAGE, arguments, brief)
    if call.name == END_TOOL:
        reason = _text(arguments.get("reason"), REASON_CHARACTERS) or "agent_ended"
        return Asked(END_TOOL, ToEnd(reason), {"status": "ending"})
    known = " and ".join(one["name"] for one in brief.session["tools"])
    answer = {"error": f"there is no such tool; there are {known}"}
    return Asked("unknown", None, answer, "unknown tool")


def _transfer(tool: str, reason: Reason, arguments: dict[str, Any], brief: Brief) -> Asked:
    destination, why = arguments.get("destination"), ""
    if not isinstance(destination, str) or destination not in brief.destinations:
        destination, why = brief.default, "not a destination; the default is used"
    summary = _text(arguments.get("summary"), SUMMARY_CHARACTERS)
    return Asked(tool, ToPerson(destination, reason, summary), {"status": "connecting"}, why)


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _text(value: object, most: int) -> str:
    """A value as one printable line of at most `most` characters; lone surrogates cannot be sent anywhere."""
    if not isinstance(value, str):
        return ""
    clean = value.encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(c if c.isprintable() else " " for c in clean).split())[:most]
