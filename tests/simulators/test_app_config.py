"""The stand-in for AppConfig, asked by boto3 as the parts and the command line ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from contracts.feed import POLL_SECONDS, AppConfigFeed, ProfileName
from simulators.cloud.app_config import AppConfig

SCHEMA = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "required": ["a"]}
NAME = ProfileName("patchthrough-dev", "live", "agent")
NO_RETRIES = Config(retries={"total_max_attempts": 1})


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


class Service:
    def __init__(self) -> None:
        self.clock = Clock()
        self.stand_in = AppConfig(schema=SCHEMA, bake_minutes=5, now=self.clock)
        self.endpoint = self.stand_in.start()

    def client(self, name: str, config: Config = NO_RETRIES) -> Any:
        make: Any = boto3.client
        keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}
        return make(name, endpoint_url=self.endpoint, config=config, **keys)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.stand_in.stop()


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def session(client: Any, **more: Any) -> str:
    application, environment, profile = NAME
    return str(
        client.start_configuration_session(
            ApplicationIdentifier=application,
            EnvironmentIdentifier=environment,
            ConfigurationProfileIdentifier=profile,
            **more,
        )["InitialConfigurationToken"]
    )


class TestReading:
    def test_a_token_is_good_for_one_question_and_not_before_its_time(self, service: Service) -> None:
        service.stand_in.publish('{"a": 1}')
        client = service.client("appconfigdata")
        token = session(client)
        answer = client.get_latest_configuration(ConfigurationToken=token)
        assert answer["Configuration"].read() == b'{"a": 1}'
        assert answer["ContentType"] == "application/json"
        assert answer["NextPollIntervalInSeconds"] == 15
        for used in (token, "unknown", answer["NextPollConfigurationToken"]):
            with pytest.raises(ClientError) as error:
                client.get_latest_configuration(ConfigurationToken=used)
            assert code(error) == "BadRequestException"

    def test_what_the_client_has_already_is_answered_with_nothing(self, service: Service) -> None:
        service.stand_in.publish('{"a": 1}')
        feed = AppConfigFeed(service.client("appconfigdata"), NAME)
        assert feed.poll() == '{"a": 1}'
        service.clock.now += POLL_SECONDS
        assert feed.poll() is None
        service.clock.now += 600
        service.stand_in.publish('{"a": 2}')
        assert feed.poll() == '{"a": 2}'

    def test_a_token_of_yesterday_is_no_obstacle(self, service: Service) -> None:
        service.stand_in.publish('{"a": 1}')
        feed = AppConfigFeed(service.client("appconfigdata"), NAME)
        feed.poll()
        service.clock.now += 25 * 3600
        assert feed.poll() == '{"a": 1}'

    def test_after_a_failure_the_next_poll_begins_anew(self, service: Service) -> None:
        service.stand_in.publish('{"a": 1}')
        feed = AppConfigFeed(service.client("appconfigdata"), NAME)
        feed.poll()
        service.stand_in.down = True
        with pytest.raises(ClientError) as error:
            feed.poll()
        assert code(error) == "InternalServerException"
        service.stand_in.down = False
        assert feed.poll() == '{"a": 1}'

    def test_a_name_that_is_not_there_and_an_interval_that_is_too_short_are_refused(self, service: Service) -> None:
        client = service.client("appconfigdata")
        with pytest.raises(ClientError) as error:
            AppConfigFeed(client, NAME._replace(application="other")).poll()
        assert code(error) == "ResourceNotFoundException"
        unchecked = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        with pytest.raises(ClientError) as error:
            session(service.client("appconfigdata", unchecked), RequiredMinimumPollIntervalInSeconds=14)
        assert code(error) == "BadRequestException"

    @pytest.mark.parametrize("name", ["", "a", "a/b", "a//b", "a/b/c/d"])
    def test_a_profile_has_three_names(self, name: str) -> None:
        with pytest.raises(ValueError, match="application/environment/profile"):
            ProfileName.parse(name)


class TestPublishing:
    def publish(self, service: Service, content: str) -> Any:
        client = service.client("appconfig")
        application, environment, profile = AppConfig.IDS
        made = client.create_hosted_configuration_version(
            ApplicationId=application,
            ConfigurationProfileId=profile,
            Content=content.encode(),
            ContentType="application/json",
        )
        return client.start_deployment(
            ApplicationId=application,
            EnvironmentId=environment,
            ConfigurationProfileId=profile,
            ConfigurationVersion=str(made["VersionNumber"]),
            DeploymentStrategyId=AppConfig.STRATEGY,
        )

    def test_a_deployment_bakes_while_it_is_served_and_is_then_complete(self, service: Service) -> None:
        begun = self.publish(service, '{"a": 1}')
        assert begun["State"] == "BAKING"
        where = {"ApplicationId": AppConfig.IDS[0], "EnvironmentId": AppConfig.IDS[1]}
        service.clock.now += 300
        one = service.client("appconfig").get_deployment(**where, DeploymentNumber=begun["DeploymentNumber"])
        assert one["State"] == "COMPLETE"
        assert one["ConfigurationVersion"] == "1"

    def test_what_the_validator_refuses_is_not_deployed_and_says_where(self, service: Service) -> None:
        with pytest.raises(ClientError) as error:
            self.publish(service, "{}")
        assert code(error) == "BadRequestException"
        (found,) = error.value.response["Details"]["InvalidConfiguration"]  # type: ignore[typeddict-item]
        assert (found["Location"], found["Constraint"]) == ("$", "required")
        assert not service.stand_in.profile.deployments

    def test_there_is_one_deployment_at_a_time(self, service: Service) -> None:
        self.publish(service, '{"a": 1}')
        with pytest.raises(ClientError) as error:
            self.publish(service, '{"a": 2}')
        assert code(error) == "ConflictException"

    def test_an_alarm_brings_back_the_version_before(self, service: Service) -> None:
        self.publish(service, '{"a": 1}')
        service.clock.now += 600
        self.publish(service, '{"a": 2}')
        feed = AppConfigFeed(service.client("appconfigdata"), NAME)
        assert feed.poll() == '{"a": 2}'
        service.stand_in.alarm("an alarm")
        service.clock.now += POLL_SECONDS
        assert feed.poll() == '{"a": 1}'

    def test_a_schema_that_appconfig_cannot_read_is_no_validator(self) -> None:
        with pytest.raises(AssertionError):
            AppConfig(schema={"type": "object", "description": "x" * 40_000})


def test_a_request_without_a_signature_and_an_unknown_one_are_refused(service: Service) -> None:
    assert requests.get(f"{service.endpoint}/configuration", timeout=5).status_code == 403
    signed = {"Authorization": "AWS4-HMAC-SHA256 x"}
    answer = requests.get(f"{service.endpoint}/nowhere", headers=signed, timeout=5)
    assert answer.status_code == 404
    assert json.loads(answer.content)["Message"] == "GET /nowhere"
