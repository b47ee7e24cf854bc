from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cli.deployment import Deployment
from cli.errors import CommandError
from tests.cli.operating import WEBHOOK, Desk, stand_ins

MakeDesk = Callable[[pytest.MonkeyPatch, pytest.CaptureFixture[str]], Desk]


@pytest.fixture(scope="module")
def neighbours() -> Iterator[MakeDesk]:
    with stand_ins() as made:
        yield made


@pytest.fixture
def desk(neighbours: MakeDesk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    return neighbours(monkeypatch, capsys)


def test_outputs_and_what_is_stored_are_read_and_what_is_not_there_is_nothing(desk: Desk) -> None:
    with pytest.raises(CommandError, match="make deploy STAGE=dev"):
        assert Deployment.of("dev").outputs
    assert Deployment.of("dev").stack is None
    desk.deploy()
    desk.store(twilio_rest="not json", openai_api_key="[]")
    deployment = Deployment.of("dev")
    assert deployment.outputs["VoiceWebhookUrl"] == WEBHOOK
    assert deployment.secret("patchthrough/dev/twilio-rest") == "not json"
    assert deployment.secret_object("patchthrough/dev/twilio-rest") == {}
    assert deployment.secret_object("patchthrough/dev/openai-api-key") == {}
    assert deployment.secret("no/such") is None
    assert deployment.parameter("/no/such") is None


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_either_name_of_the_region_will_do(desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for one in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(one)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(CommandError, match="set AWS_REGION"):
        Deployment.of("dev").aws("ssm")
    monkeypatch.setenv(name, "eu-west-1")
    assert Deployment.of("dev").aws("ssm").meta.region_name == "eu-west-1"


def test_an_aws_that_cannot_be_asked_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = Deployment.of("dev")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for ask in (lambda: deployment.stack, lambda: deployment.secret("a"), lambda: deployment.parameter("/a")):
        with pytest.raises(CommandError, match="check the AWS credentials"):
            ask()
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(CommandError, match="AWS_PROFILE"):
        Deployment.of("dev").aws("ssm")
