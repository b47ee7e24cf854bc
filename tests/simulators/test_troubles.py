from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from simulators.cloud.troubled import TroubledCloud
from simulators.cloud.troubles import Troubles
from simulators.model import Prompt, Say, Turn
from simulators.model.minds import Occasion
from simulators.model.moods import Answering, Mood

TARGETS = {
    "ledger": "DynamoDB_20120810.PutItem",
    "queue": "AmazonSQS.SendMessage",
    "secrets": "secretsmanager.GetSecretValue",
}


@pytest.mark.parametrize("service", TARGETS)
def test_a_service_that_is_down_answers_503_and_the_others_go_on(service: str) -> None:
    troubles = Troubles()
    app = troubles.around(lambda _environ, _start: [b"fine"])
    answered: list[str] = []

    def ask(name: str) -> bytes:
        return b"".join(
            app({"HTTP_X_AMZ_TARGET": TARGETS[name]}, lambda status, _headers: answered.append(str(status)))
        )

    troubles.down.add(service)
    assert [name for name in TARGETS if ask(name) != b"fine"] == [service]
    assert answered == ["503 Service Unavailable"]
    troubles.down.discard(service)
    assert ask(service) == b"fine"


@pytest.mark.parametrize("service", TARGETS)
def test_a_tardy_service_carries_out_everything_and_keeps_every_third_answer_back(service: str) -> None:
    troubles = Troubles()
    troubles.tardy[service] = 2.5
    met = [troubles.of(TARGETS[service]) for _ in range(6)]
    assert [(one.before, one.refusal, one.after) for one in met] == [(0, None, 2.5), (0, None, 0), (0, None, 0)] * 2
    assert not any(troubles.of(target).after for name, target in TARGETS.items() if name != service)


def test_what_is_kept_back_was_carried_out_before(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr("time.sleep", done.append)
    troubles = Troubles()
    troubles.tardy["ledger"] = 2.5

    def carry_out(_environ: dict[str, Any], _start: object) -> list[bytes]:
        done.append("carried out")
        return [b""]

    app = troubles.around(carry_out)
    app({"HTTP_X_AMZ_TARGET": TARGETS["ledger"]}, lambda _status, _headers: None)
    assert done == [0, "carried out", 2.5]


class Talker:
    def hear(self, _sound: bytes) -> str:
        return ""

    def answer(self, _prompt: Prompt) -> Turn:
        return Turn([Say("Hello.", b"\x00" * 800)])


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        ("well", "[Say(text='Hello.', sound=b'\\x00"),
        ("mute", "()"),
        ("zeros", "[Say(text='Hello.', sound=b'\\xff"),
        ("stall", "[Stall()]"),
        ("fails", "[Fail(code='rate_limit_exceeded'"),
    ],
)
def test_a_mind_follows_the_mood(mood: Answering, said: str) -> None:
    model = Mood()
    mind = model.moody(Talker)()
    model.answering = mood
    prompt: Any = Prompt(Occasion.GREETING, [], "", "", [], "auto", {})
    assert str(mind.answer(prompt).steps).startswith(said)


def test_a_deaf_model_hears_again_when_that_is_over() -> None:
    mood = Mood()
    connection = mood.faults(1)
    mood.deaf = True
    assert not connection.hears()
    mood.deaf = False
    assert connection.hears()


@pytest.mark.parametrize("service", TARGETS)
async def test_the_troubles_of_a_cloud_that_is_elsewhere_are_brought_over_what_passes(service: str) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(body=await request.read() + request.headers["X-Amz-Target"].encode())

    troubles = Troubles()
    async with RawTestServer(answer) as behind, aiohttp.ClientSession() as client:
        cloud = TroubledCloud(str(behind.make_url("/")).rstrip("/"), troubles)
        endpoint = await cloud.start()

        async def ask(name: str) -> str:
            headers = {"X-Amz-Target": TARGETS[name]}
            async with client.post(endpoint, data=b"body ", headers=headers) as answered:
                return await answered.text() if answered.status == 200 else str(answered.status)

        try:
            troubles.down.add(service)
            assert [name for name in TARGETS if await ask(name) == "503"] == [service]
            troubles.down.discard(service)
            assert await ask(service) == f"body {TARGETS[service]}"
        finally:
            await cloud.stop()
