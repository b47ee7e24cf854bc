"""What the model is told: the session's settings, and what to say at the turning points of a call. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from containers.media_relay import clips, people
from containers.media_relay.clips import Clip
from containers.media_relay.realtime import CreateItem
from contracts.agent_file import AgentFile, ServerVad
from contracts.destination import Directory
from contracts.handoff import Attempt, Transfer
from contracts.visit import Resumes

TRANSFER_TOOL = "transfer_to_person"
MESSAGE_TOOL = "take_message"
END_TOOL = "end_call"
GOODBYE = "Say goodbye to the caller in one short sentence."
STILL_THERE = "The caller has said nothing for a while. Ask in one short sentence if they are still there."
CARRY_ON = (
    "Go on exactly where the conversation stopped, as if there had been no pause: if your last sentence was broken off "
    "(…), say the rest of it and nothing before that; else answer what the caller said last."
)
SAY_AGAIN = (
    "You did not hear what the caller said last. Apologise in one short sentence and ask them to say it again; do not "
    "greet and do not mention any other reason."
)
GO_ON = (
    "The line was interrupted for a moment, in which you heard nothing. Ask the caller in one short sentence to go on, "
    "or to say again what they have just said; do not greet."
)
INTERRUPTED = "The line was interrupted for a moment. Apologise in one short sentence and carry on where you were."

_RULES = """
You are on a telephone call. Use short spoken sentences, no lists and no markup. Speak the caller's language; start in
the language '{language}'.
When the caller asks for a person, or when you cannot help, first say in one short sentence that you are connecting them
and to whom, then call {transfer} with the destination that fits best and a summary of at most two sentences for the
person who answers. Never say that you are connecting the caller without calling {transfer}; its answer may be that the
caller stays with you, and why: then do as it says. Never mention telephone numbers. When the caller says goodbye, say
goodbye in one short sentence and call {end}.
"""
_MESSAGE_RULE = """
When the person the caller wants cannot be reached, or the caller would rather not wait, offer that they leave a message
or are called back. If they want to, say in one short sentence that they can speak after the tone, then call {message}.
"""


@dataclass(frozen=True, slots=True)
class Past:
    """What happened before this visit: turns as (role, text), oldest first, and the transfers that were tried.

    `after_loss`: the visit before was lost. `resumes`: it was moved here, and whose turn it is. `calling`: a person is
    being called meanwhile, since before that. `spent`: USD by then.
    """

    turns: Sequence[tuple[str, str]] = ()
    attempts: Sequence[Attempt] = ()
    visit: int = 1
    after_loss: bool = False
    resumes: str = ""
    calling: Transfer | None = None
    spent: float = 0.0


@dataclass(frozen=True, slots=True)
class Brief:
    """Everything one visit needs to know about the agent, and whom it can reach.

    `opening` is what it is asked to say first; "": it listens. `line` is ours, for when it has no voice.
    """

    agent: AgentFile
    directory: Directory
    session: dict[str, Any]
    replay: tuple[CreateItem, ...]
    opening: str
    line: Clip
    calling: Transfer | None = None
    spent: float = 0.0

    @property
    def destinations(self) -> Mapping[str, str]:
        """Key to the name that is spoken."""
        return {key: one.name for key, one in self.directory.destinations.items()}

    @property
    def default(self) -> str:
        """Where a caller goes who named nobody."""
        return self.directory.default.key


def brief(agent: AgentFile, past: Past, now: float) -> Brief:
    """The brief for one visit of a caller; `now` in seconds since the epoch."""
    directory = agent.directory
    return Brief(
        agent=agent,
        directory=directory,
        session=_session(agent, _situation(directory, past)),
        replay=_replay(directory, past),
        opening=_opening(agent, directory, past, now),
        line=clips.one_moment(agent.language),
        calling=past.calling,
        spent=past.spent,
    )


def _replay(directory: Directory, past: Past) -> tuple[CreateItem, ...]:
    items = [CreateItem("user" if role == "caller" else "assistant", text) for role, text in past.turns]
    if past.resumes and past.calling:
        items.append(CreateItem("system", people.awaited(people.name(directory, past.calling.position.destination))))
    return tuple(items)


def _session(agent: AgentFile, situation: str) -> dict[str, Any]:
    """`session.update` for telephone audio; https://developers.openai.com/api/docs/guides/realtime-conversations."""
    rules = _RULES.format(language=agent.language, transfer=TRANSFER_TOOL, end=END_TOOL)
    if agent.voicemail:
        rules += _MESSAGE_RULE.format(message=MESSAGE_TOOL)
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


def most_quiet(agent: AgentFile) -> float:
    """Seconds of quiet after which the model has missed the end of the caller's turn.

    Its own detection waits eight at most: https://developers.openai.com/api/docs/guides/realtime-vad.
    """
    vad = agent.turn_detection
    return vad.silence_ms / 1000 + 3.5 if isinstance(vad, ServerVad) else 9.0


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
    whom = destination | {"description": "Whom the message is for"}
    message = _tool(MESSAGE_TOOL, "Record a message or a wish to be called back.", destination=whom, summary=summary)
    return [
        _tool(TRANSFER_TOOL, "Connect the caller to a person.", destination=destination, summary=summary),
        *([message] if agent.voicemail else []),
        _tool(END_TOOL, "End the call after you have said goodbye.", reason=reason),
    ]


def _tool(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


def _situation(directory: Directory, past: Past) -> str:
    tried = " ".join(f"{people.attempt(directory, attempt)}." for attempt in past.attempts)
    return (
        f"\nEarlier in this call a transfer was tried: {tried} Do not promise that the same works now." if tried else ""
    )


def _opening(agent: AgentFile, directory: Directory, past: Past, now: float) -> str:
    if past.resumes and past.turns:
        return "" if past.resumes == Resumes.LISTENING else CARRY_ON
    if past.attempts and not past.after_loss:
        return people.back(directory, past.attempts[-1], now)
    if past.visit > 1 and not past.resumes:
        calling = people.company(people.name(directory, past.calling.position.destination)) if past.calling else ""
        return f"{INTERRUPTED} {calling}".strip()
    return f"Greet the caller now. Say exactly this and nothing else: {agent.greeting}"
