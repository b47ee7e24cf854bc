"""The relay's tasks: host processes told what ECS would tell a container, taken from the task definition as deployed.

What is added or replaced is what the host must decide, and nothing else (`Host`): no variable of the shell reaches a
task, so a variable that the stack forgets is missing here as well.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.deployed.cloud_logs import Shipper, Sink
from simulators.deployed.ecs_agent import EcsAgent
from simulators.relay_process import RelayProcess
from simulators.stack import free_port

CONTAINER = "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What the deployed task definition says of its container."""

    arn: str
    environment: Mapping[str, str]
    role: str
    log_group: str
    log_prefix: str
    stop_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the host decides: how AWS and the model are reached, and the agent file, which an image would hold.

    `assume(role)` gives the variables of a client that acts in that role, as ECS gives a task its own.
    """

    assume: Callable[[str], Mapping[str, str]]
    realtime_url: str
    agent_file: Path

    def environ(self, definition: Definition, *, port: int, ecs_agent: str) -> dict[str, str]:
        """The whole environment of a task's process."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            **definition.environment,
            **self.assume(definition.role),
            "RELAY_HOST": "127.0.0.1",
            "RELAY_PORT": str(port),
            "OPENAI_REALTIME_URL": self.realtime_url,
            "ECS_AGENT_URI": ecs_agent,
            "AGENT_FILE": str(self.agent_file),
        }


def definition_of(ecs: Any, cluster: str, service: str) -> Definition:
    """The task definition that a service runs now; `ecs` is a boto3 client."""
    (found,) = ecs.describe_services(cluster=cluster, services=[service])["services"]
    task = ecs.describe_task_definition(taskDefinition=found["taskDefinition"])["taskDefinition"]
    (container,) = (one for one in task["containerDefinitions"] if one["name"] == CONTAINER)
    options = container["logConfiguration"]["options"]
    return Definition(
        arn=task["taskDefinitionArn"],
        role=task["taskRoleArn"],
        environment={one["name"]: one["value"] for one in container["environment"]},
        log_group=options["awslogs-group"],
        log_prefix=options["awslogs-stream-prefix"],
        stop_seconds=float(container["stopTimeout"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A running task."""

    definition: Definition
    relay: RelayProcess
    agent: EcsAgent
    port: int
    log: Shipper

    async def stop(self) -> None:
        """As ECS stops it: SIGTERM, its stop timeout, SIGKILL."""
        await self.relay.stop(self.definition.stop_seconds)
        await self.log.stop()
        await self.agent.stop()


class Tasks:
    """The tasks of the service. `current` is the newest, which gets new sockets; older ones may be draining."""

    def __init__(self, logs: Any, sink: Sink) -> None:
        self._logs = logs
        self._sink = sink
        self._numbers = itertools.count(1)
        self._tasks: list[Task] = []

    @property
    def current(self) -> Task:
        """The newest task."""
        return self._tasks[-1]

    async def start(self, definition: Definition, host: Host) -> Task:
        """Start a task and wait until it is ready.

        Raises:
            StackError: it does not start.
        """
        number = next(self._numbers)
        agent = EcsAgent(task_arn=f"arn:aws:ecs:us-east-1:000000000000:task/local/{number}")
        port = free_port(0, "")
        log = Shipper(self._logs, definition.log_group, f"{definition.log_prefix}/{CONTAINER}/{number}")

        environ = await asyncio.to_thread(host.environ, definition, port=port, ecs_agent=await agent.start())
        task = Task(
            definition=definition, relay=RelayProcess(environ, self._sink, copy=log), agent=agent, port=port, log=log
        )
        self._tasks.append(task)
        await log.start()
        await task.relay.start()
        return task

    async def stop(self) -> None:
        """Stop every task."""
        await asyncio.gather(*(task.stop() for task in self._tasks))
