"""What a caller waits for beside the relay: a function's import, the webhook's answer, and the hand-off to a person."""

from __future__ import annotations

import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
from twilio.request_validator import RequestValidator

from benchmarks.stamps import percentile
from benchmarks.subjects import CORES, ROOT
from contracts import events
from simulators import audio
from simulators.carrier import Callee, Hears, MeetsPerson, Number, Presses, ScriptedCaller
from simulators.event_log import EventLog
from simulators.model import Say, ScriptedMind, Turn
from simulators.settings import Settings
from simulators.stack import LocalStack, local_stack

CALLED = "+15550100000"
IMPORTS = {
    "webhook function": "functions.voice_webhook.handler",
    "webhook function with boto3": "functions.voice_webhook.handler, boto3",
    "transfer function": "functions.transfer.handler",
    "transfer function with boto3": "functions.transfer.handler, boto3",
    "relay": "containers.media_relay.__main__",
}
_TIMED = "import time; began = time.perf_counter(); import {}; print((time.perf_counter() - began) * 1000)"
_AT_ONCE = 4


def imports(times: int) -> dict[str, float]:
    """Milliseconds to import each, the median of so many fresh interpreters; files in the page cache."""
    measured = {}
    for name, modules in IMPORTS.items():
        command = [sys.executable, "-c", _TIMED.format(modules)]
        runs = [subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True) for _ in range(times)]
        measured[name] = round(statistics.median(float(run.stdout) for run in runs), 1)
    return measured


async def functions(requests: int, calls: int) -> dict[str, float]:
    """Milliseconds: the webhook's warm answer over HTTP, and from the asking for a person to the REST request."""
    settings = replace(
        Settings.from_env({}), webhook_port=0, relay_port=0, drain_seconds=0, agent_file=ROOT / "agent.yaml"
    )
    log = EventLog()
    mind = Turn([Say("Good morning, how can I help you today?")])
    async with local_stack(settings, os.environ, log, mind=lambda: ScriptedMind([mind] * 5)) as stack:
        os.sched_setaffinity(stack.relay.pid, CORES[:1])
        answers = await _answers(stack, requests)
        handoffs = await _handoffs(stack, log, settings, calls)
    return {
        "webhook answer p50": round(percentile(answers, 0.5), 1),
        "webhook answer p99": round(percentile(answers, 0.99), 1),
        "hand-off p50": round(percentile(handoffs, 0.5), 1),
        "hand-off p99": round(percentile(handoffs, 0.99), 1),
        "hand-offs": len(handoffs),
    }


async def _answers(stack: LocalStack, requests: int) -> list[float]:
    url = f"{stack.webhook}/voice/incoming"
    sign = RequestValidator(stack.auth_token).compute_signature
    taken = []
    async with aiohttp.ClientSession() as client:
        for number in range(requests + 5):
            form = {
                "CallSid": "CA" + secrets.token_hex(16),
                "AccountSid": stack.account_sid,
                "From": "+15550109999",
                "To": CALLED,
                "CallStatus": "ringing",
                "Direction": "inbound",
                "ApiVersion": "2010-04-01",
            }
            headers = {"X-Twilio-Signature": sign(url, form), "Content-Type": "application/x-www-form-urlencoded"}
            began = time.perf_counter()
            async with client.post(url, data=urlencode(form), headers=headers) as answer:
                text = await answer.text()
            assert "<Stream" in text, text
            if number >= 5:  # the first few fill caches
                taken.append((time.perf_counter() - began) * 1000)
    return taken


async def _handoffs(stack: LocalStack, log: EventLog, settings: Settings, calls: int) -> list[float]:
    """Callers press 0, which asks for a person without the model: the same way from there on."""
    carrier, agent = stack.carrier, settings.agent()
    assert carrier, "nothing else was asked for"
    carrier.numbers[CALLED] = Number(
        voice_url=f"{stack.webhook}/voice/incoming", status_callback=f"{stack.webhook}/voice/call-status"
    )
    carrier.callees[agent.destinations[agent.default_destination].number] = Callee(
        after=0.2, says=audio.tone([440], 300), hangs_up_after=0.5
    )
    script = ScriptedCaller([Hears(200), Presses("0"), MeetsPerson()])
    left = calls
    while left > 0:
        batch = min(left, _AT_ONCE)
        left -= batch
        placed = [carrier.place_call(from_="+15550109999", to=CALLED, caller=script, patience=20) for _ in range(batch)]
        await asyncio.gather(*(call.ended for call in placed))
    return _between(log, events.HANDOFF_ASKED, events.TRANSFER_SENT)


def _between(log: EventLog, first: events.Event, then: events.Event) -> list[float]:
    asked = {line["call_sid"]: _at(line) for line in log.events if line["event"] == first.name}
    sent = {line["call_sid"]: _at(line) for line in log.events if line["event"] == then.name}
    return [(sent[call_sid] - asked[call_sid]) * 1000 for call_sid in asked if call_sid in sent]


def _at(line: Any) -> float:
    return datetime.fromisoformat(line["at"]).timestamp()
