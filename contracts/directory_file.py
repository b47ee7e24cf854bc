"""The agent file as the directory reads it: one field at a time, each checked as it is taken.

An error names the field's path in the file and what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar

from contracts.destination import Channel, TargetKind
from contracts.transfer import DESTINATION

E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
NAME_CHARS = 500
FORMS: Mapping[StrEnum, tuple[str, str]] = {
    TargetKind.PHONE: (r"\+[1-9][0-9]{6,14}", "+15550100001"),
    TargetKind.SIP: (
        r"sips?:[A-Za-z0-9_.!~*'()&=+$,;?/%-]{1,128}@[A-Za-z0-9.-]{1,128}(:[0-9]{1,5})?(;[A-Za-z0-9_.=-]+)*",
        "sip:a@b.com",
    ),
    # https://www.twilio.com/docs/voice/twiml/client: at most 121 characters
    TargetKind.CLIENT: (r"[A-Za-z0-9_.@+-]{1,121}", "reception-desk"),
    TargetKind.QUEUE: (r"[A-Za-z0-9_][A-Za-z0-9_ .-]{0,63}", "support"),
    TargetKind.WORKFLOW: (r"WW[0-9a-f]{32}", "WW and 32 hex digits"),
    Channel.WEBHOOK: (r"https://[^\s/]+(/\S*)?", "https://example.com/voicemail"),
    Channel.EMAIL: (r"[^\s@]+@[^\s@]+\.[^\s@]+", "desk@example.com"),
    Channel.TOPIC: (
        r"arn:aws[A-Za-z0-9_-]*:sns:[A-Za-z0-9_-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}",
        "arn:aws:sns:us-east-1:123456789012:name",
    ),
}
"""The form of each address, and an example of it."""


Word = TypeVar("Word", bound=StrEnum)


class Problem(NamedTuple):
    """One thing that is wrong: where (`destinations.billing.key`), what, and what to do."""

    path: str
    says: str
    remedy: str


class DirectoryRefused(ValueError):  # noqa: N818 - it names what became of the directory
    """The agent file has no usable directory; `problems` say where and why."""

    def __init__(self, *problems: Problem, file: Path | None = None) -> None:
        super().__init__(
            "\n".join(f"{f'{file}: ' if file else ''}{one.path}: {one.says}; {one.remedy}" for one in problems)
        )
        self.problems = problems


def refused(path: str, says: str, remedy: str) -> DirectoryRefused:
    """One problem, to be raised."""
    return DirectoryRefused(Problem(path or "(whole file)", says, remedy))


class Node:
    """A mapping of the file and where it stands; every asking checks what it gives."""

    def __init__(self, content: object, path: str) -> None:
        if not isinstance(content, Mapping):
            raise refused(path, "is not a mapping", "indent its fields below it")
        self._content = content
        self.path = path
        self.name = path.rpartition(".")[2]

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        return self._content.get(name) is not None

    def value(self, name: str, default: object = None) -> object:
        return self._content[name] if self.has(name) else default

    def node(self, name: str) -> Node:
        return Node(self.value(name, {}), self.at(name))

    def children(self) -> Iterator[Node]:
        for name, content in self._content.items():
            if not isinstance(name, str) or not DESTINATION.fullmatch(name):
                raise refused(self.at(str(name)), "is not a key", "write it in lower case, without spaces")
            yield Node(content, self.at(name))

    def text(self, name: str, default: str | None = None, longest: int = NAME_CHARS) -> str:
        value = self.value(name, default)
        # Only what can be printed can be put into XML 1.0 and be spoken.
        text = "".join(c for c in value if c.isprintable()).strip() if isinstance(value, str) else ""
        if (not text and default is None) or not isinstance(value, str):
            raise refused(self.at(name), "is not a text", "write one")
        if len(text) > longest:
            raise refused(self.at(name), f"is longer than {longest} characters", "shorten it")
        return text

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        value = self.value(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise refused(self.at(name), f"is not a whole number from {lowest} to {highest}", "correct the value")
        return value

    def word(self, name: str, default: Word) -> Word:
        value, words = self.value(name, default.value), type(default)
        if not isinstance(value, str) or value not in list(words):
            raise refused(self.at(name), f"is not one of {', '.join(words)}", "choose one")
        return words(value)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.value(name, default)
        if not isinstance(value, bool):
            raise refused(self.at(name), "is neither true nor false", "write one of them")
        return value

    def items(self, name: str, most: int) -> list[object]:
        value = self.value(name)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise refused(self.at(name), f"is not a list of 1 to {most}", "write each after a dash")
        return value

    def form(self, name: str, kind: StrEnum) -> str:
        """The address of this kind that stands under a name."""
        form, example = FORMS[kind]
        value = self.value(name)
        if not isinstance(value, str) or not re.fullmatch(form, value, re.ASCII):
            raise refused(self.at(name), f"is not a {kind} address", f"write it as {example}")
        return value

    def address(self, kinds: type[Word]) -> tuple[Word, str]:
        """The one kind that is given, and its address."""
        given = [kind for kind in kinds if self.has(kind)]
        if len(given) != 1:
            raise refused(self.path, f"needs exactly one of {', '.join(kinds)}", "keep one")
        return given[0], self.form(given[0], given[0])
