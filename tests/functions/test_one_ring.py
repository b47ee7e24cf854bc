"""Each ring of a hunt happens once, whoever dies when: dials, calls apart, joins, and what follows upon each."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.destination import Directory, Position
from contracts.directory import DirectoryRefused, parse
from contracts.handoff import Try
from contracts.ledger import Ledger
from contracts.transfer import Outcome, TransferRequest
from functions.transfer.carrier import Ambiguous, CarrierFailure, Refused, Throttled
from functions.transfer.handler import Consumer, Handlers
from functions.transfer.watching import Watching
from tests.contracts.people import agent_files
from tests.functions.call_world import CallWorld
from tests.functions.persons import Person
from tests.functions.test_calls import DESK, FRONT, SECOND, call, nobody_waits, people
from tests.functions.world import CALL_SID, Fault

THIRD = "+15550100004"
VOICEMAIL = {"greeting": "Please leave a message.", "deliver": {"webhook": "https://example.com/m"}}
BOTH = [{"phone": DESK}, {"phone": SECOND}]
SCENES: dict[str, tuple[dict[str, Any], dict[str, Person]]] = {
    "screened and accepted": ({"mode": "screened"}, {DESK: Person()}),
    "screened, declined, and the next": (
        {"mode": "screened", "targets": BOTH},
        {DESK: Person(key="2"), SECOND: Person()},
    ),
    "attended and accepted": ({"mode": "attended"}, {DESK: Person()}),
    "attended, declined, and the next": (
        {"mode": "attended", "targets": BOTH},
        {DESK: Person(key="3"), SECOND: Person()},
    ),
    "attended, both at once": (
        {"mode": "attended", "ring": "at_once", "targets": BOTH},
        {DESK: Person(after=4.0), SECOND: Person(key="2")},
    ),
    "attended, declined, and a message": (
        {"mode": "attended", "disposition": {"declined": "voicemail"}},
        {DESK: Person(key="2")},
    ),
    "busy, and reception": ({"disposition": {"busy": "reception"}}, {DESK: Person("busy"), FRONT: Person()}),
}


def scene(name: str, **settings: Any) -> CallWorld:
    desk, persons = SCENES[name]
    return call(people(desk, voicemail=VOICEMAIL), persons, **settings)


def wrong(world: CallWorld) -> list[str]:
    """What no call may show, however it went."""
    found = [f"{ring} {count} times" for ring, count in world.exchange.rung.items() if count > 1]
    found += [] if nobody_waits(world) else ["somebody waits"]
    found += [f"bridged {world.exchange.bridged}"] if len(world.exchange.bridged) > 1 else []
    good = ("with the agent", "leaving a message", "hung up on", "gone")
    return found + ([] if world.exchange.fate.startswith(good) else [world.exchange.fate])


@pytest.mark.parametrize("name", SCENES)
def test_R21_a_kill_at_any_point_rings_nobody_twice_and_leaves_nobody_waiting(name: str) -> None:
    calm = scene(name)
    calm.timeline.run(900)
    assert wrong(calm) == []
    assert len(calm.points) > 10
    bad = []
    for point, what in enumerate(calm.points):
        for moment in ("before", "after"):
            world = scene(name, kill_at=(point, moment))
            world.timeline.run(2000)
            bad += [f"{one} when killed {moment} {what} ({point})" for one in wrong(world)]
    assert bad == []


@pytest.mark.parametrize("name", [one for one in SCENES if "attended" in one])
@pytest.mark.parametrize("acted", [True, False])
def test_R22_a_call_apart_in_doubt_is_looked_for_before_another_is_made(name: str, acted: bool) -> None:  # noqa: FBT001
    fault = Ambiguous(500, 20500)
    fault.acted = acted  # type: ignore[attr-defined] # for the exchange to see
    for seed in range(15):
        world = scene(name, rng=random.Random(seed))
        world.exchange.create_faults = [fault]
        world.timeline.run(900)
        assert wrong(world) == []


def test_R22_a_call_apart_that_is_throttled_is_made_a_moment_later() -> None:
    world = scene("attended and accepted")
    world.exchange.create_faults = [Throttled(429, 20429), Throttled(429, 20429)]
    world.timeline.run(900)
    assert wrong(world) == []
    assert world.exchange.bridged == [DESK]


def test_R22_a_crowd_of_429s_loses_no_caller_whom_the_webhook_can_still_take_to_a_person() -> None:
    world = scene("attended and accepted")
    world.exchange.create_faults = [Throttled(429, 20429)] * 500
    world.stream_ends(20.0)
    world.timeline.run(120)
    assert wrong(world) == []
    assert world.exchange.bridged == [DESK]


def at_once(seed: int, *targets: str) -> CallWorld:
    """Several who decline, called apart together."""
    desk = {"mode": "attended", "ring": "at_once", "targets": [{"phone": target} for target in targets]}
    return call(people(desk), {target: Person(key="2") for target in targets}, rng=random.Random(seed))


def all_rang_once(world: CallWorld, *targets: str) -> bool:
    row = world.ledger.read(CALL_SID)
    rung = sorted(address for _, _, address in world.exchange.rung.elements())
    return row is not None and row.open_transfer is None and rung == sorted(targets) and wrong(world) == []


def test_all_who_are_called_apart_are_rung_though_the_first_is_reported_before_the_last_is_called() -> None:
    for seed in range(20):
        world = at_once(seed, DESK, SECOND, THIRD)
        world.timeline.run(300)
        assert all_rang_once(world, DESK, SECOND, THIRD), seed


@pytest.mark.parametrize("reports_lost", [False, True])
@pytest.mark.parametrize("fault", [Ambiguous(500, 20500), Throttled(429, 20429), Refused(401, 20003)])
def test_R22_a_failure_at_the_second_who_is_called_apart_rings_the_first_no_second_time(
    fault: CarrierFailure,
    reports_lost: bool,  # noqa: FBT001
) -> None:
    for seed in range(5):
        world = at_once(seed, DESK, SECOND)
        world.reports_lost = reports_lost
        world.exchange.create_faults = [None, fault]
        world.timeline.run(300)
        assert all_rang_once(world, DESK, SECOND), seed


@pytest.mark.parametrize(
    "fault", [Fault.ACCEPTED_THEN_TIMEOUT, Fault.LOST_THEN_TIMEOUT, Fault.THROTTLED, Fault.REFUSED]
)
def test_R22_a_join_in_doubt_is_looked_for_in_the_room(fault: Fault) -> None:
    world = scene("attended and accepted")
    world.exchange.faults = [fault]
    world.timeline.run(900)
    assert wrong(world) == []
    assert world.exchange.bridged == [DESK]


def _storm(seed: int, kill_chance: float) -> CallWorld:
    rng = random.Random(seed)
    name = rng.choice(list(SCENES))
    world = scene(name, rng=rng, kill_chance=kill_chance)
    world.exchange.completed_bridges_report = rng.choice(["completed", "no-answer"])
    world.exchange.faults = [rng.choice([Fault.NONE, Fault.ACCEPTED_THEN_TIMEOUT, Fault.THROTTLED]) for _ in range(3)]
    world.queue.loses = rng.choice([0, 0, 1])
    world.reports_lost = rng.random() < 0.2
    if rng.random() < 0.3:
        world.stream_ends(rng.uniform(0, 15))
    if rng.random() < 0.3:
        world.timeline.at(rng.uniform(0, 20), world.exchange.hangs_up)
    return world


@pytest.mark.parametrize("kill_chance", [0.0, 0.03])
def test_R18_R21_of_100_stormy_hunts_none_rings_twice_and_none_leaves_anybody_waiting(kill_chance: float) -> None:
    bad = []
    for seed in range(100):
        world = _storm(seed, kill_chance)
        world.timeline.run(240)
        world.kill_chance = 0.0
        world.timeline.run(2000)
        bad += [f"{seed}: {one}" for one in wrong(world)]
    assert bad == []


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(content=agent_files(), seed=st.integers(0, 2**32))
def test_whatever_the_file_and_the_people_every_call_comes_to_a_good_end(content: dict[str, Any], seed: int) -> None:
    try:
        directory = parse(content)
    except DirectoryRefused:
        return
    rng = random.Random(seed)
    world = CallWorld(rng)
    world.exchange.queue_result = rng.choice(["bridged", "leave", "queue-full", "error"])
    world.use(directory)
    kinds = [Person(), Person(key="2"), Person(key=None), Person("busy"), Person("no-answer"), Person("failed")]
    world.exchange.people = _everybody(directory, lambda: rng.choice(kinds))
    world.open_call()
    world.asks_for(rng.choice(list(directory.destinations)))
    world.timeline.run(3000)
    assert wrong(world) == []
    assert world.exchange.longest_wait <= directory.max_wait_seconds + 5 + 5 + 10  # a ring's grace, a few answers
    row = world.ledger.read(CALL_SID)
    assert row is not None
    assert row.attempts


def _everybody(directory: Directory, person: Callable[[], Person]) -> dict[str, Person]:
    addresses = [target.address for one in directory.destinations.values() for target in one.targets]
    return {name: person() for address in addresses for name in (address, f"client:{address}")}


class Unwatched(Watching):
    """Nobody looks after those who wait."""

    def watch(self, request: TransferRequest) -> None:
        return None


class Forgetful(Ledger):
    """A ledger that moves on whichever ring it is asked about."""

    def advance(self, call_sid: str, request_id: str, hop: int, *more: Any) -> Any:
        row = self.read(call_sid)
        transfer = row.transfer if row else None
        return super().advance(call_sid, request_id, transfer.hop if transfer else hop, *more)


def _rebuilt(world: CallWorld, watching: Callable[[Watching], Watching]) -> None:
    consumer = world.handlers.handler
    assert isinstance(consumer, Consumer)
    dialer = replace(consumer.dialer, watching=watching(consumer.dialer.watching))
    world.handlers = Handlers(replace(consumer, dialer=dialer), world.handlers.last_resort)


def test_without_the_watch_a_lost_report_leaves_the_transfer_open() -> None:
    for unwatched in (False, True):
        world = scene("attended, declined, and a message", reports_lost=True)
        if unwatched:
            _rebuilt(world, lambda one: Unwatched(**{name: getattr(one, name) for name in one.__slots__}))
        world.timeline.run(900)
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert (row.open_transfer is not None) == unwatched


def test_R18_a_question_asked_twice_about_a_ring_moves_on_once() -> None:
    answers = []
    for make in (Ledger, Forgetful):
        world = scene("busy, and reception")
        world.exchange.people = {DESK: Person("no-answer"), FRONT: Person("no-answer")}
        world.timeline.run(5)
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert row.transfer is not None
        ledger = make(world.table, "ledger", world.timeline.clock)
        ring = Try("billing", 0, Outcome.BUSY)
        asked = (CALL_SID, row.transfer.request.request_id, 0, ring, Position("reception"), Outcome.BUSY)
        answers.append([said is not None and said[1] for said in (ledger.advance(*asked), ledger.advance(*asked))])
    assert answers == [[True, False], [True, True]]
