from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.deployment import ROOT
from cli.live_config import POLL_SECONDS
from contracts import agent_file
from infra.validator import validator
from simulators.cloud.app_config import AppConfig
from simulators.cloud.emulator import Emulator
from tests.cli.cloud import Cloud
from tests.cli.health import OUTPUTS
from tests.cli.operating import Ran

GOOD = (ROOT / "agent.yaml").read_text(encoding="utf-8")
CHANGED = GOOD.replace("How can I help you today?", "What can I do for you?")
APPLICATION, ENVIRONMENT, PROFILE = AppConfig.IDS
TOLD = {
    **OUTPUTS,
    "ConfigApplication": APPLICATION,
    "ConfigEnvironment": ENVIRONMENT,
    "ConfigProfile": PROFILE,
    "ConfigStrategy": AppConfig.STRATEGY,
    "MaxCallMinutes": "30",
    "MessagesGoTo": "desk@example.com",
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    emulator = Emulator()
    yield emulator.start()
    emulator.stop()


class Clock:
    """Moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0
        self.alarm_at: float | None = None
        self.ring: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.alarm_at is not None and self.now >= self.alarm_at:
            self.ring()


class Stage:
    """A deployed stage with the repository's agent file in force, and an operator."""

    def __init__(self, cloud: Cloud, service: AppConfig, clock: Clock, path: Path) -> None:
        self.cloud, self.service, self.clock, self.path = cloud, service, clock, path
        service.publish(json.dumps(agent_file.load(ROOT / "agent.yaml").written))

    def push(self, text: str, *arguments: str) -> Ran:
        self.path.write_text(text, encoding="utf-8")
        return self.cloud.run("config", "push", str(self.path), *arguments)

    @property
    def greeting(self) -> str:
        content, _ = self.service.profile.versions[self.service.profile.served(self.clock.now)]
        return str(json.loads(content)["greeting"])


@pytest.fixture
def stage(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Stage]:
    clock = Clock()
    service = AppConfig(schema=json.loads(validator()), bake_minutes=5, now=clock)
    cloud = Cloud(endpoint, monkeypatch, capsys)
    monkeypatch.setenv("AWS_ENDPOINT_URL_APPCONFIG", service.start())
    monkeypatch.setattr("time.sleep", clock.sleep)
    cloud.deploy(TOLD)
    made = Stage(cloud, service, clock, tmp_path / "agent.yaml")
    clock.now += 3600
    yield made
    service.stop()


def test_a_push_shows_the_difference_and_waits_until_the_file_has_proved(stage: Stage) -> None:
    began = stage.clock.now
    ran = stage.push(CHANGED)
    assert ran.status == 0, ran.text
    assert "+greeting: Thank you for calling Northwind Energy. What can I do for you?" in ran.err
    assert "AWS watches the alarms" in ran.err
    assert "is in force on stage dev" in ran.out
    assert stage.greeting.endswith("What can I do for you?")
    assert 300 <= stage.clock.now - began <= 300 + POLL_SECONDS


def test_no_wait_leaves_as_soon_as_new_calls_have_it(stage: Stage) -> None:
    began = stage.clock.now
    assert stage.push(CHANGED, "--no-wait").status == 0
    assert stage.clock.now == began
    assert stage.greeting.endswith("What can I do for you?")


def test_a_file_that_is_in_force_is_not_published_again(stage: Stage) -> None:
    for text in (GOOD, f"# another comment\n{GOOD}"):
        ran = stage.push(text)
        assert ran.status == 0
        assert "the same is in force already" in ran.out
    assert len(stage.service.profile.deployments) == 1


def test_a_dry_run_publishes_nothing(stage: Stage) -> None:
    ran = stage.push(CHANGED, "--dry-run", "--json")
    assert json.loads(ran.out)["changed"] is True
    assert len(stage.service.profile.versions) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace('"+15550100001"', '"0155"'), "destinations.billing.number"),
        (GOOD.replace("default_destination: reception", "default_destination: nobody"), "default_destination"),
        (GOOD + "\ncolour: red\n", "colour"),
        ("greeting: [", "is not valid YAML"),
        ("", "(whole file)"),
    ],
)
def test_a_bad_file_is_refused_with_path_and_reason_and_changes_nothing(stage: Stage, text: str, said: str) -> None:
    asked = len(stage.service.asked)
    ran = stage.push(text)
    assert ran.status == 1
    assert said in ran.out
    assert str(stage.path) in ran.out
    assert len(stage.service.asked) == asked
    assert not stage.greeting.endswith("What can I do for you?")
    assert stage.cloud.run("config", "validate", str(stage.path)).out == ran.out


def test_what_aws_alone_refuses_is_told_with_path_and_reason_and_leaves_no_version(stage: Stage) -> None:
    stage.service.profile.schemas[0]["properties"]["greeting"] = {"type": "string", "maxLength": 3}
    ran = stage.push(CHANGED)
    assert ran.status == 1
    assert f"{stage.path}: greeting: " in ran.out
    assert "is too long" in ran.out
    assert list(stage.service.profile.versions) == [1]
    assert len(stage.service.profile.deployments) == 1


def test_an_alarm_takes_the_file_back_and_the_operator_is_told_which(stage: Stage) -> None:
    stage.clock.alarm_at = stage.clock.now + 60
    stage.clock.ring = lambda: stage.service.alarm("Alarm patchthrough-dev: Configuration refused is in ALARM")
    ran = stage.push(CHANGED)
    assert ran.status == 1
    assert "it was taken back: Alarm patchthrough-dev: Configuration refused" in ran.err
    assert not stage.greeting.endswith("What can I do for you?")


def test_one_change_at_a_time(stage: Stage) -> None:
    assert stage.push(CHANGED, "--no-wait").status == 0
    ran = stage.push(GOOD)
    assert ran.status == 1
    assert "another change is being watched" in ran.err
    assert list(stage.service.profile.versions) == [1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("max_call_minutes: 30", "max_call_minutes: 40"), "limits.max_call_minutes"),
        (
            GOOD + "\nscreen_pop: {deliver: {email: desk@example.com, sender: other@example.com}}\n",
            "may not send as other@example.com",
        ),
        (
            GOOD + "\nvoicemail: {greeting: Speak., deliver: {email: other@example.com}}\n",
            "may not send as other@example.com",
        ),
    ],
)
def test_what_only_a_deployment_can_change_is_not_pushed(stage: Stage, text: str, said: str) -> None:
    ran = stage.push(text)
    assert ran.status == 1
    assert said in ran.err
    assert "make deploy STAGE=dev" in ran.err
    assert len(stage.service.profile.versions) == 1


@pytest.mark.parametrize("deliver", ["email: desk@example.com", "webhook: https://crm.example.com/"])
def test_where_messages_may_go_already_can_be_pushed(stage: Stage, deliver: str) -> None:
    ran = stage.push(GOOD + f"\nvoicemail: {{greeting: Speak., deliver: {{{deliver}}}}}\n", "--no-wait")
    assert ran.status == 0, ran.text


def test_another_number_of_the_default_person_has_another_home_too(stage: Stage) -> None:
    ran = stage.push(GOOD.replace("+15550100003", "+15550100009"), "--no-wait")
    assert ran.status == 0
    assert "number attach" in ran.err


def test_what_was_pushed_can_be_pulled_and_pushed_again(stage: Stage, tmp_path: Path) -> None:
    stage.push(CHANGED)
    target = tmp_path / "pulled.yaml"
    assert stage.cloud.run("config", "pull", str(target)).status == 0
    assert agent_file.load(target) == agent_file.load(stage.path)
    assert "the same is in force already" in stage.cloud.run("config", "push", str(target)).out
    refused = stage.cloud.run("config", "pull", str(target))
    assert (refused.status, "add --force" in refused.err) == (1, True)
    assert stage.cloud.run("config", "pull", str(target), "--force").status == 0


def test_pull_prints_yaml_or_json(stage: Stage) -> None:
    out = stage.cloud.run("config", "pull").out
    assert "greeting: Thank you for calling" in out
    assert "persona: |-\n  You are the telephone agent" in out
    assert json.loads(stage.cloud.run("config", "pull", "--json").out)["default_destination"] == "reception"


def test_forget_deletes_every_version_so_that_the_stage_can_be_destroyed(stage: Stage) -> None:
    stage.push(CHANGED)
    assert stage.cloud.run("config", "forget").status == 1
    assert "deleted versions: 2" in stage.cloud.run("config", "forget", "--yes").out
    assert not stage.service.profile.versions


def test_a_stage_that_was_deployed_before_there_was_a_configuration_says_what_to_do(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = Cloud(endpoint, monkeypatch, capsys)
    assert "it is not deployed" in cloud.run("config", "push").err
    assert cloud.run("config", "forget", "--yes").status == 0
    cloud.deploy(OUTPUTS)
    assert "has no output ConfigApplication" in cloud.run("config", "push").err
    assert cloud.run("config", "forget", "--yes").status == 0


def test_a_service_that_is_away_is_told_and_nothing_is_changed(stage: Stage) -> None:
    stage.service.down = True
    ran = stage.push(CHANGED)
    assert ran.status == 1
    assert "live configuration" in ran.err
    stage.service.down = False
    assert len(stage.service.profile.versions) == 1
