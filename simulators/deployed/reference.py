"""`python -m simulators cli-reference`: writes docs/reference/cli.md, by running each command against a deployed stack.

What stands there was printed by the commands; only what differs from machine to machine is left out.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from simulators import demo, scenarios
from simulators.deployed import emulator
from simulators.deployed.deployment import Deployment, deployment
from simulators.event_log import EventLog
from simulators.model.listening import ListeningMind
from simulators.report.timeline import LiveTimeline
from simulators.settings import ROOT

PAGE = ROOT / "docs" / "reference" / "cli.md"
NUMBER = "+15550100000"
_PREAMBLE = """\
# The command line

Written by the commands themselves: `python -m simulators cli-reference` runs each of them against a stack that is
deployed into an emulator, with stand-ins for Twilio and OpenAI. stdout carries what a command found, stderr what it has
to say besides; every command knows `--stage` (or `PATCHTHROUGH_STAGE`) and `--json`, and its exit status is 0 (done), 1
(an error: what, why, fix), 2 (wrong usage) or 130 (interrupted).
"""
BEFORE = (
    ("What is missing", ("doctor",)),
    ("Keys: what `make deploy` asks first", ("secrets check",)),
)
KEYED = (("The same once `secrets set` was answered", ("secrets check",)),)
DEPLOYED = (
    ("Numbers", ("number list", f"number attach {NUMBER}", "number list")),
    ("Everything in place", ("doctor", "status")),
)
CALLED = (
    ("Calls", ("calls list", "calls show {call_sid}")),
    ("Cost", ("cost --calls 1000 --minutes 3 --transferred 0.3 --transfer-minutes 5",)),
    ("The agent file", ("config validate", "config push", "config pull")),
    ("A new default person", ("number refresh",)),
    ("What is refused", ("number attach 555", "calls show 12", "secrets delete --yes", "doctor --stage nowhere")),
    ("Back as it was", (f"number detach {NUMBER}", "number list --json", "config forget --yes")),
)


@dataclass(frozen=True, slots=True)
class _Commands:
    """Runs commands as an operator of the deployment would, and keeps what they print."""

    made: Deployment
    printed: list[str]

    async def run(self, chapters: tuple[tuple[str, tuple[str, ...]], ...], **values: str) -> None:
        for title, commands in chapters:
            self.printed.append(f"## {title}\n")
            for command in commands:
                await self._run(command.format(**values))

    async def _run(self, command: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", *shlex.split(command)),
            cwd=ROOT,
            env=self._environ(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        ending = f"\n(exit status {process.returncode})" if process.returncode else ""
        text = said.decode().replace(f"{ROOT}/", "").rstrip()
        shown = "\n".join(line.rstrip() for line in text.splitlines())
        self.printed.append(f"```\n$ ./patchthrough {command}\n{shown}{ending}\n```\n")

    def _environ(self) -> dict[str, str]:
        made = self.made
        public = {urlsplit(url) for url in made.outputs.values() if "://" in url}
        behind = {url.netloc: made.carrier.fronts.behind.get(url.hostname or "") for url in public}
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            **made.emulator.environ(),
            "TWILIO_API_BASE_URL": made.carrier.api_base_url,
            "OPENAI_REALTIME_URL": made.model.url,
            "PATCHTHROUGH_CONNECT_TO": " ".join(
                f"{place}=http://{there[0]}:{there[1]}" for place, there in behind.items() if there
            ),
        }


@asynccontextmanager
async def _cloud() -> AsyncIterator[emulator.Emulator]:
    build = ROOT / ".build"
    build.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="reference-", dir=build))
    try:
        cloud = await emulator.start(folder)
        try:
            yield cloud
        finally:
            await cloud.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def write(page: Path = PAGE) -> int:
    """Deploy, run every command, play a call between them, destroy, and write the page; returns 0.

    Raises:
        StackError: something cannot be started, deployed or destroyed.
    """
    log = EventLog(lambda _event: None)
    async with _cloud() as cloud, deployment(cloud, log, mind=ListeningMind) as made:
        commands = _Commands(made, [_PREAMBLE])
        made.carrier.numbers.add(NUMBER)
        await commands.run(BEFORE)
        await made.prepare()
        await commands.run(KEYED)
        await made.deploy()
        await made.start_task()
        await commands.run(DEPLOYED)
        scenario = scenarios.load("billing")
        call = demo.place(made.carrier, made.outputs["PublicWebhookOrigin"], scenario, made.settings.agent)
        with LiveTimeline() as timeline:
            run = await demo.play(call, scenario, log, timeline, made.ledger())
        await commands.run(CALLED, call_sid=run.call_sid)
        await made.destroy()
        text = "\n".join(commands.printed)
        leaked = [one for one in made.keys.canaries if one in text]
        assert not leaked, "a command printed a secret"
        await asyncio.to_thread(page.write_text, _plain(text, made), encoding="utf-8")
    return 0


def _plain(text: str, made: Deployment) -> str:
    """Without what differs from run to run and says nothing: ports of this machine, the account's made-up SID."""
    text = text.replace(made.keys.account_sid, "AC…").replace(made.keys.api_key_sid, "SK…")
    return re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:PORT", text)


def commands() -> list[str]:
    """Every command that the page shows, as typed."""
    return [one for chapters in (BEFORE, KEYED, DEPLOYED, CALLED) for _, shown in chapters for one in shown]
