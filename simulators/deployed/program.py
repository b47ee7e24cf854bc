"""`python -m simulators deploy-local`: deploy into the emulator, play a call, deploy a change, play another, destroy.

The calls are scenarios, each with the agent file it wants, so that between two of them an update is deployed.

Steps are told as they end; the last line is what truly happened in the last call. Whatever fails, one line says what,
why and what to do, and nothing is left running.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from contracts.row import MalformedRow
from simulators import demo, scenarios
from simulators.deployed import emulator
from simulators.deployed.cdk import Cdk
from simulators.deployed.deployment import STAGE, Deployment, assembly, deployment, leftovers
from simulators.deployed.emulator import Emulator
from simulators.event_log import Event, EventLog
from simulators.report import page, story
from simulators.report.timeline import LiveTimeline
from simulators.scenarios import Scenario
from simulators.settings import ROOT, StackError

FIRST_CALL = "billing"
CALL_AFTER_UPDATE = "press-zero"  # it finds another agent than the first
GREETING = "Welcome to Northwind Energy. How can I help you today?"
MAX_CALL_MINUTES = 20
# It changes what the functions hold and what the task is told.
ANOTHER_AGENT: Mapping[str, Any] = {"greeting": GREETING, "limits": {"max_call_minutes": MAX_CALL_MINUTES}}
_BUILD = ROOT / ".build"
_KEPT = _BUILD / "deployed"
_STATE = _KEPT / "emulator.json"
_Result = TypeVar("_Result")


def deploy_local(names: Sequence[str], *, keep: bool) -> int:
    """Run the whole of it; 0 only if all calls ended as they should. `keep` leaves the emulator and its stack running.

    Args:
        names: the scenarios to play; none: two calls, with an update between them.
        keep: whether the stack is left running at the end, for `destroy_local`.

    Raises:
        StackError: there is no such scenario, or something cannot be started, deployed or destroyed.
    """
    calls = calls_of(names)
    if _STATE.exists():
        raise StackError("deploy-local", "a deployment was kept and still runs", "run 'make destroy-local' first")
    _BUILD.mkdir(exist_ok=True)
    shutil.rmtree(_KEPT, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="deployed-", dir=_BUILD))
    if keep:
        folder = folder.rename(_KEPT)
    try:
        return asyncio.run(_until_told(_deploy_local(folder, calls, keep=keep)))
    finally:
        if not _STATE.exists():
            shutil.rmtree(folder, ignore_errors=True)


def destroy_local() -> int:
    """Destroy what `deploy_local` kept, and end its emulator.

    Raises:
        StackError: the stack cannot be destroyed.
    """
    if not _STATE.exists():
        _say("nothing was kept")
        return 0
    state = json.loads(_STATE.read_text(encoding="utf-8"))
    cloud = Emulator(pid=state["pid"], port=state["port"], folder=_KEPT)
    try:
        return asyncio.run(_until_told(_destroy_local(cloud, Path(state["agent_file"]))))
    finally:
        shutil.rmtree(_KEPT, ignore_errors=True)


async def _until_told(work: Coroutine[Any, Any, int]) -> int:
    """The work, cancelled by SIGTERM (asyncio itself does so for Ctrl-C); returns an exit status.

    Raises:
        StackError: it failed.
    """
    task = asyncio.create_task(work)
    told = asyncio.Event()

    def stop() -> None:
        told.set()
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not told.is_set():
            raise
        return 128 + signal.SIGTERM
    except TimeoutError as error:
        raise StackError(
            "a call", "had not ended when it should long have", "run it again, with less beside it"
        ) from error
    except (BotoCoreError, ClientError, MalformedRow) as error:
        raise StackError("AWS", " ".join(str(error).split()), "run it again, and change no file meanwhile") from error


async def _deploy_local(folder: Path, calls: Mapping[str, Scenario], *, keep: bool) -> int:
    cloud = await _step("MiniStack", emulator.start(folder))
    try:
        async with _Stage.beside(cloud) as stage:
            ended = [await stage.play(name, scenario) for name, scenario in calls.items()]
            if not keep:
                await _step("cdk destroy; nothing is left", stage.made.destroy())
    except BaseException:
        await cloud.stop()
        raise
    if keep:
        state = {"pid": cloud.pid, "port": cloud.port, "agent_file": str(stage.made.agent_file)}
        _STATE.write_text(json.dumps(state), encoding="utf-8")
        told = " ".join(f"{name}={value}" for name, value in cloud.environ().items())
        _say(f"kept; look at it with: {told} ./patchthrough status --stage {STAGE}; end it with 'make destroy-local'")
    else:
        await cloud.stop()
    for sentence, _ in ended:
        _say(sentence)
    return 1 if any(complaints for _, complaints in ended) else 0


async def _destroy_local(cloud: Emulator, agent_file: Path) -> int:
    try:
        if cloud.runs:
            cdk = Cdk(environ=cloud.environ(), folder=cloud.folder)
            await _step("cdk destroy", cdk.destroy(assembly(_KEPT, agent_file)))
            left = await asyncio.to_thread(leftovers, cloud)
            if left:
                raise StackError(
                    "cdk destroy", f"left {', '.join(left)}", "see the stack's resources for what kept them"
                )
    finally:
        await cloud.stop()
    _say("nothing is left")
    return 0


class _Stage:
    """Where calls are played: a deployment, one log, and for each call a timeline of its own."""

    def __init__(self) -> None:
        self.log = EventLog(self._event)
        self.made: Deployment
        self._timeline = LiveTimeline()
        self._loop = asyncio.get_running_loop()

    @classmethod
    @asynccontextmanager
    async def beside(cls, cloud: Emulator) -> AsyncIterator[_Stage]:
        """A stage with everybody around a stack that is to be deployed in `cloud`."""
        stage = cls()
        async with deployment(cloud, stage.log, mind=lambda: demo.ToldMind(stage._tell)) as stage.made:
            yield stage

    def _event(self, event: Event) -> None:
        self._timeline.event(event)

    def _tell(self, who: str, text: str) -> None:
        self._loop.call_soon_threadsafe(self._timeline.said, who, text, time.time())

    async def play(self, name: str, scenario: Scenario) -> tuple[str, list[str]]:
        """Deploy the agent file that a scenario wants and play it; returns what happened, and what it lacks."""
        wanted = demo.agent_file(ROOT / self.made.settings.agent_file, scenario, self.made.cdk.folder / f"{name}.yaml")
        if not self.made.outputs:
            await self._deploy(wanted)
        elif wanted.read_bytes() != self.made.agent_file.read_bytes():
            await self._update(wanted)
        _say(f"▸ call: {scenario.title}")
        with LiveTimeline() as self._timeline:
            origin = self.made.outputs["PublicWebhookOrigin"]
            call = demo.place(self.made.carrier, origin, scenario, self.made.settings.agent)
            run = await demo.play(call, scenario, self.log, self._timeline, self.made.ledger())
        folder = Path("runs") / run.call_sid
        page.write(folder, run)
        return story.sentence(run.events), demo.conclude(run, scenario, folder)

    async def _deploy(self, wanted: Path) -> None:
        self.made.agent_file = wanted
        await _step("cdk bootstrap, patchthrough secrets set, cdk synth", self.made.prepare())
        await _step("cdk deploy", self.made.deploy())
        for name, value in self.made.outputs.items():
            _say(f"    {name:<20} {value}")
        await _step("a task of the relay, as its definition says", self.made.start_task())

    async def _update(self, wanted: Path) -> None:
        old = self.made.tasks.current
        await _step("cdk synth with another agent file", self.made.synth(wanted))
        await _step("cdk deploy, an update", self.made.deploy(wanted))
        await _step("a task with that file", self.made.start_task())
        await _step("the old one leaves", old.stop())


def calls_of(names: Sequence[str]) -> dict[str, Scenario]:
    """The scenarios to play; without a name two, of which the second finds another agent deployed.

    Raises:
        StackError: there is none of that name.
    """
    if names:
        asked = {name: scenarios.load(name) for name in names}
        if broken := [name for name, scenario in asked.items() if scenario.faults]:
            raise StackError(f"scenario {broken[0]!r}", "breaks the local stack", "play it with `make demo`")
        return asked
    second = scenarios.load(CALL_AFTER_UPDATE).model_copy(update={"agent": ANOTHER_AGENT})
    return {FIRST_CALL: scenarios.load(FIRST_CALL), CALL_AFTER_UPDATE: second}


async def _step(what: str, work: Awaitable[_Result]) -> _Result:
    began = time.monotonic()
    result = await work
    _say(f"▸ {what} ({time.monotonic() - began:.1f} s)")
    return result


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the program's output
