# ruff: noqa: N816, FBT001 - Hypothesis and pytest pass arguments by position
"""Exactly one `<Dial>` per call and none lost: repetition, overlap, faults, kills; with the real code and fake time."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.claim import Claim, Claimed
from contracts.ledger import Ledger
from contracts.transfer import TransferRequest
from functions.transfer.carrier import Ambiguous
from functions.transfer.dialing import Dialer
from functions.transfer.handler import Consumer, Handlers
from tests.functions.storm import MIXED, doubled_and_lost, stormy_world
from tests.functions.world import FakeCarrier, Fault, World


# The campaign plays the same storms by the thousand: docs/reference/faults.md.
def test_R18_R22_of_250_requests_delivered_1_to_5_times_with_faults_each_dials_once() -> None:
    assert doubled_and_lost(range(250), kill_chance=0.0) == (0, 0)


def test_R21_of_250_requests_whose_invocations_are_killed_anywhere_each_dials_once() -> None:
    assert doubled_and_lost(range(1000, 1250), kill_chance=0.06) == (0, 0)


def test_an_undisturbed_request_is_dialled_once_at_the_number_of_its_destination() -> None:
    world = World()
    world.open_call()
    request = world.request("support")
    world.deliver(request.to_json())
    world.timeline.run()
    (dialled,) = world.carrier.dials
    assert dialled.number == "+15550100002"
    assert f"request={request.request_id}" in dialled.action
    assert world.acknowledged == 1


def sweep(prepare: Callable[[World], None]) -> tuple[int, list[str]]:
    """Kill the real code before and after each of its calls to the outside, then let the queue do its work."""
    calm = World()
    calm.open_call()
    prepare(calm)
    calm.timeline.run()
    wrong = []
    for point, name in enumerate(calm.points):
        for moment in ("before", "after"):
            world = World()
            world.kill_at = (point, moment)
            world.open_call()
            prepare(world)
            world.timeline.run()
            if len(world.carrier.dials) != 1:
                wrong.append(f"{len(world.carrier.dials)} dials when killed {moment} {name} ({point})")
    return len(calm.points), wrong


def _with(faults: list[Fault], *, asked: bool = True, ends_after: float | None = None) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        request = world.request()
        if asked:
            world.ledger.ask_transfer(request)
        world.carrier.faults = list(faults)
        world.deliver(request.to_json())
        world.deliver(request.to_json(), after=1.0)
        if ends_after is not None:
            world.twilio_asks(after=ends_after)

    return prepare


# A webhook that was never told of a transfer brings the caller back to the agent: no dial of its own to race with.
@pytest.mark.parametrize(("asked", "ends_after"), [(False, None), (True, None), (True, 0.0), (True, 3.0), (True, 8.0)])
@pytest.mark.parametrize("fault", list(Fault))
def test_R21_a_kill_at_any_point_neither_doubles_nor_loses_the_dial(
    fault: Fault, asked: bool, ends_after: float | None
) -> None:
    points, wrong = sweep(_with([fault], asked=asked, ends_after=ends_after))
    assert points > 5
    assert wrong == []


@pytest.mark.parametrize("second", [Fault.ACCEPTED_THEN_TIMEOUT, Fault.LOST_THEN_TIMEOUT, Fault.THROTTLED])
def test_R21_a_kill_at_any_point_of_a_second_update_neither_doubles_nor_loses_the_dial(second: Fault) -> None:
    _, wrong = sweep(_with([Fault.LOST_THEN_TIMEOUT, second]))
    assert wrong == []


class Hearings(RuleBasedStateMachine):
    """Any order of copies, faults, kills, asking and waiting; the queue then finishes what was begun."""

    @initialize(seed=st.integers(0, 2**32), asked=st.booleans(), legs_report=st.booleans())
    def a_call_is_live_and_the_agent_asks_for_a_person(self, seed: int, asked: bool, legs_report: bool) -> None:
        self.world = World(random.Random(seed))
        self.world.legs_report = legs_report
        self.world.open_call()
        self.asked = asked
        self.request = self.world.request()
        self.copies = 0
        if asked:
            self.world.ledger.ask_transfer(self.request)

    @precondition(lambda self: self.copies < 5)
    @rule(after=st.floats(0, 12))
    def the_queue_delivers_a_copy(self, after: float) -> None:
        self.copies += 1
        self.world.deliver(self.request.to_json(), after=after)

    @rule(fault=st.sampled_from(MIXED))
    def the_next_update_meets_a_fault(self, fault: Fault) -> None:
        self.world.carrier.faults.append(fault)

    @rule(times=st.integers(1, 10))
    def the_listing_fails(self, times: int) -> None:
        self.world.carrier.listing_faults = times

    @rule(ahead=st.integers(0, 12), moment=st.sampled_from(["before", "after"]))
    def a_machine_will_die(self, ahead: int, moment: str) -> None:
        self.world.kill_at = (len(self.world.points) + ahead, moment)

    @precondition(lambda self: self.asked and not self.world.stream_asked)
    @rule(after=st.floats(0, 10))
    def the_stream_ends_and_twilio_asks(self, after: float) -> None:
        self.world.twilio_asks(after=after)

    @rule(seconds=st.floats(0, 15))
    def time_passes(self, seconds: float) -> None:
        self.world.timeline.run(seconds)

    @invariant()
    def nobody_is_dialled_twice(self) -> None:
        if hasattr(self, "world"):
            assert len(self.world.carrier.dials) <= 1

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        if not self.copies:
            self.world.deliver(self.request.to_json())
        self.world.timeline.run()
        assert len(self.world.carrier.dials) == 1
        assert self.world.ended_by_answer is None


Hearings.TestCase.settings = settings(max_examples=80, stateful_step_count=20, suppress_health_check=list(HealthCheck))
test_R18_R19_R21_R22_any_order_of_events_dials_exactly_once = Hearings.TestCase


class ClaimsForEverybody(Ledger):
    """A ledger without its claim."""

    def claim(
        self, request: TransferRequest, by: str, lease_seconds: float, *, redial_after: float | None = None
    ) -> Claim:
        answer = super().claim(request, by, lease_seconds, redial_after=redial_after)
        row = self.read(request.call_sid)
        assert row is not None
        return answer if isinstance(answer, Claimed) else Claimed(attempt=0, must_reconcile=False, row=row)


class Blind(FakeCarrier):
    """A carrier that never lists a child leg."""

    def legs(self, call_sid: str) -> list[str]:
        super().legs(call_sid)
        return []


class Deaf(FakeCarrier):
    """A carrier whose failures are not heard."""

    def update(self, call_sid: str, twiml: str) -> None:
        with contextlib.suppress(Ambiguous):
            super().update(call_sid, twiml)


def _without_claims(dialer: Dialer, world: World) -> Dialer:
    ledger = ClaimsForEverybody(world.table, "ledger", world.timeline.clock)
    hunting = replace(dialer.hunting, ledger=ledger)
    return replace(dialer, watching=replace(dialer.watching, ledger=ledger, hunting=hunting))


def _without_looking(dialer: Dialer, world: World) -> Dialer:
    blind: Any = Blind(world)
    blind.__dict__ = world.carrier.__dict__
    return replace(dialer, watching=replace(dialer.watching, carrier=blind))


def _with_too_short_a_lag(dialer: Dialer, _: World) -> Dialer:
    return replace(dialer, timing=replace(dialer.timing, lag=0.0))


def _without_doubt(dialer: Dialer, world: World) -> Dialer:
    deaf: Any = Deaf(world)
    deaf.__dict__ = world.carrier.__dict__
    return replace(dialer, watching=replace(dialer.watching, carrier=deaf))


@pytest.mark.parametrize(
    ("remove", "doubles", "loses"),
    [
        (_without_claims, True, False),
        (_without_looking, True, False),
        (_with_too_short_a_lag, True, False),
        (_without_doubt, False, True),
    ],
)
def test_the_check_turns_red_when_a_control_is_removed(
    remove: Callable[[Dialer, World], Dialer], doubles: bool, loses: bool
) -> None:
    doubled = lost = 0
    for seed in range(120):
        world = stormy_world(seed, 0.0, legs_report=False, asks=False, listing_fails=False)
        handler, last_resort = world.handlers.handler, world.handlers.last_resort
        assert isinstance(handler, Consumer)
        assert isinstance(last_resort, Consumer)
        world.handlers = Handlers(
            replace(handler, dialer=remove(handler.dialer, world)),
            replace(last_resort, dialer=remove(last_resort.dialer, world)),
        )
        world.timeline.run()
        doubled += len(world.carrier.dials) > 1
        lost += not world.carrier.dials
    assert (doubled > 0, lost > 0) == (doubles, loses)
