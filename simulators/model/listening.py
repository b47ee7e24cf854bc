"""A mind that listens: it recognises what the caller said from the audio that arrived, and answers by rules.

The rules below are the demonstration's; a scenario may bring its own. Everything else that it says follows what the
client tells the model: the instructions of a response, the tools with their enums, the items of the conversation.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulators.model.minds import Call, Occasion, Prompt, Say, Step, Turn
from simulators.voices import Recogniser, Voice, speak

TRANSFER_TOOL, END_TOOL = "transfer_to_person", "end_call"


@dataclass(frozen=True, slots=True)
class Rule:
    """What to answer to phrases that mean the same.

    Attributes:
        phrases: what a caller says; together the rules' phrases are all that can be recognised.
        says: the answer; `{name}` becomes the spoken name of the destination.
        destination: key to hand the caller to; when the tool does not offer it, the tool's last choice is taken.
        ends: call `end_call` after it.
    """

    phrases: tuple[str, ...]
    says: str
    destination: str = ""
    ends: bool = False


_CONNECTING = "Of course. I am connecting you to {name} now. One moment, please."

RULES = (
    Rule(
        ("What are your opening hours?", "When are you open?", "Are you open on Saturday?"),
        "Our offices are open Monday to Friday, from nine in the morning until five in the afternoon. "
        "On Saturdays and Sundays we are closed. Is there anything else I can help you with?",
    ),
    Rule(
        ("I have a question about my bill.", "Why is my bill so high?", "My bill is too high this month."),
        "I am glad to help with your bill. Bills are sent on the first of the month, and they cover the month before. "
        "In winter they are often higher than in summer. Would you like to speak to the billing team about it?",
    ),
    Rule(
        ("When is my bill due?", "How do I pay my bill?"),
        "Your bill is due on the fifteenth of the month. You can pay by card or by bank transfer.",
    ),
    Rule(
        (
            "I would like to speak to someone in billing.",
            "Can I talk to somebody in billing?",
            "Please put me through to billing.",
            "I was charged twice.",
            "Actually, I want to talk to a real person about my invoice.",
        ),
        _CONNECTING,
        destination="billing",
    ),
    Rule(
        ("My power is out.", "My electricity meter does not work.", "Connect me to technical support, please."),
        _CONNECTING,
        destination="support",
    ),
    Rule(
        (
            "I would like to speak to a person, please.",
            "I want to speak to a human.",
            "Hello, I would rather speak to a person.",
            "I would like to speak to reception.",
            "Can you try someone else?",
        ),
        _CONNECTING,
        destination="reception",
    ),
    Rule(
        ("Thank you, goodbye.", "Goodbye.", "No thank you, that is all."),
        "Thank you for calling. Goodbye.",
        ends=True,
    ),
    Rule(
        ("Please take a message.",), "I have noted your message. Somebody will call you back. Is there anything else?"
    ),
    Rule(("Yes please.",), "All right. What would you like to know?"),
    Rule(("Hello?", "Sorry, could you say that again?"), "I am here. How can I help you?"),
)
NOT_UNDERSTOOD = "I am sorry, I did not understand that. Could you say it again, please?"

# What the client's instructions ask for, and how it is said; the first that fits is followed.
INSTRUCTIONS = (
    (r"say exactly this(?: and nothing else)?: (.+)", "{0}"),
    (r"(?:say|greet)\b[^\"]*\"([^\"]+)\"", "{0}"),
    (r"tell the caller (?:in one (?:short )?sentence )?that (.+?)(?:, and |\.|$)", "I am sorry, {0}. {offer}"),
    (r"connecting the caller to (.+?)(?:\.|$)", "I am connecting you to {0} now."),
    (r"goodbye", "Thank you for calling. Goodbye."),
    (r"still there", "Are you still there?"),
    (r"apologi[sz]e", "I am sorry, we were interrupted. Please go on."),
    (r"greet", "Hello. How can I help you today?"),
)
OFFER = "Shall I take a message, or try someone else?"
_TRIED = r"(?:tried: |because )?([^.:]*?\b(?:did not answer|was not answered|was busy|could not be reached))"


class ListeningMind:
    """Hears with a recogniser, speaks with the agent's voice."""

    def __init__(self, rules: Sequence[Rule] = RULES) -> None:
        self._rules = tuple(rules)

    def hear(self, sound: bytes) -> str:
        """The phrase that was said; "" if none of the rules' phrases was."""
        return _recogniser(self._rules).hear(sound) or ""

    def answer(self, prompt: Prompt) -> Turn:
        """Follow the instructions of the response if it brings some, else the rule for what came last."""
        steps = [_spoken(step) if isinstance(step, Say) else step for step in self._steps(prompt)]
        return Turn(steps)

    def _steps(self, prompt: Prompt) -> list[Step]:
        if re.search(r"broken off", prompt.instructions):
            return self._carry_on(prompt)
        told = _follow(prompt.instructions) if prompt.instructions != prompt.session_instructions else None
        if told:
            return [Say(told)]
        last = _text(prompt.items[-1]) if prompt.items else ""
        match prompt.occasion:
            case Occasion.SPEECH:
                return self._reply(last, prompt)
            case Occasion.TEXT:
                keys = re.search(r"press\w*\D*?([0-9*#]+)", last)
                if keys and not _unanswered(last):
                    return [Say(f"You pressed {' '.join(keys[1])}. How can I help you?")]
                return [Say(said)] if (said := _unanswered(last)) else self._reply(last, prompt)
            case Occasion.FUNCTION_OUTPUT:
                failed = re.search(r"error|failed|refused", last, re.IGNORECASE)
                return [Say("I am sorry, that did not work. Is there anything else I can do?")] if failed else []
            case Occasion.IDLE:
                return [Say("Are you still there?")]
            case _:
                return [Say(self._opening(prompt))]

    def _carry_on(self, prompt: Prompt) -> list[Step]:
        """Say the rest of what stands broken off in the conversation, else answer what was said last."""
        last = prompt.items[-1] if prompt.items else {}
        said = _text(last)
        if last.get("role") == "assistant" and (begun := said.removesuffix("…").rstrip()) != said:
            whole = next((rule.says for rule in self._rules if rule.says.startswith(begun)), "")
            return [Say(whole.removeprefix(begun).strip() or "Where were we?")]
        return self._reply(said, prompt)

    def _opening(self, prompt: Prompt) -> str:
        texts = [prompt.session_instructions, *(_text(item) for item in prompt.items if item.get("role") == "system")]
        for text in texts:
            if re.search(r"tried|back with you", text) and (said := _unanswered(text)):
                return said
        return _follow(prompt.session_instructions) or "Hello. How can I help you today?"

    def _reply(self, said: str, prompt: Prompt) -> list[Step]:
        phrase = _recogniser(self._rules).closest(said) if said else None
        rule = next((rule for rule in self._rules if phrase in rule.phrases), None)
        if rule is None:
            return [Say(NOT_UNDERSTOOD)]
        if rule.ends:
            return [Say(rule.says), *_call(prompt, END_TOOL, {"reason": "The caller said goodbye."})]
        if not rule.destination:
            return [Say(rule.says)]
        key, name = _destination(prompt, rule.destination)
        arguments = {"destination": key, "summary": f"The caller said: {_caller_said(prompt)}"}
        return [Say(rule.says.format(name=name)), *_call(prompt, TRANSFER_TOOL, arguments)]


@functools.cache
def _only_recogniser(rules: tuple[Rule, ...]) -> Recogniser:
    return Recogniser([phrase for rule in rules for phrase in rule.phrases])


_starting = threading.Lock()


def _recogniser(rules: tuple[Rule, ...]) -> Recogniser:
    with _starting:  # one for all, also when many calls ask for the first time together
        return _only_recogniser(rules)


def _spoken(step: Say) -> Say:
    return Say(step.text, speak(step.text, Voice.AGENT))


def _follow(instructions: str) -> str | None:
    for pattern, words in INSTRUCTIONS:
        asked = re.search(pattern, instructions, re.IGNORECASE)
        if asked:
            return words.format(*(group.strip() for group in asked.groups()), offer=OFFER)
    return None


def _unanswered(text: str) -> str | None:
    tried = re.search(_TRIED, text)
    return f"I am sorry, {tried[1].strip()}. {OFFER}" if tried else None


def _text(item: Mapping[str, Any]) -> str:
    parts = (str(part.get("text") or part.get("transcript") or "") for part in item.get("content", ()))
    return " ".join(parts) or str(item.get("output", ""))


def _caller_said(prompt: Prompt) -> str:
    said = [_text(item) for item in prompt.items if item.get("role") == "user"]
    return " ".join(text for text in said[-3:] if text)


def _tool(prompt: Prompt, name: str) -> Mapping[str, Any] | None:
    return next((tool for tool in prompt.tools if tool.get("name") == name), None)


def _call(prompt: Prompt, name: str, arguments: Mapping[str, str]) -> list[Step]:
    return [Call(name, json.dumps(arguments))] if _tool(prompt, name) else []


def _destination(prompt: Prompt, wanted: str) -> tuple[str, str]:
    """Key and spoken name of a destination that the tool offers."""
    parameters = (_tool(prompt, TRANSFER_TOOL) or {}).get("parameters") or {}
    choice = parameters.get("properties", {}).get("destination", {})
    offered = choice.get("enum") or [wanted]
    key = wanted if wanted in offered else str(offered[-1])
    name = re.search(rf"\b{re.escape(key)}: ([^(;]+)", str(choice.get("description", "")))
    return key, name[1].strip() if name else key
