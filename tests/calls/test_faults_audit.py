"""What a transfer was can be told from the logs alone: who asked, who decided, what Twilio did, and how it ended."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from contracts import events
from contracts.agent_file import load
from contracts.events import Event
from simulators.carrier import Callee, Line, Number
from simulators.carrier.call import Call as CarrierCall
from simulators.model import Call, Occasion, Say, ScriptedMind, Turn
from simulators.settings import Settings
from simulators.stack import local_stack

LINES = list[Mapping[str, Any]]
CALLER, OURS = "+15550109999", "+15550100000"
CHAIN = [
    events.HANDOFF_ASKED,
    events.HANDOFF_QUEUED,
    events.TRANSFER_CLAIMED,
    events.TRANSFER_SENT,
    events.TRANSFER_DIALLED,
    events.TRANSFER_OVER,
]


class Gap(Exception):  # noqa: N818 - what an auditor finds
    """The log does not say what became of a transfer."""


@dataclass(frozen=True)
class Audited:
    """One transfer as the log tells it."""

    call_sid: str
    destination: str
    reason: str
    attempt: int
    outcome: str
    leg: str
    answer: str


def audit(lines: Iterable[Mapping[str, Any]]) -> list[Audited]:
    """Every transfer in a log, in the order in which they were asked for; raises Gap where one cannot be told."""
    by_request: dict[str, LINES] = {}
    for line in lines:
        if "request_id" in line and line["part"] in {"webhook", "relay", "transfer"}:
            by_request.setdefault(str(line["request_id"]), []).append(line)
    return [_transfer(about) for about in by_request.values()]


def _transfer(about: LINES) -> Audited:
    def one(event: Event) -> Mapping[str, Any]:
        found = [line for line in about if line["event"] == event.name]
        if not found:
            raise Gap(f"there is no {event.name}")
        return found[-1]

    asked, _, claimed, sent, dialled, over = (one(event) for event in CHAIN)
    leg = one(events.LEG_STATUS)
    answers = dialled.get(events.ANSWERS)
    if dialled["by"] != "webhook" and not answers:  # the webhook asks Twilio for nothing: it is asked
        raise Gap("Twilio's answer has no name")
    if len({line["call_sid"] for line in about}) != 1:
        raise Gap("it is about two calls")
    if (sent["attempt"], sent["destination"]) != (dialled["attempt"], dialled["destination"]):
        raise Gap("what was dialled is not what was sent")
    return Audited(
        call_sid=asked["call_sid"],
        destination=over["destination"],
        reason=asked["reason"],
        attempt=claimed["attempt"],
        outcome=over["outcome"],
        leg=leg["child_sid"],
        answer=answers[-1] if answers else "",
    )


def tool(destination: str) -> list[Turn]:
    """A model that connects at once."""
    arguments = json.dumps({"destination": destination, "summary": "about an invoice"})
    return [Turn((Say("One moment."), Call("transfer_to_person", arguments)), on=Occasion.GREETING)]


async def presses_zero(line: Line) -> None:
    """A caller who wants a person as soon as somebody speaks."""
    await line.hears(300)
    await line.press("0")
    await line.connected_to_person()
    await line.until(lambda: False)


async def listens(line: Line) -> None:
    """A caller who waits for what comes."""
    await line.until(lambda: False)


@pytest.mark.timeout(180)
async def test_S25_every_transfer_can_be_told_from_the_log_with_who_when_and_how_it_ended() -> None:
    lines: LINES = []
    settings = Settings(webhook_port=0, relay_port=0)

    async def insists(line: Line) -> None:
        """A caller who is back with the agent, and wants a person still."""
        back = (events.MEDIA_ACCEPTED.name, 2)
        await line.until(lambda: any((one.get("event"), one.get("visit")) == back for one in lines))
        await presses_zero(line)

    people = load(settings.agent_file).destinations
    minds = iter([[], tool("billing"), [], tool("support")])  # the stack warms the first up; after busy, one comes back
    async with local_stack(settings, os.environ, lines.append, mind=lambda: ScriptedMind(next(minds, []))) as stack:
        carrier = stack.carrier
        assert carrier, "no other carrier is named"
        carrier.numbers[OURS] = Number(f"{stack.webhook}/voice/incoming", None, f"{stack.webhook}/voice/call-status")
        carrier.callees[people["billing"].number] = Callee("busy", after=0.2)
        carrier.callees[people["support"].number] = Callee(after=0.2, hangs_up_after=0.5)
        carrier.callees[people["reception"].number] = Callee(after=0.2, hangs_up_after=0.5)
        calls = []
        for callers in ([insists], [listens], [presses_zero] * 5):
            placed = [carrier.place_call(from_=CALLER, to=OURS, caller=one, patience=40) for one in callers]
            async with asyncio.timeout(60):
                await asyncio.gather(*(call.ended for call in placed))
            calls += placed
        await stack.relay.stop(10.0)
    found = audit(lines)
    assert _told(found) == _truth(calls), "the log against what the carrier saw"
    assert [(one.destination, one.reason, one.outcome) for one in found[:3]] == [
        ("billing", "caller_asked", "busy"),
        ("reception", "caller_pressed_key", "bridged"),
        ("support", "caller_asked", "bridged"),
    ]
    assert len(found) == 8
    for one in found:  # the answer that decided was the one about this call
        assert carrier.answered[one.answer].endswith(f"/Calls/{one.call_sid}.json")
    with pytest.raises(Gap, match="has no name"):
        audit([{name: value for name, value in line.items() if name != events.ANSWERS} for line in lines])
    for event in [*CHAIN, events.LEG_STATUS]:  # the control: without any one of them it cannot be told
        with pytest.raises(Gap, match=event.name):
            audit([line for line in lines if line.get("event") != event.name])


def _told(found: list[Audited]) -> list[tuple[str, str, bool]]:
    return sorted((one.call_sid, one.leg, one.outcome == "bridged") for one in found)


def _truth(calls: list[CarrierCall]) -> list[tuple[str, str, bool]]:
    return sorted((call.sid, leg.sid, leg.status == "completed") for call in calls for leg in call.legs)
