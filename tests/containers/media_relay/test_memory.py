"""The conversation as it was heard."""

from __future__ import annotations

from containers.media_relay.actions import Remember
from containers.media_relay.memory import Memory
from containers.media_relay.playout import Cut
from contracts.ledger import TURNS


def test_the_callers_words_are_remembered_on_one_line_and_silence_is_not() -> None:
    memory = Memory()
    assert memory.caller(" I need\n help ") == [Remember("caller", "I need help")]
    assert memory.caller(" \n") == []


def test_the_agents_words_are_remembered_when_heard_whichever_comes_first() -> None:
    memory = Memory()
    assert memory.agent("i1", "hello") == []
    assert memory.heard("i1") == [Remember("agent", "hello")]
    assert memory.heard("i2") == []
    assert memory.agent("i2", "again") == [Remember("agent", "again")]


def test_of_an_item_that_was_cut_only_the_heard_words_are_remembered() -> None:
    memory = Memory()
    memory.agent("i1", "one two three four")
    assert memory.cut(Cut("i1", 500, 1000)) == [Remember("agent", "one two …")]
    memory.cut(Cut("i2", 0, 0))
    assert memory.agent("i2", "never heard") == []


def test_what_still_plays_at_the_end_is_remembered_once() -> None:
    memory = Memory()
    memory.agent("i1", "goodbye")
    assert memory.flush() == [Remember("agent", "goodbye")]
    assert memory.flush() == []


def test_R36_of_a_long_call_the_last_turns_are_kept_as_many_as_in_the_ledger() -> None:
    memory = Memory()
    for number in range(TURNS + 40):
        memory.caller(f"sentence {number}")
    assert [turn.text for turn in memory.conversation] == [f"sentence {number}" for number in range(40, TURNS + 40)]
