"""Whole calls through the real functions: what becomes of the caller, and of everybody who was rung."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.destination import Directory
from contracts.directory import parse
from contracts.transfer import Outcome, Reason
from functions.transfer.carrier import Refused
from functions.transfer.dial_twiml import MAX_TWIML_CHARS
from tests.functions.call_world import CallWorld
from tests.functions.persons import LIVE, Person
from tests.functions.world import CALL_SID

DESK, SECOND, FRONT = "+15550100001", "+15550100002", "+15550100003"


def people(desk: dict[str, Any], **more: Any) -> Directory:
    """A directory with a billing desk like this, and a reception."""
    desk = {"name": "billing", "description": "d"} | ({} if "targets" in desk else {"number": DESK}) | desk
    front = {"name": "reception", "description": "d", "number": FRONT}
    return parse({"destinations": {"billing": desk, "reception": front}, "default_destination": "reception", **more})


def call(directory: Directory, persons: dict[str, Person], **settings: Any) -> CallWorld:
    world = CallWorld(settings.pop("rng", None))
    for name, value in settings.items():
        setattr(world, name, value)
    world.use(directory)
    world.exchange.people = persons
    world.open_call()
    world.asks_for("billing")
    return world


def played(directory: Directory, persons: dict[str, Person], **settings: Any) -> CallWorld:
    world = call(directory, persons, **settings)
    world.timeline.run(600)
    return world


def outcomes(world: CallWorld) -> list[tuple[str, str]]:
    row = world.ledger.read(CALL_SID)
    assert row is not None
    return [(one.destination, one.outcome.value) for attempt in row.attempts for one in attempt.tries]


def nobody_waits(world: CallWorld) -> bool:
    legs = world.exchange.legs_by_sid.values()
    return not any(leg.status in LIVE for leg in legs) and not any(world.exchange.rooms.values())


MODES = ["direct", "screened", "attended"]


@pytest.mark.parametrize("mode", MODES)
def test_a_person_who_takes_the_call_speaks_with_the_caller_in_every_mode(mode: str) -> None:
    world = played(people({"mode": mode}), {DESK: Person()})
    assert world.exchange.bridged == [DESK]
    assert world.exchange.fate.startswith("hung up on")
    assert outcomes(world) == [("billing", "bridged")]
    assert set(world.exchange.rung.values()) == {1}
    assert nobody_waits(world)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("person", "outcome"),
    [
        (Person("busy"), "busy"),
        (Person("no-answer"), "no_answer"),
        (Person("failed"), "failed"),
        (Person(key="2"), "declined"),
        (Person(key="3"), "declined"),
        (Person(key=None), "voicemail"),
        (Person("leaves", key=None), "voicemail"),
    ],
)
def test_nobody_takes_the_call_and_the_caller_is_with_the_agent_again(mode: str, person: Person, outcome: str) -> None:
    if mode == "direct" and outcome in {"declined", "voicemail"}:
        return
    for report in ("completed", "no-answer"):
        world = call(people({"mode": mode}), {DESK: person})
        world.exchange.completed_bridges_report = report
        world.timeline.run(600)
        assert world.exchange.bridged == []
        assert world.exchange.fate == "with the agent"
        assert outcomes(world) in ([("billing", outcome)], [("billing", "no_answer")] if report == "no-answer" else [])
        assert nobody_waits(world)
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert row.stream.visit == (1 if mode == "attended" else 2)


class TestHunting:
    def test_one_after_the_other_rings_until_somebody_takes_the_call(self) -> None:
        desk = {"targets": [{"phone": DESK}, {"phone": SECOND}], "disposition": {"exhausted": "reception"}}
        world = played(people(desk), {DESK: Person("busy"), SECOND: Person("no-answer"), FRONT: Person()})
        assert outcomes(world) == [("billing", "busy"), ("billing", "no_answer"), ("reception", "bridged")]
        assert world.exchange.bridged == [FRONT]
        assert world.exchange.heard == ["One moment please, I am connecting you to reception."]

    def test_in_attended_mode_the_caller_stays_with_the_agent_until_the_next_has_accepted(self) -> None:
        desk = {"mode": "attended", "targets": [{"phone": DESK}, {"phone": SECOND}]}
        world = played(people(desk), {DESK: Person(key="3"), SECOND: Person()})
        assert outcomes(world) == [("billing", "declined"), ("billing", "bridged")]
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert row.attempts[0].tries[0].note == "in a meeting"
        assert world.exchange.longest_wait < 1.0
        assert nobody_waits(world)

    def test_an_attended_desk_that_declines_may_be_followed_by_one_that_is_rung_directly(self) -> None:
        desk = {"mode": "attended", "disposition": {"exhausted": "reception"}}
        world = played(people(desk), {DESK: Person(key="2"), FRONT: Person()})
        assert outcomes(world) == [("billing", "declined"), ("reception", "bridged")]
        assert world.exchange.heard == ["One moment please, I am connecting you to reception."]

    @pytest.mark.parametrize("mode", MODES)
    def test_of_those_who_ring_at_once_the_first_takes_the_call_and_the_others_are_let_go(self, mode: str) -> None:
        desk = {"mode": mode, "ring": "at_once", "targets": [{"phone": DESK}, {"client": "jo"}, {"phone": SECOND}]}
        persons = {
            DESK: Person(after=5.0),
            "client:jo": Person(after=4.0),
            "jo": Person(after=4.0),
            SECOND: Person(key="2"),
        }
        world = played(people(desk), persons)
        assert len(world.exchange.bridged) == 1
        assert set(world.exchange.rung.values()) == {1}
        assert nobody_waits(world)
        assert world.exchange.fate.startswith("hung up on")

    def test_of_two_attended_who_press_at_once_one_hears_that_the_call_is_taken(self) -> None:
        desk = {"mode": "attended", "ring": "at_once", "targets": [{"phone": DESK}, {"phone": SECOND}]}
        world = played(people(desk), {DESK: Person(), SECOND: Person()})
        (taken,) = world.exchange.bridged
        other = next(leg for leg in world.exchange.legs_by_sid.values() if leg.to != taken)
        assert other.heard[-1] == "Somebody else has taken the call. Goodbye."
        assert nobody_waits(world)

    @pytest.mark.parametrize("mode", ["attended", "screened"])
    def test_when_all_who_ring_at_once_decline_the_caller_is_told_by_the_agent(self, mode: str) -> None:
        desk = {"mode": mode, "ring": "at_once", "targets": [{"phone": DESK}, {"phone": SECOND}]}
        world = played(people(desk), {DESK: Person(key="3"), SECOND: Person("busy", after=9.0)})
        assert outcomes(world) == [("billing", "declined")]
        assert world.exchange.fate == "with the agent"

    def test_one_who_cannot_be_called_keeps_nobody_from_the_rest(self) -> None:
        desk = {"mode": "attended", "ring": "at_once", "targets": [{"phone": DESK}, {"phone": SECOND}]}
        world = call(people(desk), {SECOND: Person(key="2")})
        world.exchange.create_faults = [Refused(400, 21211)]
        world.timeline.run(600)
        assert outcomes(world) == [("billing", "declined")]

    def test_an_attended_number_that_cannot_be_called_is_passed_over_at_once(self) -> None:
        desk = {"mode": "attended", "targets": [{"phone": DESK}, {"phone": SECOND}]}
        world = call(people(desk), {SECOND: Person()})
        world.exchange.create_faults = [Refused(400, 21211)]
        world.timeline.run(600)
        assert outcomes(world) == [("billing", "failed"), ("billing", "bridged")]

    @pytest.mark.parametrize(
        ("result", "outcome"), [("bridged", "bridged"), ("leave", "no_answer"), ("queue-full", "busy")]
    )
    @pytest.mark.parametrize("target", [{"queue": "support"}, {"workflow": "WW" + "0" * 31 + "1"}])
    def test_a_queue_is_waited_in_and_left(self, target: dict[str, str], result: str, outcome: str) -> None:
        world = call(people({"targets": [target]}), {})
        world.exchange.queue_result = result
        world.timeline.run(600)
        assert outcomes(world) == [("billing", outcome)]
        assert world.exchange.fate == ("hung up on: " if result == "bridged" else "with the agent")

    def test_S9_what_is_too_long_for_an_update_is_answered_by_the_webhook(self) -> None:
        numbers = [f"+1555010{n:04}" for n in range(10)]
        desk = {"mode": "screened", "ring": "at_once", "targets": [{"phone": number} for number in numbers]}
        world = played(people(desk), {numbers[7]: Person()})
        assert all(len(twiml) <= MAX_TWIML_CHARS for twiml in world.exchange.updates)
        assert "stream-ended" in world.exchange.updates[0]
        assert world.exchange.bridged == [numbers[7]]

    def test_waiting_is_bounded_by_the_file(self) -> None:
        desk = {"targets": [{"phone": f"+1555010{n:04}", "ring_seconds": 20} for n in range(10)]}
        directory = people(desk, escalation={"max_wait_seconds": 50})
        world = played(directory, {f"+1555010{n:04}": Person("no-answer") for n in range(10)})
        assert 40 < world.exchange.longest_wait <= 50 + 5 + 5
        assert world.exchange.fate == "with the agent"


class TestNobody:
    def test_a_message_is_taken_and_sent_on_once_it_can_be_fetched(self) -> None:
        voicemail = {"greeting": "Please leave a message.", "deliver": {"webhook": "https://example.com/m"}}
        desk = {"disposition": {"exhausted": "voicemail"}}
        world = played(people(desk, voicemail=voicemail), {DESK: Person("no-answer")})
        assert world.exchange.heard == ["Please leave a message.", "Thank you. Your message has been taken. Goodbye."]
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert row.message is not None
        assert (row.message.destination, row.message.seconds, row.message.delivered_at) == ("billing", 5, 0)
        sent = [one for one in world.queue.sent if one["QueueUrl"].endswith("/messages")]
        assert {one["MessageBody"] for one in sent} == {
            '{"version": 1, "kind": "deliver", "call_sid": "' + CALL_SID + '"}'
        }
        assert row.expires_at > world.timeline.now + 7 * 24 * 3600

    @pytest.mark.parametrize("relay_gone", [False, True])
    def test_a_caller_who_wants_to_leave_a_message_leaves_one_and_nobody_is_rung(self, relay_gone: bool) -> None:  # noqa: FBT001 - a case
        voicemail = {"greeting": "Please leave a message.", "deliver": {"webhook": "https://example.com/m"}}
        world = CallWorld()
        world.use(people({"mode": "attended"}, voicemail=voicemail))
        world.exchange.people = {DESK: Person()}
        world.open_call()
        world.asks_for("billing", Reason.CALLER_LEAVES_MESSAGE)
        if relay_gone:  # queue and webhook reach for the same claim
            world.stream_ends(0.0)
        world.timeline.run(600)
        taken = ["Please leave a message.", "Thank you. Your message has been taken. Goodbye."]
        assert world.exchange.heard == ["One moment please."] * relay_gone + taken
        assert world.exchange.rung == {}
        assert (row := world.ledger.read(CALL_SID))
        assert row.message
        assert row.message.destination == "billing"

    def test_an_attended_desk_that_declines_may_lead_to_a_message_and_the_caller_is_taken_there(self) -> None:
        voicemail = {"greeting": "Please leave a message.", "deliver": {"webhook": "https://example.com/m"}}
        desk = {"mode": "attended", "disposition": {"declined": "voicemail"}}
        world = played(people(desk, voicemail=voicemail), {DESK: Person(key="2")})
        assert world.exchange.heard[-1] == "Thank you. Your message has been taken. Goodbye."

    @pytest.mark.parametrize("mode", MODES)
    def test_a_closed_desk_says_so_and_the_call_ends(self, mode: str) -> None:
        hours = {"never_now": {"time_zone": "UTC", "open": {"mon": "00:00-00:01"}}}
        desk = {"mode": mode, "hours": "never_now", "disposition": {"closed": "goodbye"}}
        world = played(people(desk, hours=hours), {DESK: Person()})
        assert world.exchange.heard == [
            "I am sorry, billing is closed right now. Please call again when we are open. Goodbye."
        ]
        assert outcomes(world) == [("billing", "closed")]

    def test_a_closed_desk_leads_back_to_the_agent_who_knows(self) -> None:
        hours = {"never_now": {"time_zone": "UTC", "open": {"mon": "00:00-00:01"}}}
        world = played(people({"hours": "never_now"}, hours=hours), {DESK: Person()})
        assert world.exchange.fate == "with the agent"
        assert outcomes(world) == [("billing", "closed")]
        assert world.exchange.rung == {}

    def test_after_the_person_has_hung_up_the_agent_takes_the_caller_back_if_the_file_says_so(self) -> None:
        world = played(people({"disposition": {"completed": "agent"}}), {DESK: Person()})
        assert world.exchange.fate == "with the agent"
        assert outcomes(world) == [("billing", "bridged")]


class TestAttended:
    def test_a_report_that_never_comes_is_looked_for(self) -> None:
        desk = {"mode": "attended", "targets": [{"phone": DESK}, {"phone": SECOND}]}
        world = played(people(desk), {DESK: Person("no-answer"), SECOND: Person()}, reports_lost=True)
        assert outcomes(world) == [("billing", "no_answer"), ("billing", "bridged")]

    def test_a_join_whose_message_is_lost_is_made_when_the_first_message_returns(self) -> None:
        world = call(people({"mode": "attended"}), {DESK: Person()})
        world.timeline.at(4.0, lambda: setattr(world.queue, "loses", 1))
        world.timeline.run(600)
        assert outcomes(world) == [("billing", "bridged")]

    @pytest.mark.parametrize("patience", [0.05, 0.2, 0.5, 1.0])
    def test_a_person_who_accepts_and_leaves_before_the_caller_comes_leaves_nobody_in_an_empty_room(
        self, patience: float
    ) -> None:
        desk = {"mode": "attended", "targets": [{"phone": DESK}, {"phone": SECOND}]}
        world = played(people(desk), {DESK: Person(patience=patience), SECOND: Person()})
        assert world.exchange.fate.startswith("hung up on")
        assert world.exchange.bridged[-1] in {DESK, SECOND}
        assert nobody_waits(world)

    @pytest.mark.parametrize("after", [0.5, 3.5, 6.0, 7.2, 7.4, 7.6, 8.0, 12.0])
    def test_the_agent_that_is_lost_while_a_person_rings_comes_back_and_the_person_is_still_met(
        self, after: float
    ) -> None:
        world = call(people({"mode": "attended"}), {DESK: Person()})
        world.stream_ends(after)
        world.timeline.run(600)
        assert world.exchange.bridged == [DESK]
        assert nobody_waits(world)

    def test_the_agent_that_said_goodbye_lets_nobody_ring_on(self) -> None:
        world = call(people({"mode": "attended"}), {DESK: Person(after=15.0)})
        world.timeline.run(2)
        world.ledger.agent_ended(CALL_SID, "the caller changed their mind")
        world.stream_ends(1.0)
        world.timeline.run(600)
        assert world.exchange.fate == "hung up on: "
        assert world.exchange.bridged == []
        assert nobody_waits(world)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key", ["1", "2", None])
def test_R26_whenever_the_caller_hangs_up_nobody_is_left_ringing_or_waiting(mode: str, key: str | None) -> None:
    for tenth in range(0, 140, 3):
        world = call(people({"mode": mode}), {DESK: Person(key=key)})
        world.timeline.at(tenth / 10, world.exchange.hangs_up)
        world.timeline.run(600)
        assert nobody_waits(world), tenth
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert row.over


class TestGuards:
    def test_the_kill_switch_leads_back_to_the_agent_and_rings_nobody(self) -> None:
        world = played(people({}, guards={"enabled": False}), {DESK: Person()})
        assert world.exchange.rung == {}
        assert world.exchange.fate == "with the agent"
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert [one.outcome for one in row.attempts] == [Outcome.NOT_CONFIGURED]

    def test_the_kill_switch_says_a_sentence_where_the_agent_cannot_go_on(self) -> None:
        world = CallWorld()
        world.use(people({}, guards={"enabled": False}))
        world.open_call()
        for visit in (1, 2, 3):
            world.stream_ends(visit * 10.0, visit=visit)
        world.timeline.run(100)
        assert world.exchange.rung == {}
        assert world.exchange.fate.startswith("hung up on: I am sorry")

    def test_a_call_that_asks_too_often_rings_the_default_person_once_and_then_hears_a_sentence(self) -> None:
        world = call(people({}, guards={"transfers_per_call": 2}), {DESK: Person("busy"), FRONT: Person("busy")})
        world.timeline.run(60)
        for _ in range(3):
            world.asks_for("billing")
            world.timeline.run(60)
        destinations = [ring.split("/")[0] and address for _, ring, address in world.exchange.rung]
        assert destinations == [DESK, DESK, FRONT]
        assert world.exchange.fate.startswith("hung up on: I am sorry")

    def test_a_caller_who_asks_too_often_in_a_day_is_refused_and_another_is_not(self) -> None:
        directory = people({}, guards={"transfers_per_caller_per_day": 1})
        world = call(directory, {DESK: Person("busy")})
        world.timeline.run(60)
        world.asks_for("billing")
        world.timeline.run(60)
        row = world.ledger.read(CALL_SID)
        assert row is not None
        assert [one.outcome.value for one in row.attempts] == ["busy", "not_configured"]
        assert world.exchange.fate == "with the agent"
