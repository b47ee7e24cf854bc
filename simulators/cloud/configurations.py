"""A configuration's life in AWS AppConfig: its versions, what validates them, and where each deployment stands.

https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/Welcome.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # shipped without types

VALIDATOR_CHARS = 32_768
UNDER_WAY = frozenset({"DEPLOYING", "BAKING"})


class Refused(Exception):  # noqa: N818 - it names what became of the request
    """The request is answered with an error of the service."""

    def __init__(self, status: int, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.status, self.code, self.more = status, code, {"Message": message, **more}


def bad(message: str, **more: object) -> Refused:
    """The caller's fault."""
    return Refused(400, "BadRequestException", message, **more)


def missing(what: str) -> Refused:
    """There is no such thing."""
    return Refused(404, "ResourceNotFoundException", f"Could not find {what}", ResourceName=what)


@dataclass
class Deployment:
    """One version on its way. Times in seconds; `rolled_back_at` 0: it was not."""

    number: int
    version: int
    strategy: dict[str, Any]
    started_at: float
    rolled_back_at: float = 0.0
    why: str = ""

    def state(self, now: float) -> str:
        """The state as AppConfig names it."""
        if self.rolled_back_at:
            return "ROLLED_BACK"
        passed = (now - self.started_at) / 60
        if passed < self.strategy["DeploymentDurationInMinutes"]:
            return "DEPLOYING"
        whole = self.strategy["DeploymentDurationInMinutes"] + self.strategy["FinalBakeTimeInMinutes"]
        return "BAKING" if passed < whole else "COMPLETE"

    def view(self, name: str, now: float) -> dict[str, Any]:
        """The deployment as the API shows it."""
        state = self.state(now)
        event = {"EventType": "ROLLBACK_COMPLETED", "TriggeredBy": "CLOUDWATCH_ALARM", "Description": self.why}
        return {
            "DeploymentNumber": self.number,
            "ConfigurationName": name,
            "ConfigurationVersion": str(self.version),
            "State": state,
            "PercentageComplete": 0.0 if state == "DEPLOYING" else 100.0,
            "StartedAt": datetime.fromtimestamp(self.started_at, UTC).isoformat(),
            "EventLog": [event] if self.why else [],
            **{name: value for name, value in self.strategy.items() if name != "Id"},
        }


@dataclass
class Profile:
    """A configuration, its versions and their deployments."""

    name: str
    schemas: list[dict[str, Any]]
    versions: dict[int, tuple[bytes, str]] = field(default_factory=dict)
    deployments: list[Deployment] = field(default_factory=list)
    last_version: int = 0

    def served(self, now: float) -> int:
        """The version that is deployed; 0: none."""
        ready = (one for one in reversed(self.deployments) if one.state(now) in {"COMPLETE", "BAKING"})
        return next((one.version for one in ready), 0)

    def __post_init__(self) -> None:
        for schema in self.schemas:
            assert len(json.dumps(schema, separators=(",", ":"))) <= VALIDATOR_CHARS, "AppConfig takes no longer one"
            Draft4Validator.check_schema(schema)

    def store(self, content: bytes, kind: str) -> int:
        """A new version; its number."""
        self.last_version += 1
        self.versions[self.last_version] = content, kind
        return self.last_version

    def deploy(self, version: int, strategy: dict[str, Any], now: float) -> Deployment:
        """Start a deployment: one at a time, and of what every validator lets pass."""
        found = self.versions.get(version)
        if found is None:
            raise missing(f"version {version}")
        if any(one.state(now) in UNDER_WAY for one in self.deployments):
            raise Refused(409, "ConflictException", "Deployment already in progress in this environment")
        self._validate(found[0])
        made = Deployment(len(self.deployments) + 1, version, strategy, now)
        self.deployments.append(made)
        return made

    def _validate(self, content: bytes) -> None:
        for schema in self.schemas:
            try:
                document = json.loads(content)
            except ValueError:
                raise bad("the configuration is not JSON", Reason="InvalidConfiguration") from None
            found = [
                {"Constraint": one.validator, "Location": one.json_path, "Reason": one.message, "Type": "JSON_SCHEMA"}
                for one in Draft4Validator(schema).iter_errors(document)
            ]
            if found:
                raise bad(
                    "the configuration is not valid",
                    Reason="InvalidConfiguration",
                    Details={"InvalidConfiguration": found},
                )
