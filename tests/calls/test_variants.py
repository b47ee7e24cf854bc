"""What the documents leave open about Twilio, played both ways: a lost stream, a return to the agent, a person."""

from __future__ import annotations

import asyncio
import os
from itertools import count

import pytest

from contracts import events
from contracts.agent_file import load
from simulators.carrier import Callee, Line, Number, Variants
from simulators.event_log import EventLog
from simulators.model import Occasion, Say, ScriptedMind, Turn
from simulators.settings import Settings
from simulators.stack import local_stack

KINDS = {
    "as thought likelier": Variants(),
    "no action, no stop, a slash": Variants(connect_action=False, stop_before_close=False, signed_url="slash"),
    "an action at every end": Variants(action_on_update=True, action_on_hang_up=True, close_is_logged=False),
    "updates lose, legs hide": Variants(
        update_beats_action=False,
        action_on_update=True,
        child_visibility_seconds=3.0,
        connect_action_after_failure=False,
    ),
}
GREETS = [Turn((Say("Thank you for calling, how can I help you?"),), on=Occasion.GREETING)]


@pytest.mark.timeout(120)
async def test_whatever_twilio_does_the_caller_is_back_with_the_agent_and_then_with_one_person() -> None:
    log = EventLog()
    settings = Settings(webhook_port=0, relay_port=0)
    default = load(settings.agent_file).destinations["reception"].number
    mind = lambda: ScriptedMind(GREETS)  # noqa: E731 - one a session
    async with local_stack(settings, os.environ, log, mind=mind, breakable=True) as stack:
        carrier, levers = stack.carrier, stack.levers
        assert carrier, "no other carrier is named"
        assert levers, "the stack was made to be broken"
        carrier.numbers["+15550100000"] = Number(
            voice_url=f"{stack.webhook}/voice/incoming", status_callback=f"{stack.webhook}/voice/call-status"
        )
        carrier.callees[default] = Callee(after=0.5, says="Reception, good morning.")

        async def caller(line: Line) -> None:
            await line.hears(600)
            levers.pull("network", "closes")()
            again = {"event": events.STREAM_STARTED.name, "call_sid": call.sid}
            visits = count(1)
            await log.first(lambda one: again.items() <= one.items() and next(visits) == 2, 30)
            await line.hears(600)
            await line.press("0")
            await line.connected_to_person()
            await line.hang_up()

        for kind, variants in KINDS.items():
            carrier.exchange.variants = variants
            call = carrier.place_call(from_="+15550109999", to="+15550100000", caller=caller, patience=40.0)
            async with asyncio.timeout(45):
                await call.ended
            about = [line["event"] for line in log.events if line.get("call_sid") == call.sid]
            assert (call.status, carrier.dials(call.sid), len(call.legs)) == ("completed", 1, 1), (kind, about)
            assert about.count(events.MEDIA_ACCEPTED.name) == 2, (kind, about)
