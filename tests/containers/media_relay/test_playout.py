"""What the caller has heard, from marks and the clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay.playout import MARK_EVERY, Cut, Playout


def test_the_clock_moves_the_position_between_marks_and_never_beyond_the_next_one() -> None:
    playout = Playout()
    playout.add("a", 8000, 10.0)
    assert playout.position(10.5) == 4000
    playout.mark()
    playout.add("a", 8000, 10.0)
    assert playout.position(11.5) == 8000, "the mark is still out"
    assert playout.ends_at(10.0) == 12.0
    assert playout.ends_at(20.0) == 20.0


def test_a_mark_is_due_after_so_much_audio_or_at_the_end() -> None:
    playout = Playout()
    assert not playout.mark_due(at_end=True)
    playout.add("a", MARK_EVERY - 1, 0.0)
    assert not playout.mark_due()
    assert playout.mark_due(at_end=True)
    playout.add("a", 1, 0.0)
    assert playout.mark_due()
    playout.mark()
    assert not playout.mark_due(at_end=True)


def test_an_item_is_heard_when_its_last_mark_comes_back_and_no_more_of_it_can_come() -> None:
    playout = Playout()
    playout.add("a", 800, 0.0)
    first = playout.mark()
    assert playout.marked(first, 0.1) == [], "more of it may come"
    playout.add("b", 800, 0.1)
    second = playout.mark()
    assert playout.marked(second, 0.2) == ["a"]
    assert playout.end() == ["b"]
    assert not playout.playing


def test_an_item_that_comes_in_pieces_is_cut_by_its_whole_length() -> None:
    playout = Playout()
    playout.add("a", 3200, 0.0)
    playout.marked(playout.mark(), 0.4)
    playout.add("a", 3200, 5.0)  # the model took a breath
    assert playout.clear(5.2) == [Cut("a", 600, 800)]


def test_echoes_of_a_cleared_generation_and_unknown_marks_change_nothing() -> None:
    playout = Playout()
    playout.add("a", 8000, 0.0)
    cleared = playout.mark()
    assert playout.clear(0.25) == [Cut("a", 250, 1000)]
    playout.add("b", 8000, 1.0)
    assert playout.marked(cleared, 1.1) == []
    assert playout.marked("nobody's", 1.1) == []
    assert playout.clear(1.5) == [Cut("b", 500, 1000)]
    assert playout.mark() != cleared


def test_a_buffer_that_ran_dry_plays_what_comes_at_once() -> None:
    playout = Playout()
    playout.add("a", 800, 0.0)
    playout.add("b", 8000, 60.0)
    assert playout.clear(60.5) == [Cut("b", 500, 1000)]


def test_a_later_mark_brings_the_earlier_ones_with_it() -> None:
    playout = Playout()
    playout.add("a", 800, 0.0)
    playout.mark()
    playout.add("a", 800, 0.0)
    last = playout.mark()
    playout.end()
    assert playout.marked(last, 0.2) == ["a"]


_steps = st.sampled_from(["add", "mark", "back", "clear", "wait"])


@given(st.lists(st.tuples(_steps, st.integers(1, 9000)), max_size=40))
def test_what_was_heard_is_never_more_than_was_sent_or_than_time_allows(script: list[tuple[str, int]]) -> None:
    playout, now, out, began = Playout(), 0.0, [""], 0.0
    for step, number in script:
        if step == "add":
            playout.add(f"i{number % 3}", number, now)
        elif step == "mark":
            out.append(playout.mark())
        elif step == "back":
            playout.marked(out[number % len(out)], now)
        elif step == "wait":
            now += number / 4000
        else:
            for cut in playout.clear(now):
                assert 0 <= cut.heard_ms <= cut.sent_ms
            began = now
        assert 0 <= playout.position(now) <= playout._sent
        assert playout.ends_at(now) >= now >= began
