"""What the documents leave open about Twilio, played both ways: a lost stream, a return to the agent, a person."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import pytest

from contracts import events
from contracts.agent_file import load
from simulators.carrier import Callee, Number, ScriptedCaller, Variants
from simulators.model import Close, Occasion, Say, ScriptedMind, Turn
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
DIES = [Turn((Say("Thank you for calling, how can I help you?", until_ms=600), Close(1011)), on=Occasion.GREETING)]
STAYS = [Turn((Say("I am back. How can I help?"),), on=Occasion.GREETING)]
SCRIPT: list[Any] = [{"listen": 1500}, {"press": "0"}, "person", "hang_up"]


@pytest.mark.timeout(120)
async def test_whatever_twilio_does_the_caller_is_back_with_the_agent_and_then_with_one_person() -> None:
    lines: list[Mapping[str, Any]] = []
    minds = iter([STAYS, *[DIES, STAYS] * len(KINDS)])  # the stack warms one up
    settings = Settings(webhook_port=0, relay_port=0)
    default = load(settings.agent_file).destinations["reception"].number
    async with local_stack(settings, os.environ, lines.append, mind=lambda: ScriptedMind(next(minds, STAYS))) as stack:
        carrier = stack.carrier
        assert carrier, "no other carrier is named"
        carrier.numbers["+15550100000"] = Number(
            voice_url=f"{stack.webhook}/voice/incoming", status_callback=f"{stack.webhook}/voice/call-status"
        )
        carrier.callees[default] = Callee(after=0.5, says="Reception, good morning.")
        for kind, variants in KINDS.items():
            carrier.exchange.variants = variants
            call = carrier.place_call(
                from_="+15550109999", to="+15550100000", caller=ScriptedCaller.from_data(SCRIPT), patience=30.0
            )
            async with asyncio.timeout(45):
                await call.ended
            about = [line["event"] for line in lines if line.get("call_sid") == call.sid]
            assert (call.status, carrier.dials(call.sid), len(call.legs)) == ("completed", 1, 1), (kind, about)
            assert about.count(events.MEDIA_ACCEPTED.name) == 2, (kind, about)
