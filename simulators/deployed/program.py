"""`python -m simulators deploy-local`: deploy into the emulator, play a call, deploy a change, play another, destroy.

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
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from contracts.row import MalformedRow
from simulators import demo, scenarios
from simulators.deployed import emulator
from simulators.deployed.cdk import Cdk
from simulators.deployed.deployment import STAGE, Deployment, assembly, deployment, leftovers
from simulators.deployed.emulator import Emulator
from simulators.deployed.tasks import Task
from simulators.event_log import Event, EventLog
from simulators.report import page, story
from simulators.report.timeline import LiveTimeline
from simulators.settings import ROOT, StackError

FIRST_CALL = "billing"
CALL_AFTER_UPDATE = "press-zero"
GREETING = "Welcome to Northwind Energy. How can I help you today?"
MAX_CALL_MINUTES = 20
_CHANGED = "another-agent.yaml"
_BUILD = ROOT / ".build"
_KEPT = _BUILD / "deployed"
_STATE = _KEPT / "emulator.json"
_Result = TypeVar("_Result")


def deploy_local(*, keep: bool) -> int:
    """Run the whole of it; 0 only if both calls ended as they should. `keep` leaves the emulator and its stack running.

    Raises:
        StackError: something cannot be started, deployed or destroyed.
    """
    if _STATE.exists():
        raise StackError("deploy-local", "a deployment was kept and still runs", "run 'make destroy-local' first")
    _BUILD.mkdir(exist_ok=True)
    shutil.rmtree(_KEPT, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="deployed-", dir=_BUILD))
    if keep:
        folder = folder.rename(_KEPT)
    try:
        return asyncio.run(_until_told(_deploy_local(folder, keep=keep)))
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
        return asyncio.run(_until_told(_destroy_local(cloud)))
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


async def _deploy_local(folder: Path, *, keep: bool) -> int:
    cloud = await _step("MiniStack", emulator.start(folder))
    try:
        status, sentence = await _perform(cloud, keep=keep)
    except BaseException:
        await cloud.stop()
        raise
    if keep:
        _STATE.write_text(json.dumps({"pid": cloud.pid, "port": cloud.port}), encoding="utf-8")
        told = " ".join(f"{name}={value}" for name, value in cloud.environ().items())
        _say(f"kept; look at it with: {told} ./patchthrough status --stage {STAGE}; end it with 'make destroy-local'")
    else:
        await cloud.stop()
    _say(sentence)
    return status


async def _destroy_local(cloud: Emulator) -> int:
    try:
        if cloud.runs:
            cdk = Cdk(environ=cloud.environ(), folder=cloud.folder)
            await _step("cdk destroy", cdk.destroy(assembly(_KEPT, _KEPT / _CHANGED)))
            left = await asyncio.to_thread(leftovers, cloud)
            if left:
                raise StackError(
                    "cdk destroy", f"left {', '.join(left)}", "see the stack's resources for what kept them"
                )
    finally:
        await cloud.stop()
    _say("nothing is left")
    return 0


async def _perform(cloud: Emulator, *, keep: bool) -> tuple[int, str]:
    """Deploy, call, deploy a change, call, destroy; returns the exit status and what happened in the last call."""
    stage = _Stage()
    async with deployment(cloud, stage.log, mind=stage.mind) as made:
        await _step("cdk bootstrap, patchthrough secrets set, cdk synth", made.prepare())
        await _step("cdk deploy", made.deploy())
        for name, value in made.outputs.items():
            _say(f"    {name:<20} {value}")
        first = await _step("a task of the relay, as its definition says", made.start_task())
        complaints, sentence = await stage.call(made, FIRST_CALL)
        _say(sentence)
        changed = another_agent(made.agent_file, cloud.folder)
        await _step("cdk synth with another agent file", made.synth(changed))
        await _step("cdk deploy, an update", made.deploy(changed))
        await _step("a task of the new definition; the old one leaves", _replace(made, first))
        more, sentence = await stage.call(made, CALL_AFTER_UPDATE)
        if not keep:
            await _step("cdk destroy; nothing is left", made.destroy())
    return (1 if complaints or more else 0), sentence


async def _replace(made: Deployment, old: Task) -> None:
    new = await made.start_task()
    if new.definition.arn == old.definition.arn:
        raise StackError("cdk deploy", "the update left the task definition as it was", "see cdk-deploy.log")
    await old.stop()


class _Stage:
    """Where calls are played: one log, and for each call a timeline of its own."""

    def __init__(self) -> None:
        self.log = EventLog(self._event)
        self._timeline = LiveTimeline()
        self._loop = asyncio.get_running_loop()

    def mind(self) -> demo.ToldMind:
        """A mind that listens, and tells on the timeline."""
        return demo.ToldMind(self._tell)

    def _event(self, event: Event) -> None:
        self._timeline.event(event)

    def _tell(self, who: str, text: str) -> None:
        self._loop.call_soon_threadsafe(self._timeline.said, who, text, time.time())

    async def call(self, made: Deployment, name: str) -> tuple[list[str], str]:
        """Play a scenario; returns what it lacks, and what happened."""
        scenario = scenarios.load(name)
        _say(f"▸ call: {scenario.title}")
        with LiveTimeline() as self._timeline:
            call = demo.place(made.carrier, made.outputs["PublicWebhookOrigin"], scenario, made.settings.agent)
            run = await demo.play(call, scenario, self.log, self._timeline, made.ledger())
        folder = Path("runs") / run.call_sid
        page.write(folder, run)
        return demo.conclude(run, scenario, folder), story.sentence(run.events)


def another_agent(path: Path, folder: Path) -> Path:
    """An agent file that changes what the functions hold and what the task is told: another greeting, shorter calls."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["greeting"] = GREETING
    content["limits"]["max_call_minutes"] = MAX_CALL_MINUTES
    changed = folder / _CHANGED
    changed.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return changed


async def _step(what: str, work: Awaitable[_Result]) -> _Result:
    began = time.monotonic()
    result = await work
    _say(f"▸ {what} ({time.monotonic() - began:.1f} s)")
    return result


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the program's output
