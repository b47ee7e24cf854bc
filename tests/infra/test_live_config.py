from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Template
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # shipped without types

from contracts import agent_file
from contracts.agent_file import AgentFile, AgentFileError
from infra import settings
from infra.app import ROOT
from infra.live_config import LiveConfig
from infra.validator import VALIDATOR_CHARS, draft4, validator

SCHEMA = json.loads(validator())
CHECK = Draft4Validator(SCHEMA)
GOOD = agent_file.load(ROOT / "agent.yaml").written
EVERYTHING: dict[str, Any] = {
    **GOOD,
    "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
    "hours": {"office": {"time_zone": "America/New_York", "open": {"mon-fri": "09:00-17:00"}, "holidays": ["12-25"]}},
    "destinations": {
        "desk": {
            "name": "the desk",
            "description": "Everything",
            "targets": [{"phone": "+15550100001", "ring_seconds": 15}, {"client": "reception-desk"}],
            "ring": "at_once",
            "mode": "screened",
            "hours": "office",
            "key": "2",
            "disposition": {"closed": "voicemail"},
        }
    },
    "default_destination": "desk",
    "voicemail": {"greeting": "Speak.", "deliver": {"webhook": "https://crm.example.com/"}},
    "escalation": {"promise_seconds": 0, "max_call_cost_usd": 1.5},
    "guards": {"countries": ["+1"], "enabled": False},
}
WRONG: list[tuple[str, Any]] = [
    ("greeting", None),
    ("greeting", ""),
    ("colour", "red"),
    ("destinations", {}),
    ("destinations", {"Desk!": GOOD["destinations"]["billing"]}),
    ("destinations", {"desk": {"name": "x", "description": "x", "number": "0155"}}),
    ("destinations", {"desk": {"name": "x", "description": "x"}}),
    ("limits", {"max_call_minutes": 181}),
    ("turn_detection", {"type": "psychic_vad"}),
    ("voicemail", {"greeting": "Speak.", "deliver": {"webhook": "http://crm.example.com/"}}),
]


def test_the_schema_is_one_of_draft_4_and_not_too_long() -> None:
    Draft4Validator.check_schema(SCHEMA)
    assert len(validator()) < VALIDATOR_CHARS
    words = json.dumps(SCHEMA)
    assert not [word for word in ('"$defs"', '"const"', '"discriminator"', "2020-12") if word in words]


@pytest.mark.parametrize("content", [GOOD, EVERYTHING], ids=["the repository's", "everything"])
def test_what_an_agent_file_may_say_passes(content: dict[str, Any]) -> None:
    agent_file.check(content, "test")
    assert not [*CHECK.iter_errors(content)]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_has_not_its_shape_does_not_pass(name: str, value: Any) -> None:
    content = {key: one for key, one in {**GOOD, name: value}.items() if one is not None}
    with pytest.raises(AgentFileError):
        agent_file.check(content, "test")
    assert [*CHECK.iter_errors(content)]


@given(st.dictionaries(st.sampled_from([*AgentFile.model_fields]), st.none() | st.integers() | st.text(), min_size=1))
def test_no_file_that_we_accept_is_refused_by_appconfig(changes: dict[str, Any]) -> None:
    content = {**GOOD, **changes}
    try:
        agent_file.check(content, "test")
    except AgentFileError:
        return
    assert not [*CHECK.iter_errors(json.loads(json.dumps(agent_file.check(content, "test").written)))]


def test_exclusive_bounds_become_those_of_draft_4_and_names_of_properties_stay() -> None:
    made = draft4({"exclusiveMinimum": 3, "properties": {"default": {"const": 1, "title": "x"}}, "$ref": "#/$defs/A"})
    assert made == {
        "minimum": 3,
        "exclusiveMinimum": True,
        "properties": {"default": {"enum": [1]}},
        "$ref": "#/definitions/A",
    }


class Made:
    """The construct in a stack of its own, with an alarm to watch and a role to read."""

    def __init__(self, stage: settings.Settings) -> None:
        stack = cdk.Stack(cdk.App(), "Test")
        metric = cloudwatch.Metric(namespace="Patchthrough", metric_name="ConfigsRefused")
        alarm = metric.create_alarm(stack, "Refused", threshold=0, evaluation_periods=1)
        reader = iam.Role(stack, "Reader", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.construct = LiveConfig(stack, "LiveConfig", settings=stage)
        self.construct.watch([alarm], [reader])
        self.template = Template.from_stack(stack).to_json()

    def one(self, kind: str, **having: Any) -> tuple[str, dict[str, Any]]:
        ((name, resource),) = (
            (name, one)
            for name, one in self.template["Resources"].items()
            if one["Type"] == f"AWS::{kind}" and having.items() <= one["Properties"].items()
        )
        return name, resource["Properties"]


@pytest.fixture(scope="module")
def made() -> Made:
    return Made(settings.load(ROOT, "prod"))


def test_a_deployment_publishes_the_repositorys_file_at_once_and_without_watching(made: Made) -> None:
    version, properties = made.one("AppConfig::HostedConfigurationVersion")
    assert agent_file.check(json.loads(properties["Content"]), "template") == agent_file.load(ROOT / "agent.yaml")
    assert properties["ContentType"] == "application/json"
    strategy, _ = made.one("AppConfig::DeploymentStrategy", FinalBakeTimeInMinutes=0)
    _, deployment = made.one("AppConfig::Deployment")
    assert deployment["ConfigurationVersion"] == {"Ref": version}
    assert deployment["DeploymentStrategyId"] == {"Ref": strategy}


def test_a_push_reaches_everybody_at_once_and_is_watched_for_minutes(made: Made) -> None:
    _, push = made.one("AppConfig::DeploymentStrategy", FinalBakeTimeInMinutes=5)
    assert (push["DeploymentDurationInMinutes"], push["GrowthFactor"]) == (0, 100)
    _, environment = made.one("AppConfig::Environment")
    (monitor,) = environment["Monitors"]
    assert monitor["AlarmArn"]["Fn::GetAtt"][0].startswith("Refused")
    assert monitor["AlarmRoleArn"]["Fn::GetAtt"][0].startswith("LiveConfigAlarmRole")


def test_the_validator_is_the_agent_files_own_schema(made: Made) -> None:
    _, profile = made.one("AppConfig::ConfigurationProfile")
    assert profile["Validators"] == [{"Type": "JSON_SCHEMA", "Content": validator()}]
    assert (profile["LocationUri"], profile["Type"]) == ("hosted", "AWS.Freeform")


def test_S11_readers_may_read_this_configuration_and_nothing_else(made: Made) -> None:
    _, policy = made.one("IAM::Policy", Roles=[{"Ref": next(n for n in made.template["Resources"] if "Reader" in n)}])
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["appconfig:GetLatestConfiguration", "appconfig:StartConfigurationSession"]
    parts = [
        part if isinstance(part, str) else next(iter(part.values())) for part in statement["Resource"]["Fn::Join"][1]
    ]
    arn = "".join(parts)
    assert "application/LiveConfigApplication" in arn
    assert "/environment/LiveConfigEnvironment" in arn
    assert "/configuration/LiveConfigProfile" in arn


def test_parts_ask_by_names_that_the_stack_gives(made: Made) -> None:
    application, environment, profile = made.construct.name.split("/")
    assert made.one("AppConfig::Application")[1]["Name"] == application == "patchthrough-prod"
    assert made.one("AppConfig::Environment")[1]["Name"] == environment
    assert made.one("AppConfig::ConfigurationProfile")[1]["Name"] == profile


def test_another_file_is_another_version_and_the_same_is_the_same(tmp_path: Path) -> None:
    stage = settings.load(ROOT, "dev")
    same = Made(stage).one("AppConfig::HostedConfigurationVersion")
    assert Made(stage).one("AppConfig::HostedConfigurationVersion") == same
    other = tmp_path / "agent.yaml"
    other.write_text((ROOT / "agent.yaml").read_text().replace("How can I", "What can I"), encoding="utf-8")
    changed = Made(replace(stage, agent=agent_file.load(other))).one("AppConfig::HostedConfigurationVersion")
    assert changed[1]["Content"] != same[1]["Content"]
