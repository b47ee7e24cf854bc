"""A stand-in for the ECS agent's task protection endpoint, one for each task.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html: refusals come with
status 200, and every PUT starts the time anew. It refuses what the agent refuses: another body, another time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

PATH = "/task-protection/v1/state"
BLOCKED = "DEPLOYMENT_BLOCKED"
MAX_MINUTES = 2880
DEFAULT_MINUTES = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """One PUT: what it asked for, and why it was not granted ("" if it was)."""

    enabled: bool
    minutes: int
    refused: str = ""


@dataclass(slots=True)
class EcsAgent:
    """The agent of one task.

    Attributes:
        task_arn: whose protection it is.
        told: called after each PUT was decided and before it is answered.
        refusals: reasons for the next PUTs, used up one by one; empty grants.
        asked: every PUT with a good body, in order.
        bad_requests: how many were no request of the endpoint.
        protected: whether the task is protected, its expiry left aside.
    """

    task_arn: str = "arn:aws:ecs:us-east-1:000000000000:task/local/0"
    told: Callable[[Asked], None] = lambda _asked: None
    refusals: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    bad_requests: int = 0
    protected: bool = False
    _expires: datetime | None = None
    _runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen on the loopback interface; returns what `ECS_AGENT_URI` names."""
        app = web.Application()
        app.router.add_put(f"/api/{{task}}{PATH}", self._put)
        app.router.add_get(f"/api/{{task}}{PATH}", self._get)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0]
        return f"http://{host}:{port}/api/{self.task_arn.rpartition('/')[2]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _put(self, request: web.Request) -> web.Response:
        try:
            asked = read(await request.read())
        except ValueError as error:
            self.bad_requests += 1
            return self._answer(
                error={"Arn": self.task_arn, "Code": "InvalidParameterException", "Message": str(error)}
            )
        reason = self.refusals.pop(0) if self.refusals else ""
        asked = Asked(asked.enabled, asked.minutes, reason)
        if not reason:
            self.protected = asked.enabled
            self._expires = datetime.now(UTC) + timedelta(minutes=asked.minutes) if asked.enabled else None
        self.asked.append(asked)
        self.told(asked)
        return (
            self._answer(failure={"Arn": self.task_arn, "Detail": None, "Reason": reason}) if reason else self._state()
        )

    async def _get(self, _request: web.Request) -> web.Response:
        return self._state()

    def _state(self) -> web.Response:
        expires = self._expires.isoformat(timespec="milliseconds").replace("+00:00", "Z") if self._expires else None
        return self._answer(
            protection={"ExpirationDate": expires, "ProtectionEnabled": self.protected, "TaskArn": self.task_arn}
        )

    @staticmethod
    def _answer(**content: Any) -> web.Response:
        return web.json_response(
            {"requestID": "local", **content} if "error" in content else content,
            status=400 if "error" in content else 200,
        )


def read(body: bytes) -> Asked:
    """A PUT's body.

    Raises:
        ValueError: it is not `{"ProtectionEnabled": true, "ExpiresInMinutes": 1 to 2880}`, the second optional.
    """
    content = json.loads(body)
    if not isinstance(content, dict) or not isinstance(content.get("ProtectionEnabled"), bool):
        raise ValueError("ProtectionEnabled must be true or false")  # noqa: TRY004 - of what came over the wire
    minutes = content.get("ExpiresInMinutes", DEFAULT_MINUTES)
    if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= MAX_MINUTES:
        raise ValueError(f"ExpiresInMinutes must be from 1 to {MAX_MINUTES}")
    if content.keys() - {"ProtectionEnabled", "ExpiresInMinutes"}:
        raise ValueError("there are unknown fields")
    return Asked(content["ProtectionEnabled"], minutes)
