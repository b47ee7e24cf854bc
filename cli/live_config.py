"""The stage's agent file at AWS AppConfig: which one is in force, and how another takes its place.

AppConfig holds what it is given against the schema, watches the stack's alarms after a deployment and goes back by
itself; here we ask, wait and tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from cli.deployment import Deployment, asking_aws, code_of
from cli.errors import CommandError
from contracts.edition import text_of

OUTPUTS = ("ConfigApplication", "ConfigEnvironment", "ConfigProfile", "ConfigStrategy")
UNDER_WAY = frozenset({"VALIDATING", "DEPLOYING", "BAKING", "ROLLING_BACK"})
IN_FORCE = frozenset({"COMPLETE", "BAKING"})
POLL_SECONDS = 2.0

Tell = Callable[[str, float], None]  # state, percent


class Invalid(Exception):  # noqa: N818 - it names what AppConfig says of the file
    """AppConfig's validator refuses the file; `errors` are lines of path and reason."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class LiveConfig:
    """The configuration of a deployed stage.

    Raises:
        CommandError: the stage is not deployed, or was before there was a configuration; AWS refuses. By every method.
    """

    def __init__(self, deployment: Deployment) -> None:
        missing = [name for name in OUTPUTS if name not in deployment.outputs]
        if missing:
            fix = f"run 'make deploy STAGE={deployment.settings.stage}' once more"
            raise CommandError("live configuration", f"the stack has no output {missing[0]}", fix)
        application, environment, profile, self._strategy = (deployment.outputs[name] for name in OUTPUTS)
        self._client = deployment.aws("appconfig")
        self._environment = {"ApplicationId": application, "EnvironmentId": environment}
        self._profile = {"ApplicationId": application, "ConfigurationProfileId": profile}

    def in_force(self) -> object:
        """The content that the parts read now; None if nothing was ever deployed."""
        with asking_aws("live configuration"):
            for one in self._deployments():
                if one["State"] in IN_FORCE:
                    return self._content(int(one["ConfigurationVersion"]))
        return None

    def under_way(self) -> bool:
        """Whether a deployment is not over."""
        with asking_aws("live configuration"):
            return any(one["State"] in UNDER_WAY for one in self._deployments())

    def publish(self, content: object) -> int:
        """Store a version and begin its deployment; its number.

        Raises:
            Invalid: the validator refuses it; nothing has changed.
        """
        with asking_aws("live configuration"):
            made = self._client.create_hosted_configuration_version(
                **self._profile, Content=text_of(content).encode(), ContentType="application/json"
            )
            version = int(made["VersionNumber"])
            try:
                begun = self._client.start_deployment(
                    **self._environment,
                    ConfigurationProfileId=self._profile["ConfigurationProfileId"],
                    ConfigurationVersion=str(version),
                    DeploymentStrategyId=self._strategy,
                )
            except ClientError as error:
                self._client.delete_hosted_configuration_version(**self._profile, VersionNumber=version)
                if found := [*_invalid(error)]:
                    raise Invalid(found) from None
                if code_of(error) == "ConflictException":
                    raise _busy() from None
                raise
        return int(begun["DeploymentNumber"])

    def follow(self, number: int, tell: Tell, *, until: frozenset[str], sleep: Callable[[float], None]) -> str:
        """Wait until a deployment is in one of the states `until`, or is over; returns what it says in the end.

        "" means that it got there; anything else is why AppConfig went back.
        """
        said = ("", -1.0)
        while True:
            with asking_aws("live configuration"):
                one = self._client.get_deployment(**self._environment, DeploymentNumber=number)
            state, percent = str(one["State"]), float(one.get("PercentageComplete", 0))
            if (state, percent) != said:
                said = state, percent
                tell(state, percent)
            if state in until:
                return ""
            if state in {"ROLLED_BACK", "REVERTED"}:
                return _reason(one)
            sleep(POLL_SECONDS)

    def forget(self) -> int:
        """Delete every version, so that the configuration itself can be deleted; returns how many there were."""
        with asking_aws("live configuration"):
            pages = self._client.get_paginator("list_hosted_configuration_versions").paginate(**self._profile)
            numbers = [int(one["VersionNumber"]) for page in pages for one in page["Items"]]
            for number in numbers:
                self._client.delete_hosted_configuration_version(**self._profile, VersionNumber=number)
        return len(numbers)

    def _deployments(self) -> Iterator[Any]:
        """The latest deployments, newest first."""
        items = self._client.list_deployments(**self._environment, MaxResults=20)["Items"]
        yield from sorted(items, key=lambda one: -int(one["DeploymentNumber"]))

    def _content(self, version: int) -> object:
        answer = self._client.get_hosted_configuration_version(**self._profile, VersionNumber=version)
        try:
            return json.loads(answer["Content"].read())
        except (ValueError, RecursionError):
            why = "what is in force is not JSON: somebody published it by hand"
            raise CommandError("live configuration", why, "push your agent file over it") from None


def _invalid(error: ClientError) -> Iterator[str]:
    details: Any = error.response.get("Details") or {}
    for one in details.get("InvalidConfiguration") or []:
        where = str(one.get("Location") or "$").removeprefix("$").removeprefix(".") or "(whole file)"
        yield f"{where}: {one.get('Reason') or one.get('Constraint') or 'is not valid'}; correct the value"


def _reason(one: Any) -> str:
    events = [event for event in one.get("EventLog", []) if "ROLLBACK" in str(event.get("EventType"))]
    described = next((str(event["Description"]) for event in events if event.get("Description")), "")
    by = next((str(event["TriggeredBy"]) for event in events if event.get("TriggeredBy")), "")
    return described or f"taken back by {by.lower().replace('_', ' ') or 'somebody'}"


def _busy() -> CommandError:
    why = "another change is being watched at the moment"
    return CommandError("live configuration", why, "wait some minutes and push again")


def refuse_if_busy(config: LiveConfig) -> None:
    """Raises `CommandError` while a deployment is not over: AppConfig takes one at a time."""
    if config.under_way():
        raise _busy()
