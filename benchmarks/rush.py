"""Many calls in one second at a relay that has room for half of them: what the served wait for, and what the others.

python -m benchmarks.rush        prints the table and writes it into benchmarks/RUSH.md

The relay is a process on a core of its own; callers, models and table share the other. The webhook's own code answers
there too, one question after the other, so an answer counts as the 99th percentile of what it takes alone: in AWS each
call has a function for itself.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import os
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
from picows import WSError, ws_connect
from twilio.request_validator import RequestValidator

from benchmarks import report
from benchmarks.account import ACCOUNT_SID, AUTH_TOKEN
from benchmarks.aws import Aws
from benchmarks.caller import Caller
from benchmarks.load import Load
from benchmarks.measure import environ
from benchmarks.stamps import percentile
from benchmarks.subjects import CORES, ROOT, Subject, free_port
from functions.voice_webhook import handler

CALLS, ROOM, SECONDS = 200, 100, 1.0
WITHIN = 3.0  # in which every caller hears the agent, a person's line or a sentence
PAGE = ROOT / "benchmarks" / "RUSH.md"
WEBHOOK = "https://voice.example.com"

Ask = Callable[[str, str], ET.Element]  # a URL and a CallSid


@dataclass(slots=True)
class Outcome:
    """Seconds from ringing to what the caller heard first, by what that was."""

    agent: list[float] = field(default_factory=list)
    person: list[float] = field(default_factory=list)
    sentence: list[float] = field(default_factory=list)
    nothing: int = 0

    def table(self) -> str:
        rows = {"the agent": self.agent, "a person's line": self.person, "a sentence": self.sentence}
        lines = ["| heard first | calls | p50 s | p99 s | worst s |", "|---|---|---|---|---|"]
        for name, waits in rows.items():
            if waits:
                shown = (percentile(waits, 0.5), percentile(waits, 0.99), max(waits))
                lines.append(f"| {name} | {len(waits)} | " + " | ".join(f"{value:.2f}" for value in shown) + " |")
        return "\n".join([*lines, f"| nothing | {self.nothing} | | | |"])

    @property
    def met(self) -> bool:
        waits = [*self.agent, *self.person, *self.sentence]
        return not self.nothing and len(waits) == CALLS and len(self.agent) == ROOM and max(waits) <= WITHIN


async def rush() -> Outcome:
    """Let them all call."""
    aws = Aws({"twilio": f'{{"current":"{AUTH_TOKEN}"}}', "openai": "sk-local"})
    load, port, outcome = Load(aws.items), free_port(), Outcome()
    told = environ(await load.listen(), await aws.listen(), port) | {"MAX_CALLS": str(ROOM)}
    with tempfile.TemporaryDirectory() as directory:
        async with Subject("relay", told, Path(directory) / "log"):
            ask = _webhook(told, f"ws://127.0.0.1:{port}")
            offered, asking = {}, []
            for call_sid in (f"CA{number:032x}" for number in range(CALLS)):
                began = time.perf_counter()
                offered[call_sid] = await asyncio.to_thread(ask, f"{WEBHOOK}/voice/incoming", call_sid)
                asking.append(time.perf_counter() - began)
            answer = percentile(asking[10:], 0.99)
            load.speak()
            calls = (_Call(call_sid, ask, answer, load, outcome) for call_sid in offered)
            arrivals = enumerate(zip(calls, offered.values(), strict=True))
            await asyncio.gather(*(call.ring(number, document) for number, (call, document) in arrivals))
            load.hang_up()
    return outcome


def _webhook(told: dict[str, str], media_origin: str) -> Ask:
    """The function itself, asked as Twilio asks."""
    made = {"region_name": "us-east-1", "endpoint_url": told["AWS_ENDPOINT_URL"]}
    made |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    client: Any = partial(boto3.client, **made)
    own = {"PUBLIC_WEBHOOK_ORIGIN": WEBHOOK, "PUBLIC_MEDIA_ORIGIN": media_origin}
    handle = handler.build(
        {**told, **own},
        dynamodb=client("dynamodb"),
        secrets=client("secretsmanager"),
        sqs=client("sqs"),
        stream=io.StringIO(),
    )
    sign = RequestValidator(AUTH_TOKEN).compute_signature

    def ask(url: str, call_sid: str) -> ET.Element:
        form = {"CallSid": call_sid, "AccountSid": ACCOUNT_SID, "From": "+15550100001", "To": "+15550100000"}
        form["CallStatus"] = "in-progress"
        parts = urlsplit(url)
        event = {
            "version": "2.0",
            "rawPath": parts.path,
            "rawQueryString": parts.query,
            "headers": {"x-twilio-signature": sign(url, form)},
            "requestContext": {"http": {"method": "POST", "path": parts.path}, "stage": "$default"},
            "body": urlencode(form),
        }
        return ET.fromstring(handle(event, None)["body"])

    return ask


@dataclass(slots=True)
class _Call:
    """One caller. `answer`: seconds that the webhook takes for an answer."""

    call_sid: str
    ask: Ask
    answer: float
    load: Load
    outcome: Outcome
    waited: float = 0.0

    async def ring(self, number: int, document: ET.Element) -> None:
        await asyncio.sleep(number * SECONDS / CALLS)
        self.waited = self.answer  # to the first question, which has been asked before
        while (stream := document.find("Connect/Stream")) is not None:
            began = time.perf_counter()
            caller = await _stream(stream.attrib["url"], self.call_sid, self.load)
            if caller is not None:
                await _first_audio(caller, began)
                self._heard(None if caller.started_us else self.outcome.agent, time.perf_counter() - began)
                return
            self.waited += time.perf_counter() - began + self.answer
            action = document.find("Connect").attrib["action"]  # type: ignore[union-attr] # its stream was found
            document = await asyncio.to_thread(self.ask, action, self.call_sid)
        dialled = document.find("Dial") is not None
        self._heard(self.outcome.person if dialled else self.outcome.sentence if len(document) else None)

    def _heard(self, what: list[float] | None, seconds: float = 0.0) -> None:
        if what is None:
            self.outcome.nothing += 1
        else:
            what.append(self.waited + seconds)


async def _stream(url: str, call_sid: str, load: Load) -> Caller | None:
    """The caller at the relay; None: refused."""
    caller = Caller(call_sid, load.readings, load.models)
    signature = base64.b64encode(hmac.digest(AUTH_TOKEN.encode(), url.encode(), hashlib.sha1)).decode()
    try:
        await ws_connect(lambda: caller, url, extra_headers={"X-Twilio-Signature": signature})
    except (OSError, WSError):
        return None
    load.join(caller)
    return caller


async def _first_audio(caller: Caller, began: float) -> None:
    """Wait until the caller has heard the model, which sets `started_us` back, or for too long."""
    while caller.started_us and time.perf_counter() - began < 2 * WITHIN:  # noqa: ASYNC110 - its marks are the load's
        await asyncio.sleep(0.005)


def main() -> int:
    """Returns the exit status: 1 if somebody waited longer, heard nothing, or places stayed empty."""
    about = report.machine()
    os.sched_setaffinity(0, CORES[1:] or CORES)
    outcome = asyncio.run(rush())
    verdict = "met" if outcome.met else "not met"
    target = f"All {CALLS} hear something within {WITHIN:g} s, {ROOM} of them the agent: {verdict}."
    machine = ", ".join(f"{name} {value}" for name, value in about.items())
    page = f"# {CALLS} calls in {SECONDS:g} s at a relay with room for {ROOM}\n\n{outcome.table()}\n\n{target}\n"
    sys.stdout.write(page)
    PAGE.write_text(f"{page}\nWritten by `python -m benchmarks.rush` ({machine}).\n", encoding="utf-8")
    return 0 if outcome.met else 1


if __name__ == "__main__":
    sys.exit(main())
