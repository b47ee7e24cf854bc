"""An operator's desk: AWS, Twilio and the model as stand-ins on this machine, and the commands typed against them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, TypeVar

import boto3
import pytest
import requests

from cli.app import main
from simulators.carrier import Carrier
from simulators.cloud.emulator import Emulator
from simulators.model import Faults, Model

Value = TypeVar("Value")
ACCOUNT = "AC" + "0" * 32
TOKEN, NEW_TOKEN = "canary-auth-token-1", "canary-auth-token-2"
API_KEY, API_SECRET = "SK" + "1" * 32, "canary-api-key-secret"
OPENAI_KEY = "sk-canary-openai"
CANARY = "canary"
WEBHOOK = "https://webhook.example.com/voice/incoming"
CALL_STATUS = "https://webhook.example.com/voice/call-status"
_REGION = "eu-central-1"


class Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="neighbours")
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True)
class Ran:
    """What a command left on the operator's screen."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass
class Desk:
    """`carrier.numbers`, `model.sessions` and `aws(…)` tell what the commands did."""

    carrier: Carrier
    model: Model
    faults: list[Faults]
    endpoint: str
    environ: Mapping[str, str]
    _monkeypatch: pytest.MonkeyPatch
    _capture: pytest.CaptureFixture[str]
    _clients: dict[str, Any] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: str | None = None) -> Ran:
        with self._monkeypatch.context() as patch:
            if stdin is not None:
                patch.setattr("sys.stdin", _Pipe(stdin))
            self._capture.readouterr()
            status = main(arguments)
        out, err = self._capture.readouterr()
        return Ran(status, out, err)

    def set_keys(self, *arguments: str, **keys: str | None) -> Ran:
        given = {"account_sid": ACCOUNT, "auth_token": TOKEN, "openai_api_key": OPENAI_KEY, **keys}
        content = {name: value for name, value in given.items() if value is not None}
        return self.run("secrets", "set", "--from-stdin", *arguments, stdin=json.dumps(content))

    def store(self, **parts: str) -> None:
        """Put keys where `secrets set` puts them, without the command; a part may be given other content."""
        contents = {
            "twilio-auth-token": json.dumps({"current": TOKEN}),
            "twilio-rest": json.dumps({"username": ACCOUNT, "password": TOKEN}),
            "openai-api-key": OPENAI_KEY,
            **{name.replace("_", "-"): content for name, content in parts.items()},
        }
        for name, content in contents.items():
            self.aws("secretsmanager").create_secret(Name=f"patchthrough/dev/{name}", SecretString=content)
        self.aws("ssm").put_parameter(Name="/patchthrough/dev/twilio-account-sid", Value=ACCOUNT, Type="String")

    def aws(self, service: str) -> Any:
        make: Any = boto3.client
        if service not in self._clients:
            self._clients[service] = make(service, endpoint_url=self.endpoint)
        return self._clients[service]

    def stored(self) -> dict[str, str]:
        """Every secret and parameter by name."""
        manager, ssm = self.aws("secretsmanager"), self.aws("ssm")
        names = [one["Name"] for one in manager.list_secrets()["SecretList"]]
        found = {name: str(manager.get_secret_value(SecretId=name)["SecretString"]) for name in names}
        for one in ssm.get_parameters_by_path(Path="/patchthrough", Recursive=True)["Parameters"]:
            found[one["Name"]] = str(one["Value"])
        return found

    def deploy(self, webhook: str = WEBHOOK, name: str = "patchthrough-dev") -> None:
        """A stack with the outputs that the commands read."""
        outputs = {"VoiceWebhookUrl": webhook, "CallStatusUrl": webhook.replace("incoming", "call-status")}
        template = {
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
        self.aws("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))

    def destroy(self, name: str = "patchthrough-dev") -> None:
        self.aws("cloudformation").delete_stack(StackName=name)


class _Pipe:
    def __init__(self, text: str) -> None:
        self._text = text

    def read(self) -> str:
        return self._text

    def isatty(self) -> bool:
        return False


@contextmanager
def stand_ins() -> Iterator[Callable[[pytest.MonkeyPatch, pytest.CaptureFixture[str]], Desk]]:
    """Starts the emulator once; what it gives makes a desk with nothing on it yet."""
    emulator, background = Emulator(), Background()
    endpoint = emulator.start()
    running: list[Any] = []

    def desk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
        requests.post(f"{endpoint}/moto-api/reset", timeout=10).raise_for_status()
        carrier = Carrier(account_sid=ACCOUNT, auth_token=TOKEN, speak=lambda _text, _voice: b"")
        faults: list[Faults] = []
        model = Model(api_key=OPENAI_KEY, faults=lambda _number: faults[0] if faults else Faults())
        background.do(carrier.start())
        background.do(model.start())
        running.extend((carrier, model))
        environ = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "TWILIO_API_BASE_URL": carrier.api_base_url,
            "OPENAI_REALTIME_URL": model.url,
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return Desk(carrier, model, faults, endpoint, {**os.environ, **environ}, monkeypatch, capsys)

    try:
        yield desk
    finally:
        for one in running:
            background.do(one.stop())
        emulator.stop()
        background.stop()
