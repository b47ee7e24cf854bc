"""The stack, deployed once for all tests of this folder, and what they do with it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from contracts.events import Event
from simulators import audio, demo
from simulators.carrier import Call, Callee, Line, Number
from simulators.deployed import Deployment, deployment, emulator
from simulators.deployed.program import ANOTHER_AGENT
from simulators.deployed.tasks import Task
from simulators.event_log import EventLog
from simulators.model import Occasion, Say, ScriptedMind, Turn
from simulators.scenarios import Scenario

CALLED = "+15550100000"
CALLER = "+15550109999"
BUSY = "+15550100011"
SALES = "+15550100012"
PERSON = audio.tone([440], 800)
SENTENCE = audio.tone([330], 400)
GREETS = [Turn((Say("Thank you for calling, how can I help you today?"),), on=Occasion.GREETING)]
GUARD = 40.0
# Another agent, and another way to a person behind each key.
UPDATE = Scenario(
    title="The update",
    caller=(),
    expect=(),
    agent={
        **ANOTHER_AGENT,
        "destinations": {
            "billing": {"mode": "screened", "key": "1"},
            "support": {"mode": "attended", "key": "2"},
            "sales": {
                "name": "Sales",
                "description": "New contracts.",
                "key": "3",
                "targets": [{"phone": BUSY}, {"phone": SALES}],
            },
        },
    },
)


@dataclass(frozen=True, kw_only=True)
class World:
    """A deployed stack with at least one task, its carrier's people, and every event that was logged.

    `update` is under way from the start: the assembly made from the agent file `changed`.
    """

    made: Deployment
    log: EventLog
    changed: Path
    update: asyncio.Task[None]

    def call(self, caller: Callable[[Line], Awaitable[None]]) -> Call:
        """Somebody calls."""
        return self.made.carrier.place_call(from_=CALLER, to=CALLED, caller=caller, patience=GUARD)

    async def event(self, call_sid: str, event: Event, **fields: object) -> Mapping[str, Any]:
        """The first such event of a call, past or coming."""
        wanted = {"event": event.name, "call_sid": call_sid, **fields}
        found = await self.log.first(lambda line: wanted.items() <= line.items(), GUARD)
        assert found, f"{wanted} never came; there were {self.events(call_sid)}"
        return found

    def events(self, call_sid: str) -> list[str]:
        """The names of a call's events, in the order in which they came."""
        return [line["event"] for line in self.log.events if line["call_sid"] == call_sid]

    async def ended(self, call: Call) -> None:
        """A call is over, and all parts know."""
        async with asyncio.timeout(GUARD):
            await call.ended

    async def ask(self, question: str, **fields: str) -> str:
        """Ask the webhook as Twilio does; returns the TwiML."""
        origin = self.made.outputs["PublicWebhookOrigin"]
        answer = await self.made.carrier.exchange.webhooks.ask(f"{origin}/voice/{question}", self.form(**fields))
        return answer.body.decode()

    def form(self, **fields: str) -> dict[str, str]:
        """An incoming call's form."""
        sid = self.made.carrier.account_sid
        common = {"AccountSid": sid, "ApiVersion": "2010-04-01", "CallStatus": "ringing", "Direction": "inbound"}
        return {**common, "From": CALLER, "To": CALLED, **fields}

    async def replace_task(self) -> Task:
        """A second task takes new sockets; returns the first, which still runs."""
        old = self.made.tasks.current
        await self.made.start_task()
        return old


async def to_a_person(line: Line, key: str = "0") -> None:
    """Press a key while the agent greets, speak with the person, hang up."""
    await line.hears(300)
    await ask_for_a_person(line, key)


async def ask_for_a_person(line: Line, key: str = "0") -> None:
    """Press a key, speak with the person, hang up."""
    await line.press(key)
    await line.connected_to_person()
    await line.hears(400)
    await line.hang_up()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    log = EventLog()
    folder = tmp_path_factory.mktemp("deployed")
    cloud = await emulator.start(folder)
    try:
        speak = lambda _text, _voice: SENTENCE  # noqa: E731 - what is said is heard in the demonstrations
        async with deployment(cloud, log, mind=lambda: ScriptedMind(GREETS), speak=speak) as made:
            await made.prepare()
            await made.deploy()
            await made.start_task()
            made.carrier.numbers[CALLED] = Number(
                voice_url=made.outputs["VoiceWebhookUrl"], status_callback=made.outputs["CallStatusUrl"]
            )
            for destination in made.settings.agent.destinations.values():
                made.carrier.callees[destination.number] = Callee(after=0.2, says=PERSON)
            changed = demo.agent_file(made.agent_file, UPDATE, cloud.folder / "another-agent.yaml")
            update = asyncio.create_task(made.synth(changed))
            yield World(made=made, log=log, changed=changed, update=update)
            update.cancel()
            await asyncio.wait({update})
    finally:
        await cloud.stop()
    assert not cloud.runs
    shutil.rmtree(folder)  # some hundred megabytes


def texts(folder: Path) -> dict[str, str]:
    """Every file below a folder, decoded as far as it is text."""
    return {str(path): path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file()}
