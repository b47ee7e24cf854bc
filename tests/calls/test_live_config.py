"""Issue 4, acceptance 7: a file pushed while people talk, by the command, through AppConfig, into real parts."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts import events
from functions import live_config
from infra.validator import validator
from simulators.carrier import Call, Callee, Line, Number
from simulators.cloud.app_config import AppConfig
from simulators.cloud.emulator import Emulator
from simulators.event_log import EventLog
from simulators.model import Occasion, Prompt, Say, ScriptedMind, Turn
from simulators.settings import ROOT, Settings
from simulators.stack import LocalStack, local_stack
from tests.cli.cloud import Cloud
from tests.cli.operating import Ran

OURS = "+15550100000"
FIRST, SECOND, THIRD, BUSY = (f"+1555010001{digit}" for digit in range(4))
LIVE, RETURNING = 20, 4
APPLICATION, ENVIRONMENT, PROFILE = AppConfig.IDS
OUTPUTS = {
    "ConfigApplication": APPLICATION,
    "ConfigEnvironment": ENVIRONMENT,
    "ConfigProfile": PROFILE,
    "ConfigStrategy": AppConfig.STRATEGY,
    "MaxCallMinutes": "30",
}


def edition(reception: str, **changes: Any) -> dict[str, Any]:
    """The repository's agent file with another reception, which its persona names as well."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "agent.yaml").read_text(encoding="utf-8"))
    content["persona"] += f"Reception answers at {reception}.\n"
    content["destinations"]["reception"]["number"] = reception
    content["destinations"]["billing"] |= {"number": BUSY, "key": "2"}
    return content | changes


class Greeter(ScriptedMind):
    """Greets, and notes which persona it was given; `log` is told, for whoever waits for that."""

    def __init__(self, personas: list[str], log: EventLog) -> None:
        super().__init__([Turn((Say("How can I help?"),), on=Occasion.GREETING)])
        self._personas, self._log = personas, log

    def answer(self, prompt: Prompt) -> Turn:
        if prompt.occasion is Occasion.GREETING:
            self._personas.append(next(one for one in (FIRST, SECOND, THIRD) if one in prompt.session_instructions))
            self._log({"event": "greeted", "part": "model"})
        return super().answer(prompt)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[AppConfig, Cloud]]:
    """AppConfig with the first edition in force, and an operator of the stage that reads it."""
    emulator, appconfig = Emulator(), AppConfig(schema=json.loads(validator()), next_poll=1)
    operator = Cloud(emulator.start(), monkeypatch, capsys)
    operator.deploy(OUTPUTS)
    appconfig.publish(json.dumps(edition(FIRST)))
    url = appconfig.start()
    monkeypatch.setattr(live_config, "WAIT_SECONDS", 30.0)  # a second is for callers, not for a busy machine
    for name in ("AWS_ENDPOINT_URL_APPCONFIG", "AWS_ENDPOINT_URL_APPCONFIGDATA"):
        monkeypatch.setenv(name, url)
    yield appconfig, operator
    appconfig.stop()
    emulator.stop()


class Town:
    """Those who call, and those who are rung. `lines` is what the parts log, `personas` what the model is told."""

    def __init__(self, stack: LocalStack, log: EventLog, personas: list[str]) -> None:
        assert stack.carrier, "no other carrier is named"
        self.carrier, self.log, self.personas = stack.carrier, log, personas
        self.carrier.numbers[OURS] = Number(
            f"{stack.webhook}/voice/incoming", None, f"{stack.webhook}/voice/call-status"
        )
        for number in (FIRST, SECOND, THIRD):
            self.carrier.callees[number] = Callee(after=0.1, hangs_up_after=0.2)
        self.carrier.callees[BUSY] = Callee("busy", after=0.1)
        self.pushed = asyncio.Event()
        self.callers = 0

    def call(self, caller: Callable[[Line], Awaitable[None]]) -> Call:
        self.callers += 1
        return self.carrier.place_call(from_=f"+15550109{self.callers:03d}", to=OURS, caller=caller, patience=40)

    async def zero(self, line: Line) -> None:
        """Asks for reception as soon as somebody speaks, but not before the push."""
        await line.hears(200)
        await self.pushed.wait()
        await line.press("0")
        await line.until(lambda: False)

    async def two_then_zero(self, line: Line) -> None:
        """Tries billing, which is busy, and asks the agent that comes back for reception."""
        await line.hears(200)
        await self.pushed.wait()
        await line.press("2")
        await line.until(lambda: self.personas.count(FIRST) >= LIVE + RETURNING)
        await line.press("0")
        await line.until(lambda: False)

    def rung(self, call: Call) -> list[str]:
        """Whom the call rang, in order."""
        return [leg.resource.to for leg in call.legs]

    async def another(self) -> str:
        """The reception that a new call reaches."""
        call = self.call(self.zero)
        await call.ended
        return self.rung(call)[-1]

    async def logged(self, event: events.Event, part: events.Part, count: int = 1) -> list[Mapping[str, Any]]:
        def found() -> list[Mapping[str, Any]]:
            return [one for one in self.log.events if (one["event"], one["part"]) == (event.name, part.value)]

        assert await self.log.first(lambda _: len(found()) >= count, 20), (event.name, self.log.events[-20:])
        return found()


@pytest.mark.timeout(90)
async def test_a_file_pushed_during_20_live_calls_is_for_the_next_call_alone_and_a_bad_one_for_nobody(
    service: tuple[AppConfig, Cloud], tmp_path: Path
) -> None:
    (appconfig, operator), personas, log = service, list[str](), EventLog()
    path = tmp_path / "agent.yaml"

    async def push(content: Mapping[str, Any]) -> Ran:
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return await asyncio.to_thread(operator.run, "config", "push", str(path))

    settings = Settings(
        webhook_port=0,
        relay_port=0,
        aws_endpoint_url=os.environ["AWS_ENDPOINT_URL"],
        live_config="patchthrough-dev/live/agent",
        drain_seconds=1,
    )
    async with local_stack(settings, os.environ, log, mind=lambda: Greeter(personas, log)) as stack:
        town = Town(stack, log, personas)
        callers = [town.two_then_zero] * RETURNING + [town.zero] * (LIVE - RETURNING)
        live = [town.call(caller) for caller in callers]
        assert await log.first(lambda _: len(personas) >= LIVE, 30), "all are with the agent"

        assert (await push(edition(SECOND))).status == 0
        await town.logged(events.CONFIG_LOADED, events.Part.RELAY, 2)
        following = town.call(town.zero)
        assert await log.first(lambda _: len(personas) > LIVE, 30), "the next one is with the agent"
        town.pushed.set()
        await asyncio.gather(*(call.ended for call in [*live, following]))
        assert town.rung(following) == [SECOND]
        assert [town.rung(call) for call in live[:RETURNING]] == [[BUSY, FIRST]] * RETURNING
        assert [town.rung(call) for call in live[RETURNING:]] == [[FIRST]] * (LIVE - RETURNING)
        assert sorted(personas) == [FIRST] * (LIVE + RETURNING) + [SECOND]

        # The command refuses; nothing is published.
        bad = edition(THIRD)
        bad["destinations"]["reception"]["number"] = "0155"
        ran = await push(bad)
        assert ran.status == 1
        assert f"{path}: destinations.reception.number: " in ran.out.replace("\n", " ")
        assert len(appconfig.profile.deployments) == 2
        # By hand, past the command, and such that no schema can tell: every part refuses it.
        appconfig.publish(json.dumps(edition(THIRD, default_destination="nobody")))
        (refused,) = await town.logged(events.CONFIG_REFUSED, events.Part.RELAY)
        assert "default_destination: " in refused["why"]
        assert await town.another() == SECOND
        (refused,) = await town.logged(events.CONFIG_REFUSED, events.Part.WEBHOOK)
        assert "default_destination: 'nobody' is not one of the destinations" in refused["why"]
        # The control: without its mistake the very same file is in force.
        appconfig.publish(json.dumps(edition(THIRD)))
        await town.logged(events.CONFIG_LOADED, events.Part.RELAY, 3)
        assert await town.another() == THIRD
