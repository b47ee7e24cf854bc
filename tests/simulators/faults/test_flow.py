"""What passes an impaired direction, and when: whatever happens, in order, nothing twice and nothing made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.faults.flow import CLEAR, MOST_HELD, NEVER, Ending, Flow, Impairment

PIECES = st.lists(st.tuples(st.floats(0, 0.5), st.binary(min_size=1, max_size=3000)), min_size=1, max_size=20)


def drain(flow: Flow, now: float) -> tuple[bytes, list[Ending], list[float]]:
    """All that comes out when the flow is asked at its own deadlines: octets, endings, and when each came."""
    octets, endings, moments = b"", list[Ending](), list[float]()
    for _ in range(100_000):
        if flow.deadline == NEVER:
            return octets, endings, moments
        now = max(now, flow.deadline)
        for piece in flow.due(now):
            moments.append(now)
            if isinstance(piece, Ending):
                endings.append(piece)
            else:
                octets += piece
    raise AssertionError("it comes to no end")


def test_what_is_clear_passes_at_once() -> None:
    flow = Flow()
    flow.receive(b"one", 5.0)
    flow.receive(Ending.FINISH, 5.0)
    assert flow.due(5.0) == [b"one", Ending.FINISH]
    assert (flow.deadline, flow.full) == (NEVER, False)


def test_a_piece_passes_without_being_received_only_where_nothing_is_wrong_and_it_is_counted() -> None:
    flow = Flow()
    assert flow.passes(b"one")
    flow.impairment = Impairment(cut_after=4)
    assert not flow.passes(b"two")
    flow.receive(b"two", 0.0)
    flow.impairment = CLEAR
    assert not flow.passes(b"three"), "it would overtake"
    flow.impairment = Impairment(cut_after=4)
    assert flow.due(0.0) == [b"t", Ending.RESET]


def test_latency_delays_the_end_too_and_nothing_overtakes_what_came_before() -> None:
    flow = Flow(Impairment(latency=2.0))
    flow.receive(b"one", 0.0)
    flow.receive(Ending.FINISH, 1.0)
    assert (flow.deadline, flow.due(1.9), flow.due(2.0), flow.deadline) == (2.0, [], [b"one"], 3.0)
    flow.impairment = CLEAR
    flow.receive(b"late", 2.5)
    assert flow.due(2.5) == [Ending.FINISH, b"late"]


def test_a_black_hole_holds_everything_until_it_is_closed() -> None:
    flow = Flow()
    flow.receive(b"before", 0.0)
    flow.impairment = Impairment(black_hole=True)
    flow.receive(Ending.RESET, 1.0)
    assert (flow.due(1e9), flow.deadline, flow.full) == ([], NEVER, True)
    flow.impairment = CLEAR
    assert flow.due(2.0) == [b"before", Ending.RESET]


def test_who_sends_faster_than_it_passes_has_to_wait() -> None:
    flow = Flow(Impairment(rate=1000))
    flow.receive(b"x" * MOST_HELD, 0.0)
    assert flow.full
    flow.due(1.0)
    assert not flow.full


def test_a_cut_is_told_once_after_exactly_so_many_octets_and_nothing_follows() -> None:
    for by in Ending:
        flow = Flow(Impairment(cut_after=4, cut_by=by))
        flow.receive(b"abc", 0.0)
        assert flow.due(0.0) == [b"abc"]
        flow.receive(b"defg", 0.0)
        assert flow.due(0.0) == [b"d", by]
        assert flow.cut
        flow.receive(b"h", 1.0)
        assert (flow.due(1e9), flow.deadline) == ([], NEVER)


def test_a_cut_below_what_has_passed_already_is_at_once() -> None:
    flow = Flow()
    flow.receive(b"abc", 0.0)
    flow.due(0.0)
    flow.impairment = Impairment(cut_after=1)
    assert (flow.deadline <= 0.0, flow.due(0.0)) == (True, [Ending.RESET])


@given(PIECES, st.floats(0, 1), st.none() | st.floats(1000, 1e6))
def test_all_that_is_said_arrives_in_order_and_not_too_soon(
    pieces: list[tuple[float, bytes]], latency: float, rate: float | None
) -> None:
    flow, now = Flow(Impairment(latency=latency, rate=rate)), 0.0
    for wait, piece in pieces:
        now += wait
        flow.receive(piece, now)
    flow.receive(Ending.FINISH, now)
    said = b"".join(piece for _, piece in pieces)
    octets, endings, moments = drain(flow, pieces[0][0])
    assert (octets, endings) == (said, [Ending.FINISH])
    assert moments == sorted(moments)
    assert moments[-1] >= now + latency
    if rate:
        portion = 0.02 + len(max((piece for _, piece in pieces), key=len)) / rate
        assert moments[-1] - moments[0] >= len(said) / rate - portion - 1e-6


@given(PIECES, st.integers(0, 5000))
def test_a_cut_never_lets_more_through_and_never_less(pieces: list[tuple[float, bytes]], cut_after: int) -> None:
    flow = Flow(Impairment(cut_after=cut_after))
    for _, piece in pieces:
        flow.receive(piece, 0.0)
    said = b"".join(piece for _, piece in pieces)
    octets, endings, _ = drain(flow, 0.0)
    assert octets == said[:cut_after]
    assert endings == ([Ending.RESET] if len(said) >= cut_after else [])


@pytest.mark.parametrize(
    "wrong", [{"latency": -1}, {"latency": NEVER}, {"latency": float("nan")}, {"rate": 0}, {"cut_after": -1}]
)
def test_an_impairment_that_means_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Impairment(**wrong)  # type: ignore[arg-type]  # what a caller without a type checker may write
