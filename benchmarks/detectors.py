"""How well the phrase and promise detectors do on sentences that their rules were not built on.

python -m benchmarks.detectors        prints the tables and writes docs/reference/detectors.md
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from containers.media_relay.phrases import Phrases
from containers.media_relay.promises import Promises

ROOT = Path(__file__).resolve().parents[1]
SENTENCES = ROOT / "tests" / "containers" / "media_relay" / "sentences"
PAGE = ROOT / "docs" / "reference" / "detectors.md"
LANGUAGES = {"en": "English", "de": "German", "es": "Spanish"}
DETECTORS = {"caller": "caller's phrase", "agent": "agent's promise"}
DEFAULT = "reception"

_INTRODUCTION = """\
# Phrase and promise detectors

Written by `python -m benchmarks.detectors`. A *hand-off* is a sentence in which the detector finds a request for a
person (`phrases.py`) or a promise to connect (`promises.py`); a *false* one is a hand-off that nobody asked for or
promised. The evaluation set was written before the rules, kept apart from the development set they were built on, and
scored after they were done; what it judged wrongly was left as it is. But one hand wrote rules and both sets, as text
and not as a speech recogniser hears it, so expect less on real calls. The interval is Wilson's, 95 %: where its upper
end is above 1 %, the set is too small to prove a rate under 1 %.
"""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One sentence. `wanted`: the destination's key it asks for or promises; None if it does neither."""

    detector: str
    language: str
    text: str
    wanted: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A sentence and what the detector made of it."""

    sentence: Labelled
    found: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over some sentences; rates are shares of 1, of nothing they are 1 (precision, recall) or 0."""

    hits: int
    misses: int
    false: int
    quiet: int

    @classmethod
    def of(cls, judged: Sequence[Judged]) -> Score:
        wanted = [one for one in judged if one.sentence.wanted is not None]
        others = [one for one in judged if one.sentence.wanted is None]
        hits, false = (sum(one.found is not None for one in some) for some in (wanted, others))
        return cls(hits, len(wanted) - hits, false, len(others) - false)

    @property
    def precision(self) -> float:
        return self.hits / (self.hits + self.false) if self.hits + self.false else 1.0

    @property
    def recall(self) -> float:
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 1.0

    @property
    def false_rate(self) -> float:
        return self.false / (self.false + self.quiet) if self.false + self.quiet else 0.0

    def row(self) -> str:
        wanted, others = self.hits + self.misses, self.false + self.quiet
        low, high = interval(self.false, others)
        return (
            f"{wanted} | {others} | {self.precision:.1%} | {self.recall:.1%} ({self.misses} missed) "
            f"| {self.false_rate:.1%} ({self.false}; {low:.1%} to {high:.1%})"
        )


def interval(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval."""
    if not of:
        return 0.0, 1.0
    z, share = 1.96, count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def read(name: str) -> tuple[list[Labelled], Mapping[str, Mapping[str, str]]]:
    """A set of sentences, 'development' or 'evaluation', and the destinations' names in each language."""
    content: dict[str, Any] = yaml.safe_load((SENTENCES / f"{name}.yaml").read_text(encoding="utf-8"))
    return list(_labelled(content)), content["destinations"]


def _labelled(content: Mapping[str, Any]) -> Iterator[Labelled]:
    for detector in DETECTORS:
        for language, labels in content[detector].items():
            positive = labels["yes"] if isinstance(labels["yes"], dict) else {"": labels["yes"]}
            for key, sentences in positive.items():
                for text in sentences:
                    yield Labelled(detector, language, text, key or DEFAULT)
            for text in labels["no"]:
                yield Labelled(detector, language, text, None)


def judge(name: str) -> list[Judged]:
    """What the detectors make of a set."""
    sentences, destinations = read(name)
    detectors: dict[tuple[str, str], Callable[[str], str | None]] = {}
    for language, names in destinations.items():
        detectors["caller", language] = Phrases(names, DEFAULT).asked_for
        detectors["agent", language] = Promises(names, DEFAULT).made
    return [Judged(one, detectors[one.detector, one.language](one.text)) for one in sentences]


def tables(judged: Sequence[Judged]) -> list[str]:
    """One row a detector and language, one for each detector, one for all."""
    lines = ["| detector | language | positive | negative | precision | recall | false hand-offs |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for detector, title in DETECTORS.items():
        mine = [one for one in judged if one.sentence.detector == detector]
        for language, spoken in LANGUAGES.items():
            some = [one for one in mine if one.sentence.language == language]
            lines.append(f"| {title} | {spoken} | {Score.of(some).row()} |")
        lines.append(f"| {title} | all | {Score.of(mine).row()} |")
    return [*lines, f"| **both** | **all** | {Score.of(judged).row()} |"]


def errors(judged: Sequence[Judged]) -> list[str]:
    """Every sentence that was judged wrongly, so that nobody has to believe the rates."""
    return [
        f"- {'missed' if one.found is None else 'false'}, {DETECTORS[one.sentence.detector]}: {one.sentence.text}"
        for one in judged
        if (one.found is None) != (one.sentence.wanted is None)
    ]


def destinations(judged: Sequence[Judged]) -> str:
    """How many of the caller's requests that were found lead where they should."""
    found = [one for one in judged if one.sentence.detector == "caller" and one.sentence.wanted and one.found]
    right = sum(one.found == one.sentence.wanted for one in found)
    return f"Destination: {right} of {len(found)} requests that were found lead to the destination they name or imply."


def page() -> str:
    """The whole page."""
    evaluation, development = judge("evaluation"), judge("development")
    parts = [_INTRODUCTION, f"## Evaluation set: {len(evaluation)} sentences\n", *tables(evaluation)]
    parts += ["", destinations(evaluation), "", "Judged wrongly:\n", *(errors(evaluation) or ["- none"])]
    parts += ["", f"## Development set: {len(development)} sentences\n", *tables(development)]
    return "\n".join(parts) + "\n"


def main(where: Path = PAGE) -> None:
    text = page()
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
