"""The conversation as it was heard, in text: for a return to the agent, and for the person who takes over. Pure.

The model's transcript of an item may come before or after the caller has heard it, or stopped it. A turn is remembered
when both are known; of an item that was stopped, only what was heard. A visit that ends amid a sentence has only the
words that came until then. The last 60 turns are kept, as many as the ledger keeps: a long call costs no more, neither
in memory nor in words told anew to a model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from containers.media_relay.actions import Remember
from containers.media_relay.playout import Cut
from contracts.ledger import TURNS


class Memory:
    """What the agent has said and the ledger does not know yet. `turns`: what was last remembered in this visit."""

    def __init__(self) -> None:
        self.turns = deque[Remember](maxlen=TURNS)
        self._said: dict[str, str] = {}  # transcripts of items that still play
        self._begun: dict[str, str] = {}  # the words so far of items that are still being generated
        self._share: dict[str, float] = {}  # heard share of items whose transcript is still to come

    def caller(self, transcript: str) -> list[Remember]:
        """The caller's words."""
        return self._turn("caller", transcript)

    def agent(self, item_id: str, transcript: str) -> list[Remember]:
        """The agent's words, which the caller may or may not have heard yet."""
        self._begun.pop(item_id, None)
        if item_id in self._share:
            return self._turn("agent", _part(transcript, self._share.pop(item_id)))
        self._said[item_id] = transcript
        return []

    def agent_begins(self, item_id: str, words: str) -> None:
        """Some of the agent's words, of which more will come."""
        self._begun[item_id] = self._begun.get(item_id, "") + words

    def heard(self, item_id: str) -> list[Remember]:
        """The caller has heard the whole item."""
        return self._settle(item_id, 1.0)

    def cut(self, cut: Cut) -> list[Remember]:
        """The caller has heard a part of the item, and will not hear the rest."""
        return self._settle(cut.item_id, cut.heard_ms / cut.sent_ms if cut.sent_ms else 0.0)

    def leave(self, cuts: Iterable[Cut]) -> list[Remember]:
        """What was heard of the items that play, as the visit ends amid them; what was to come is not remembered."""
        turns = list[Remember]()
        for cut in cuts:
            share = cut.heard_ms / cut.sent_ms if cut.sent_ms else 0.0
            begun = self._begun.get(cut.item_id, "")
            text = self._said.get(cut.item_id) or (f"{begun} …" if begun else "")
            turns += self._turn("agent", _part(text, share))
        self._said.clear()
        self._begun.clear()
        return turns

    def lost(self) -> list[Remember]:
        """The model is gone amid its sentence: of that, there will be no more words than came until now."""
        begun = [*self._begun.items()]
        return [turn for item_id, words in begun for turn in self.agent(item_id, f"{words} …")]

    @property
    def conversation(self) -> list[Remember]:
        """This visit for a model that was not there: what was remembered, and what plays."""
        return [*self.turns, *(Remember("agent", text) for text in self._said.values() if text.strip())]

    def flush(self) -> list[Remember]:
        """Everything that was said, as the visit ends."""
        said = [turn for transcript in self._said.values() for turn in self._turn("agent", transcript)]
        self._said.clear()
        return said

    def _turn(self, role: str, text: str) -> list[Remember]:
        text = " ".join(text.split())
        turns = [Remember(role, text)] if text else []
        self.turns += turns
        return turns

    def _settle(self, item_id: str, share: float) -> list[Remember]:
        transcript = self._said.pop(item_id, None)
        if transcript is None:
            self._share[item_id] = share
            return []
        return self._turn("agent", _part(transcript, share))


def _part(text: str, share: float) -> str:
    if share >= 1:
        return text
    words = text[: int(len(text) * share)].rpartition(" ")[0]
    return f"{words} …" if words else ""
