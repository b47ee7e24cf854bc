"""The ECS agent's endpoint on loopback: it remembers what it was asked, and answers as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from containers.media_relay.protection import EcsAgent

TASK = "arn:aws:ecs:us-east-1:111122223333:task/relay/0123456789abcdef"
MINUTES = 32
GUARD = 10.0


def refusal(reason: str) -> tuple[int, dict[str, Any]]:
    """What ECS did not do, as the agent hands it on: with status 200."""
    return 200, {"failure": {"Arn": TASK, "Detail": "canary detail", "Reason": reason}}


def error(status: int, code: str) -> tuple[int, dict[str, Any]]:
    return status, {"requestID": "1", "error": {"Arn": TASK, "Code": code, "Message": "canary message"}}


class FakeAgent:
    """`asked`: the bodies in order; `answers`: (status, body) to come, then it grants; `open`: it may answer."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.answers: list[tuple[int, Any]] = []
        self.protected = False
        self.open = threading.Event()
        self.open.set()
        self.endpoint: EcsAgent
        self._changed = threading.Condition()

    def put(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        with self._changed:
            self.paths.append(path)
            self.asked.append(body)
            answer = self.answers.pop(0) if self.answers else None
            self._changed.notify_all()
        self.open.wait(GUARD)
        if answer is None:
            self.protected = body["ProtectionEnabled"]
            answer = 200, {"protection": {"TaskArn": TASK, "ProtectionEnabled": self.protected}}
        status, content = answer
        return status, content if isinstance(content, bytes) else json.dumps(content).encode()

    async def was_asked(self, times: int) -> list[bool]:
        """Wait for so many requests; whether each asked for protection."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: len(self.asked) >= times, GUARD)

        assert await asyncio.to_thread(wait), f"asked {len(self.asked)} times, not {times}"
        return [one["ProtectionEnabled"] for one in self.asked]


@contextmanager
def ecs_agent() -> Iterator[FakeAgent]:
    """A running endpoint; it is gone afterwards."""
    agent = FakeAgent()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            length = int(self.headers["Content-Length"])
            assert self.headers["Content-Type"] == "application/json"
            status, body = agent.put(self.path, json.loads(self.rfile.read(length)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        agent.endpoint = EcsAgent(f"http://127.0.0.1:{server.server_port}/api/0123-456", MINUTES)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield agent
        finally:
            agent.open.set()
            server.shutdown()
            serving.join()
