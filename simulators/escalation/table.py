"""docs/reference/escalation.md: what came of every case, and the sums that must be zero."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from contracts.destination import Mode
from simulators.escalation.cases import Case, Human, Trigger
from simulators.escalation.play import Played

PATH = Path("docs/reference/escalation.md")
DEAD_END = "a dead end"
GAP_SECONDS = 0.5
SILENCE_SECONDS = 3.0
COMPLETED = ", by a carrier that calls a leg completed which nobody took"
_INTRODUCTION = """\
# Escalation: what the caller hears, and where the call ends

Written by `python -m simulators escalation`, which plays every row as a whole call through the local stack: every way
in which a person is asked for, every mode, everything that the person may do, and a caller who stays or hangs up while
the person's phone rings. Who is heard is read from the caller's recording by energy and pitch.

A person who is rung directly hears no whisper: such a person declines on the phone itself, and hangs up at once where
others hang up during the whisper. A voicemail that picks up there is connected; that is what `screened` and `attended`
are for. The carrier reports an answered and refused leg as `no-answer`, in
the last section as `completed`. A person who answers late does so a tenth of a second after a caller who hangs up.

Silence is what neither side breaks, in stretches of 20 ms under -50 dBFS, from the moment on when it was understood
that a person is wanted and until that person has accepted; the caller's own last pause does not count. The line that
rings while the agent says nothing is silent for two seconds between rings; 3 s are the limit, for timers that are late.
"""


def sums(played: Sequence[Played]) -> dict[str, int]:
    """What must be zero, by its name."""
    return {
        "dead ends": sum(one.ended == DEAD_END for one in played),
        "doubled dials": sum(one.doubled for one in played),
        "voicemails connected in screened and attended": sum(one.reached_voicemail for one in played),
        "people left ringing or waiting": sum(one.left for one in played),
    }


def longest_silence(played: Sequence[Played]) -> float:
    """Seconds of the longest silence owed to a caller while a person is called apart."""
    return max((one.silence for one in played), default=0.0)


def clean(played: Sequence[Played], raced: Sequence[Played]) -> bool:
    """Whether nothing happened that must not."""
    everything = [*played, *raced]
    quick = longest_gap(everything) <= GAP_SECONDS and longest_silence(everything) <= SILENCE_SECONDS
    return quick and not any(sums(everything).values())


def longest_gap(played: Sequence[Played]) -> float:
    """Seconds of the longest gap at a join."""
    return max((one.gap for one in played), default=0.0)


def render(played: Sequence[Played], raced: Sequence[Played] = ()) -> str:
    """The page."""
    everything = [*played, *raced]
    gaps = sum(one.gap > 0 for one in everything)
    lines = [_INTRODUCTION, "| calls played | " + " | ".join(sums(everything)) + " |", "|---" * 5 + "|"]
    lines.append(f"| {len(everything)} | " + " | ".join(map(str, sums(everything).values())) + " |\n")
    lines.append(f"Longest gap at a join of attended calls ({gaps} joins): {longest_gap(everything) * 1000:.0f} ms.")
    lines.append(f"Longest silence while a person is called apart: {longest_silence(everything):.2f} s.\n")
    met = sum(one.bridged > 0 for one in raced)
    ends = Counter(one.ended for one in raced)
    told = ", ".join(f"{end} ({count})" for end, count in sorted(ends.items())) or "nothing"
    lines.append(
        f"Races, in which caller and person hang up at any moment of an attended call: {len(raced)}, "
        f"of which {met} met. They ended with: {told}.\n"
    )
    for completed in (False, True):
        for mode in Mode:
            section = [one for one in played if one.case.mode is mode and one.case.completed is completed]
            lines += _section(mode, section, completed=completed) if section else []
    return "\n".join(lines)


def _section(mode: Mode, played: Sequence[Played], *, completed: bool) -> list[str]:
    return [
        f"## {mode.value}{COMPLETED if completed else ''}\n",
        "| the person | the caller | asked for by | heard | ended with |",
        "|---" * 5 + "|",
        *(_row(*group) for group in _groups(played)),
        "",
    ]


def listed(page: str) -> set[Case]:
    """The cases that a page tells of."""
    found: set[Case] = set()
    mode, completed = None, False
    for line in page.splitlines():
        if line.startswith("## "):
            completed = line.endswith(COMPLETED)
            mode = Mode(line.removeprefix("## ").removesuffix(COMPLETED))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if mode is None or len(cells) != 5 or cells[0] not in set(Human):
            continue
        stays = cells[1] == "stays"
        found |= {Case(Trigger(name), mode, Human(cells[0]), stays, completed) for name in cells[2].split(", ")}
    return found


_Group = tuple[Human, bool, list[Trigger], tuple[str, ...], str]


def _groups(played: Sequence[Played]) -> list[_Group]:
    """Those that went alike, together."""
    alike: dict[tuple[Human, bool, tuple[str, ...], str], set[Trigger]] = defaultdict(set)
    for one in played:
        alike[one.case.human, one.case.stays, one.heard, one.ended].add(one.case.trigger)
    groups = [
        (human, stays, [one for one in Trigger if one in triggers], heard, ended)
        for (human, stays, heard, ended), triggers in alike.items()
    ]
    humans, triggers = list(Human), list(Trigger)
    return sorted(groups, key=lambda one: (humans.index(one[0]), not one[1], triggers.index(one[2][0])))


def _row(human: Human, stays: bool, triggers: list[Trigger], heard: tuple[str, ...], ended: str) -> str:  # noqa: FBT001 - a column
    caller = "stays" if stays else "hangs up"
    return f"| {human} | {caller} | {', '.join(triggers)} | {', '.join(heard)} | {ended} |"
