"""What is said to a person and, of a ring, to the caller: short, and fit for XML and a telephone."""

from __future__ import annotations

from contracts.destination import Destination
from contracts.handoff import Transfer
from contracts.sentences import Sentence, Spoken, spoken

WHISPER_CHARS = 75  # five seconds of speech


def cut(text: str, chars: int) -> str:
    """The beginning of a text, whole words, without what XML 1.0 cannot hold and nobody can say."""
    clean = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    if len(clean) <= chars:
        return clean
    words = clean[: chars + 1].rpartition(" ")[0]
    return words or clean[:chars]


def opening(transfer: Transfer, destination: Destination, language: str) -> Spoken | None:
    """Told to the caller before a ring, unless it was said before or the ringing merely goes on."""
    tries = transfer.hunt.tries
    known = tries[-1].destination == destination.key if tries else transfer.request.reason.announced
    return None if known else spoken(Sentence.CONNECTING, language, name=destination.name)


def whisper(destination: Destination, summary: str, language: str) -> str:
    """Told to the person: who is calling, and why, as far as five seconds reach."""
    who = destination.whisper or spoken(Sentence.CALLER_FOR, language, name=destination.name).text
    return cut(f"{who} {summary}", WHISPER_CHARS)
