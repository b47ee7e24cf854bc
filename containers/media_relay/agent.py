"""What the model is told: the session's settings, and what to say at the turning points of a call. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from containers.media_relay.actions import ToEnd, ToPerson
from containers.media_relay.realtime import CreateItem
from contracts.agent_file import AgentFile, ServerVad

TRANSFER_TOOL = "transfer_to_person"
END_TOOL = "end_call"

_RULES = """
You are on a telephone call. Use short spoken sentences, no lists and no markup. Speak the caller's language; start in
the language '{language}'.
When the caller asks for a person, or when you cannot help, first say in one short sentence that you are connecting them
and to whom, then call {transfer} with the destination that fits best and a summary of at most two sentences for the
person who answers. Never say that you are connecting the caller without calling {transfer}. Never mention telephone
numbers. When the caller says goodbye, say goodbye in one short sentence and call {end}.
"""
_UNANSWERED = {
    "busy": "was busy",
    "no_answer": "did not answer",
    "declined": "could not take the call",
    "voicemail": "could not be reached, only an answering machine",
    "closed": "is closed at the moment",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A transfer that was tried in this call before. `outcome` as in the ledger."""

    destination: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Past:
    """What happened before this visit: turns as (role, text), oldest first, and the transfers that were tried."""

    turns: Sequence[tuple[str, str]] = ()
    attempts: Sequence[Attempt] = ()
    visit: int = 1


@dataclass(frozen=True, slots=True)
class Brief:
    """Everything one visit needs to know about the agent. `destinations`: key to the name that is spoken."""

    session: dict[str, Any]
    replay: tuple[CreateItem, ...]
    opening: str
    destinations: Mapping[str, str]
    default: str
    still_there: str = "The caller has said nothing for a while. Ask in one short sentence if they are still there."

    def farewell(self, to: ToPerson | ToEnd) -> str:
        """What the agent is asked to say as the caller leaves it."""
        if isinstance(to, ToEnd):
            return "Say goodbye to the caller in one short sentence."
        name = self.destinations[to.destination]
        return f"Say in one short sentence that you are now connecting the caller to {name}. Say nothing else."


def brief(agent: AgentFile, past: Past) -> Brief:
    """The brief for one visit of a caller."""
    names = {key: destination.name for key, destination in agent.destinations.items()}
    return Brief(
        session=_session(agent, _situation(names, past)),
        replay=tuple(CreateItem("user" if role == "caller" else "assistant", text) for role, text in past.turns),
        opening=_opening(agent, names, past),
        destinations=names,
        default=agent.default_destination,
    )


def _session(agent: AgentFile, situation: str) -> dict[str, Any]:
    """`session.update` for telephone audio; https://developers.openai.com/api/docs/guides/realtime-conversations."""
    rules = _RULES.format(language=agent.language, transfer=TRANSFER_TOOL, end=END_TOOL)
    mu_law = {"type": "audio/pcmu"}
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": f"{agent.persona}\n{rules}{situation}",
        "audio": {
            "input": {
                "format": mu_law,
                "transcription": {"model": agent.transcription_model, "language": agent.language[:2]},
                "turn_detection": _turn_detection(agent),
            },
            "output": {"format": mu_law, "voice": agent.voice},
        },
        "tools": _tools(agent),
        "tool_choice": "auto",
    }
    if agent.model.startswith("gpt-realtime-2"):  # only the reasoning models know this setting
        session["parallel_tool_calls"] = False
    return session


def _turn_detection(agent: AgentFile) -> dict[str, Any]:
    vad = agent.turn_detection
    ours = {"create_response": True, "interrupt_response": True}
    if isinstance(vad, ServerVad):
        timing = {"prefix_padding_ms": vad.prefix_padding_ms, "silence_duration_ms": vad.silence_ms}
        return {"type": vad.type, "threshold": vad.threshold, **timing, **ours}
    return {"type": vad.type, "eagerness": vad.eagerness, **ours}


def _tools(agent: AgentFile) -> list[dict[str, Any]]:
    directory = "; ".join(f"{key}: {one.name} ({one.description})" for key, one in agent.destinations.items())
    destination = {"type": "string", "enum": [*agent.destinations], "description": f"Whom to connect. {directory}"}
    summary = {"type": "string", "description": "What the person who answers should know, in one or two sentences"}
    reason = {"type": "string", "description": "Why the call ends, in a few words"}
    return [
        _tool(TRANSFER_TOOL, "Connect the caller to a person.", destination=destination, summary=summary),
        _tool(END_TOOL, "End the call after you have said goodbye.", reason=reason),
    ]


def _tool(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


def _situation(names: Mapping[str, str], past: Past) -> str:
    tried = " ".join(f"{_tried(names, attempt)}." for attempt in past.attempts)
    return (
        f"\nEarlier in this call a transfer was tried: {tried} Do not promise that the same works now." if tried else ""
    )


def _opening(agent: AgentFile, names: Mapping[str, str], past: Past) -> str:
    if past.attempts:
        tried = _tried(names, past.attempts[-1])
        return (
            f"The caller is back with you because {tried}. Tell the caller in one sentence that {tried}, "
            "and ask whether to try someone else or whether you can help."
        )
    if past.visit > 1:
        return "The line was interrupted for a moment. Apologise in one short sentence and carry on where you were."
    return f"Greet the caller now. Say exactly this and nothing else: {agent.greeting}"


def _tried(names: Mapping[str, str], attempt: Attempt) -> str:
    return f"{names.get(attempt.destination, 'nobody')} {_UNANSWERED.get(attempt.outcome, 'could not be reached')}"
