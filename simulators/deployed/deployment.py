"""One deployment from an empty account to a ringing phone, on this machine.

What decides here: that every part is reached as in the cloud. The carrier asks and signs the public URLs of the stack's
outputs, and only the way there is short (`Fronts`); the functions run where the emulator runs them; the relay is told
what its deployed task definition says. Whoever starts first is stopped last.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from contracts.ledger import Ledger
from infra import settings
from simulators.carrier import Carrier
from simulators.carrier.exchange import speak_with_voices
from simulators.deployed.cdk import Cdk
from simulators.deployed.cloud_logs import Sink, following
from simulators.deployed.emulator import ACCOUNT, REGION, Emulator
from simulators.deployed.tasks import Host, Task, Tasks, definition_of
from simulators.model import Mind, Model
from simulators.settings import ROOT, StackError

STAGE = "dev"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Keys:
    """The secrets of one run: made up for it, so that whatever of them shows up anywhere has leaked."""

    account_sid: str = field(default_factory=lambda: f"AC{secrets.token_hex(16)}")
    auth_token: str = field(default_factory=lambda: secrets.token_hex(16))
    api_key_sid: str = field(default_factory=lambda: f"SK{secrets.token_hex(16)}")
    api_key_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    openai_api_key: str = field(default_factory=lambda: f"sk-proj-{secrets.token_urlsafe(36)}")

    @property
    def canaries(self) -> tuple[str, ...]:
        """What must show up nowhere."""
        return self.auth_token, self.api_key_secret, self.openai_api_key


@dataclass(slots=True, kw_only=True)
class Deployment:
    """A stack and everybody around it. `outputs` are the stack's, and `agent_file` is what it was deployed with."""

    settings: settings.Settings
    emulator: Emulator
    cdk: Cdk
    keys: Keys
    carrier: Carrier
    model: Model
    tasks: Tasks
    agent_file: Path
    outputs: Mapping[str, str] = field(default_factory=dict)

    async def store_keys(self) -> None:
        """Store the secrets as an operator does, with `patchthrough secrets set`, which tries each of them first.

        Raises:
            StackError: it refuses them.
        """
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            **self.emulator.environ(),
            "TWILIO_API_BASE_URL": self.carrier.api_base_url,
            "OPENAI_REALTIME_URL": self.model.url,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "secrets", "set", "--from-stdin", "--stage", self.settings.stage),
            cwd=ROOT,
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate(json.dumps(asdict(self.keys)).encode())
        (self.emulator.folder / "secrets-set.log").write_bytes(said)
        if process.returncode:
            raise StackError("patchthrough secrets set", " ".join(said.decode().split()), "correct what it names")

    async def prepare(self) -> None:
        """Everything that comes before the first deployment: `cdk bootstrap`, the keys, and `cdk synth` beside both.

        Raises:
            StackError: one of them fails.
        """
        beside = asyncio.create_task(self.synth(self.agent_file))
        try:
            await self.cdk.bootstrap(ACCOUNT, REGION)
            await self.store_keys()
            await beside
        finally:
            beside.cancel()
            await asyncio.wait({beside})

    async def synth(self, agent_file: Path) -> None:
        """Make an assembly with this agent file, to be deployed next.

        Raises:
            StackError: it fails.
        """
        context = {"stage": self.settings.stage, "twilio": self.carrier.api_base_url, "agent_file": str(agent_file)}
        await self.cdk.synth(assembly(self.emulator.folder, agent_file), context)

    async def deploy(self, agent_file: Path | None = None) -> None:
        """Deploy what was synthesised from this agent file; the carrier learns where the stack's names are.

        Raises:
            StackError: it fails.
        """
        self.agent_file = agent_file or self.agent_file
        self.outputs = await self.cdk.deploy(assembly(self.emulator.folder, self.agent_file))
        webhook = urlsplit(self.outputs["PublicWebhookOrigin"])
        self.carrier.fronts.behind[webhook.hostname or ""] = "127.0.0.1", self.emulator.port

    async def start_task(self) -> Task:
        """Start a task as its definition is deployed now; from then on CloudFront sends new media sockets there.

        Raises:
            StackError: it does not start.
        """
        ecs, outputs = self.emulator.client("ecs"), self.outputs
        definition = await asyncio.to_thread(definition_of, ecs, outputs["ClusterName"], outputs["ServiceName"])
        host = Host(assume=self.emulator.environ_as, realtime_url=self.model.url, agent_file=self.agent_file)
        task = await self.tasks.start(definition, host)
        media = urlsplit(outputs["PublicMediaOrigin"])
        self.carrier.fronts.behind[media.hostname or ""] = "127.0.0.1", task.port
        return task

    async def destroy(self) -> None:
        """Destroy the stack.

        Raises:
            StackError: it fails, or something of the stack is left.
        """
        await self.cdk.destroy(assembly(self.emulator.folder, self.agent_file))
        left = await asyncio.to_thread(leftovers, self.emulator)
        if left:
            raise StackError("cdk destroy", f"left {', '.join(left)}", "see the stack's resources for what kept them")

    def ledger(self) -> Ledger:
        """The deployed table."""
        return Ledger(self.emulator.client("dynamodb"), self.outputs["LedgerTable"], time.time)


def assembly(folder: Path, agent_file: Path) -> Path:
    """Where templates and assets made from an agent file are."""
    return folder / f"cdk.out-{agent_file.stem}"


def leftovers(cloud: Emulator) -> list[str]:
    """What is left of the stack in the account, by kind and name; what `cdk bootstrap` made does not count."""
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    found = {
        "stack": [stack["StackName"] for stack in stacks if stack["StackName"] != "CDKToolkit"],
        "function": [one["FunctionName"] for one in cloud.client("lambda").list_functions()["Functions"]],
        "queue": cloud.client("sqs").list_queues().get("QueueUrls", []),
        "table": cloud.client("dynamodb").list_tables()["TableNames"],
        "log group": [
            one["logGroupName"]
            for one in cloud.client("logs").describe_log_groups(logGroupNamePrefix="/patchthrough/")["logGroups"]
        ],
        "service": cloud.client("ecs").list_clusters()["clusterArns"],
        "API": [one["Name"] for one in cloud.client("apigatewayv2").get_apis()["Items"]],
    }
    return [f"{kind} {name}" for kind, names in found.items() for name in names]


@asynccontextmanager
async def deployment(
    cloud: Emulator,
    sink: Sink,
    *,
    mind: Callable[[], Mind],
    speak: Callable[[str, str], bytes] = speak_with_voices,
) -> AsyncIterator[Deployment]:
    """The neighbours of a stack in `cloud`, which is to be deployed; at the end of the block none of them is left.

    Args:
        cloud: a running emulator; it is left running, with what is deployed in it.
        sink: takes every logged event, from any thread.
        mind: makes the stand-in model's mind, one a session.
        speak: the carrier's voices, as `Carrier` takes them.

    Raises:
        StackError: something cannot start; everything that did is stopped again.
    """
    keys, stage = Keys(), settings.load(ROOT, STAGE)
    model = Model(mind, api_key=keys.openai_api_key)
    carrier = Carrier(account_sid=keys.account_sid, auth_token=keys.auth_token, speak=speak, on_event=sink)
    carrier.credentials[keys.api_key_sid] = keys.api_key_secret
    logs = cloud.client("logs")
    made = Deployment(
        settings=stage,
        emulator=cloud,
        cdk=Cdk(environ=cloud.environ(), folder=cloud.folder),
        keys=keys,
        carrier=carrier,
        model=model,
        tasks=Tasks(logs, sink),
        agent_file=ROOT / stage.agent_file,
    )
    async with AsyncExitStack() as up:
        up.push_async_callback(model.stop)
        await model.start()
        functions = [f"/patchthrough/{STAGE}/{part}" for part in ("webhook", "transfer")]
        await up.enter_async_context(following(logs, functions, sink))
        up.push_async_callback(made.tasks.stop)
        up.push_async_callback(carrier.stop)  # first of all: without calls no task has anything to wait for
        await carrier.start()
        yield made
