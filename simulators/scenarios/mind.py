"""The listening mind of the demonstrations: it also says what the relay tells it about people who are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simulators.model import Occasion, Prompt, Say, Turn
from simulators.model.listening import RULES, ListeningMind, Rule
from simulators.voices import Voice, speak

# A promise, and no tool call that keeps it.
PROMISES = Rule(("Can somebody look at my meter?",), "Of course. I am connecting you to technical support now.")

# What the relay tells, and how it is said; the first that fits is followed.
_TOLD = (
    (r"Nobody is being called: (.+?)\. Tell", "I am sorry, {0}. Is there anything else I can do for you?"),
    (r"Nobody is being called any more: (.+?)\. Tell", "I am sorry, {0}. Shall I try someone else?"),
    (r"(.+?) is being called now", "I am calling {0} now, and I stay with you until somebody answers."),
    (r"(.+?); (.+?) is being tried next", "{0}. I am trying {1} now."),
    (r"back with you because .+? in one sentence that (.+?), and ask", "I am sorry, {0}. Shall I try someone else?"),
    (r"(the caller can leave a message after the tone)", "You can leave a message after the tone."),
)


class ScenarioMind(ListeningMind):
    """Answers what it is told about people, else as the listening mind does."""

    def __init__(self) -> None:
        super().__init__((*RULES, PROMISES))

    def answer(self, prompt: Prompt) -> Turn:
        """Say what was told last, if that is new."""
        said = _told(prompt)
        return Turn((Say(said, speak(said, Voice.AGENT)),)) if said else super().answer(prompt)


def _told(prompt: Prompt) -> str:
    texts = [prompt.instructions] if prompt.instructions != prompt.session_instructions else []
    if prompt.occasion in {Occasion.FUNCTION_OUTPUT, Occasion.TEXT} and prompt.items:
        texts.append(_text(prompt.items[-1]))
    if prompt.occasion is Occasion.GREETING:
        texts += [prompt.session_instructions, *(_text(item) for item in prompt.items if item.get("role") == "system")]
    for text in texts:
        for pattern, words in _TOLD:
            if told := re.search(pattern, text):
                return words.format(*(group.strip() for group in told.groups()))
    return ""


def _text(item: Mapping[str, Any]) -> str:
    parts = " ".join(str(part.get("text") or "") for part in item.get("content", ()))
    output = str(item.get("output", ""))
    status = re.search(r'"status": "(.+?)"}$', output)
    return parts or (status[1] if status else output)
