"""One stage's deployment, as the commands see it: its settings, its stack's outputs, and the services around it.

boto3 reads `AWS_ENDPOINT_URL` by itself, `TWILIO_API_BASE_URL` and `OPENAI_REALTIME_URL` move the other two: so every
command runs against the emulators as it runs against the real services.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import CommandError
from infra.settings import Settings, SettingsError, load

ROOT = Path(__file__).resolve().parent.parent

StageOption = Annotated[
    str, typer.Option("--stage", envvar="PATCHTHROUGH_STAGE", help="Which config/<stage>.yaml is meant.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

_CLIENTS = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3})


@contextmanager
def asking_aws(what: str) -> Iterator[None]:
    """Raises what AWS refuses inside as a `CommandError` about `what`."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise CommandError(what, str(error), "check the AWS credentials and region") from None


def code_of(error: ClientError) -> str:
    """AWS's name for the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


@dataclass(frozen=True)
class Deployment:
    """A stage and where it is deployed: the account and region of the AWS credentials in the environment."""

    settings: Settings
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _making: Lock = field(default_factory=Lock, repr=False, compare=False)  # a session makes one client at a time

    @classmethod
    def of(cls, stage: str) -> Deployment:
        """The deployment of a stage.

        Raises:
            CommandError: there is no such stage, or its file is wrong.
        """
        try:
            return cls(load(ROOT, stage))
        except SettingsError as error:
            raise CommandError(
                f"stage {stage}", str(error), "correct the file, or choose another with --stage"
            ) from None

    @cached_property
    def session(self) -> boto3.Session:
        """The AWS session of the environment; boto3 itself knows AWS_DEFAULT_REGION alone."""
        region = self.environ.get("AWS_REGION") or self.environ.get("AWS_DEFAULT_REGION")
        try:
            return boto3.Session(region_name=region)
        except BotoCoreError as error:
            raise CommandError("AWS", str(error), "correct AWS_PROFILE and AWS_REGION") from None

    def aws(self, service: str) -> Any:
        """The boto3 client of a service; it gives up in seconds, and threads may share it.

        Raises:
            CommandError: no region is set.
        """
        try:
            with self._making:
                if service not in self._made:
                    make: Any = self.session.client
                    self._made[service] = make(service, config=_CLIENTS)
                return self._made[service]
        except (BotoCoreError, ValueError) as error:  # ValueError: AWS_ENDPOINT_URL is no URL
            raise CommandError("AWS", str(error), "set AWS_REGION (and AWS_PROFILE), or run 'aws configure'") from None

    @cached_property
    def stack(self) -> Mapping[str, Any] | None:
        """The stack as CloudFormation describes it; None if there is none.

        Raises:
            CommandError: AWS cannot be asked.
        """
        name = self.settings.stack_name
        with asking_aws(f"stack {name}"):
            try:
                (stack,) = self.aws("cloudformation").describe_stacks(StackName=name)["Stacks"]
            except ClientError as error:
                if code_of(error) == "ValidationError":  # it "does not exist", and has no code of its own for that
                    return None
                raise
        return dict(stack)

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs by name, as `infra/stack.py` tells them.

        Raises:
            CommandError: AWS cannot be asked, or the stack is not deployed.
        """
        if self.stack is None:
            fix = f"run 'make deploy STAGE={self.settings.stage}'"
            raise CommandError(f"stack {self.settings.stack_name}", "it is not deployed", fix)
        return {output["OutputKey"]: output["OutputValue"] for output in self.stack.get("Outputs", [])}

    def secret(self, name: str) -> str | None:
        """A secret's current value; None if there is none, or if it is scheduled for deletion.

        Raises:
            CommandError: Secrets Manager cannot be asked.
        """
        with asking_aws(f"secret {name}"):
            try:
                answer = self.aws("secretsmanager").get_secret_value(SecretId=name)
            except ClientError as error:
                if code_of(error) in {"ResourceNotFoundException", "InvalidRequestException"}:
                    return None
                raise
        return str(answer.get("SecretString", ""))

    def secret_object(self, name: str) -> Mapping[str, Any]:
        """A JSON secret's content; {} if there is none or it is no JSON object.

        Raises:
            CommandError: Secrets Manager cannot be asked.
        """
        try:
            content = json.loads(self.secret(name) or "{}")
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def parameter(self, name: str) -> str | None:
        """A Systems Manager parameter's value; None if there is none.

        Raises:
            CommandError: Systems Manager cannot be asked.
        """
        with asking_aws(f"parameter {name}"):
            try:
                return str(self.aws("ssm").get_parameter(Name=name)["Parameter"]["Value"])
            except ClientError as error:
                if code_of(error) == "ParameterNotFound":
                    return None
                raise
