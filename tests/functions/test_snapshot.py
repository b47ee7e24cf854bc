"""What a copy of a snapshot makes anew."""

from __future__ import annotations

import ast
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

from functions.secrets import Secret, SecretUnusable, auth_tokens
from functions.snapshot import Started, register
from functions.voice_webhook import handler
from tests.functions.line import FakeSecrets
from tests.functions.world import ENVIRONMENT

ROOT = Path(__file__).parents[2]


class Runtime(ModuleType):
    """Lambda's module of hooks: `snapshot` and `restore` run what was registered, as the runtime does."""

    def __init__(self) -> None:
        super().__init__("snapshot_restore_py")
        self.before: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []
        self.register_before_snapshot = self.before.append
        self.register_after_restore = self.after.append

    def snapshot(self) -> None:
        for hook in reversed(self.before):
            hook()

    def restore(self) -> None:
        for hook in self.after:
            hook()


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    module = Runtime()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


class SecretsManager:
    """Secrets Manager on a socket that is kept open: counts connections, remembers nothing else."""

    def __init__(self) -> None:
        manager = self
        self.connections = 0
        self.token = "the token of the snapshot"

        class Connection(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                manager.connections += 1

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                body = json.dumps({"SecretString": json.dumps({"current": manager.token})}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Connection)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def client(self) -> Any:
        url = f"http://127.0.0.1:{self.server.server_port}"
        return boto3.Session("local", "local", region_name="us-east-1").client("secretsmanager", endpoint_url=url)

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def manager() -> Iterator[SecretsManager]:
    one = SecretsManager()
    yield one
    one.stop()


def test_a_function_is_started_before_the_snapshot_and_renewed_in_each_copy(runtime: Runtime) -> None:
    client = FakeSecrets()
    secret = Secret("s", client)
    done: list[str] = []

    class Client:
        def close(self) -> None:
            done.append("closed")

    def start() -> Started:
        done.append("started")
        return started

    started = Started(lambda event, _context: event, secrets=[secret], clients=[Client(), Client()])
    register(start)
    assert not done
    runtime.snapshot()
    assert done == ["started"]
    secret.read()
    runtime.restore()
    assert done[-2:] == ["closed", "closed"]
    assert started({"a": 1}, None) == {"a": 1}
    secret.read()
    assert client.asked == 2


def test_a_function_that_cannot_start_fails_the_snapshot_and_not_the_first_caller(runtime: Runtime) -> None:
    register(lambda: handler.build({}))
    with pytest.raises(RuntimeError, match="PUBLIC_WEBHOOK_ORIGIN"):
        runtime.snapshot()


def test_outside_lambda_there_are_no_hooks_and_nothing_happens() -> None:
    assert "snapshot_restore_py" not in sys.modules
    register(lambda: pytest.fail("nobody asked for it"))


def test_a_copy_opens_its_own_connection_and_reads_its_secrets_anew(runtime: Runtime, manager: SecretsManager) -> None:
    client = manager.client()
    secret = Secret("s", client)
    register(lambda: Started(lambda event, _context: event, secrets=[secret], clients=[client]))
    runtime.snapshot()
    assert auth_tokens(secret) == ["the token of the snapshot"]
    manager.token = "the token of today"
    assert auth_tokens(secret) == ["the token of the snapshot"]  # a copy that was not renewed would go on with that
    assert manager.connections == 1
    runtime.restore()
    assert auth_tokens(secret) == ["the token of today"]
    assert manager.connections == 2


def test_R34_a_copy_that_cannot_read_its_secrets_does_not_fall_back_on_those_of_the_snapshot(runtime: Runtime) -> None:
    client = FakeSecrets()
    secret = Secret("s", client)
    register(lambda: Started(lambda event, _context: event, secrets=[secret], clients=[]))
    assert auth_tokens(secret)
    client.content = None
    runtime.restore()
    with pytest.raises(SecretUnusable):
        auth_tokens(secret)


def test_copies_do_not_share_the_state_of_random(runtime: Runtime) -> None:
    register(lambda: Started(lambda event, _context: event, secrets=[], clients=[]))
    snapshot = random.getstate()
    drawn = []
    for _ in range(2):
        random.setstate(snapshot)
        runtime.restore()
        drawn.append(random.random())
    assert len(set(drawn)) == 2


@pytest.mark.parametrize(
    "path",
    [
        path.relative_to(ROOT).as_posix()
        for path in sorted(
            [*ROOT.glob("contracts/*.py"), *ROOT.glob("functions/*.py"), *ROOT.glob("functions/voice_webhook/*.py")]
        )
    ],
)
def test_what_must_be_unique_comes_from_the_system_and_not_from_random(path: str) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            imported |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert path == "functions/snapshot.py" or "random" not in imported


PROGRAM = """
import json, sys, types
hooks = types.ModuleType("snapshot_restore_py")
before, after = [], []
hooks.register_before_snapshot, hooks.register_after_restore = before.append, after.append
sys.modules["snapshot_restore_py"] = hooks
from functions.voice_webhook import handler
for hook in before: hook()
for hook in after: hook()
event = {"rawPath": "/", "requestContext": {"http": {"method": "GET", "path": "/"}, "stage": "$default"}}
status = handler.handler(event, None)["statusCode"]
built = handler._handler.cache_info().misses
print(json.dumps([len(before), len(after), status, built]), file=sys.stderr)
"""


def test_in_lambda_the_webhook_is_whole_before_the_snapshot_and_is_not_built_again() -> None:
    environ = ENVIRONMENT | {"AWS_DEFAULT_REGION": "us-east-1", "PATH": ""}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ, cwd=ROOT)
    assert json.loads(done.stderr) == [1, 1, 404, 1]
