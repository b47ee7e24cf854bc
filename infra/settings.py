"""What one stage deploys: the numbers an operator may choose, and every number that follows from them.

A stage is a file, `config/<stage>.yaml`. What the agent and its calls may do stands in `agent.yaml` and is read from
there, so that no figure is written down twice; `Timing` derives the rest, and a test holds the figures against each
other and against the code that obeys them.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from contracts.agent_file import AgentFile, AgentFileError
from contracts.agent_file import load as load_agent

_STRICT = ConfigDict(extra="forbid")
_HOST = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$"
Stage = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,11}$")]
Host = Annotated[str, StringConstraints(pattern=_HOST, max_length=253)]
LogDays = Literal[7, 30, 90, 365]

# Fargate's memory for each CPU share, in MiB, as far as one Python process can use it:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
_MEMORY = {512: range(1024, 4097, 1024), 1024: range(2048, 8193, 1024)}
CALLS_PER_VCPU = 50
"""A live call costs the relay at most 0.02 vCPU, TLS to the model included (see benchmarks/)."""


class SettingsError(ValueError):
    """A stage cannot be deployed as it is set; the text is one line that names the file, the setting and the remedy."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Timing:
    """Every time of the deployed parts, from the longest call (minutes). Seconds unless the name says otherwise."""

    max_call_minutes: Annotated[int, Field(ge=1, le=180)]

    @property
    def deregistration(self) -> int:
        """How long a load balancer lets a leaving task's sockets live: a whole call, and a minute to say goodbye.

        At most 3,600, after which a longer call moves to another task: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
        """
        return min(self.max_call_minutes * 60 + 60, 3600)

    @property
    def protection_minutes(self) -> int:
        """How long a task's scale-in protection lasts unless renewed: a whole call, even if no renewal succeeds."""
        return self.max_call_minutes + 2

    @property
    def stop_timeout(self) -> int:
        """From SIGTERM to SIGKILL; Fargate allows no more than 120.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
        """
        return 120

    @property
    def drain(self) -> int:
        """How long the relay lets live calls end by themselves after SIGTERM, before it sends them on."""
        return self.stop_timeout - 20

    @property
    def idle(self) -> int:
        """Silence after which the load balancer closes a socket; the relay pings every few seconds."""
        return 120

    @property
    def webhook(self) -> int:
        """The webhook's time limit: Twilio waits 15 seconds and then asks the number's fallback URL.

        https://www.twilio.com/docs/api/errors/11200
        """
        return 10

    @property
    def transfer(self) -> int:
        """The transfer function's time limit: two dials that both end in doubt, and as long as one for a slow ledger.

        A function that is killed cannot say when its message shall come back: it stays hidden for `visibility`.
        """
        return 60

    @property
    def visibility(self) -> int:
        """How long a received message stays hidden when the function never says: six times its limit, as AWS asks.

        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        """
        return 6 * self.transfer

    @property
    def receives(self) -> int:
        """Receives after which a message goes to the last resort."""
        return 10

    @property
    def retention(self) -> int:
        """How long the transfer queue keeps a message: past its last receive, or it would never be dead-lettered."""
        return (self.receives + 2) * self.visibility


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Domain:
    """The media socket's own host name, in a Route 53 zone of the same account."""

    name: Host
    hosted_zone_id: Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{1,31}$")]
    hosted_zone_name: Host


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Relay:
    """The relay's tasks. `cpu` in 1/1024 vCPU, `memory` in MiB; `calls_per_task` is where a task says "full"."""

    cpu: Annotated[int, Field(ge=512, le=1024)] = 1024
    memory: int = 2048
    calls_per_task: Annotated[int, Field(ge=4, le=100)] = 30
    min_tasks: Annotated[int, Field(ge=2, le=100)] = 2
    max_tasks: Annotated[int, Field(ge=2, le=100)] = 20

    def __post_init__(self) -> None:
        if self.memory not in _MEMORY.get(self.cpu, ()):
            raise ValueError("cpu must be 512 (memory 1024 to 4096) or 1024 (memory 2048 to 8192, by 1024)")
        if self.calls_per_task * 1024 > CALLS_PER_VCPU * self.cpu:
            raise ValueError(f"calls_per_task must not exceed {CALLS_PER_VCPU * self.cpu // 1024} for cpu {self.cpu}")
        if self.max_tasks < self.min_tasks:
            raise ValueError("max_tasks must not be less than min_tasks")

    @property
    def target_calls(self) -> int:
        """Calls per accepting task that scaling aims at; the rest is headroom for the time a new task takes."""
        return self.calls_per_task * 6 // 10


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Settings:
    """One stage. `agent_file` lies in the repository's root; `log_days` is how long every log is kept."""

    stage: Stage
    agent: AgentFile
    agent_file: Annotated[str, StringConstraints(pattern=r"^agent[a-z0-9.-]*\.yaml$")] = "agent.yaml"
    domain: Domain | None = None
    relay: Relay = field(default_factory=Relay)
    log_days: LogDays = 30
    alarm_email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] | None = None
    runbook_url: str = "docs/runbook.md"
    origin_prefix_list: Annotated[str, StringConstraints(pattern=r"^pl-[0-9a-f]{8,17}$")] | None = None
    """CloudFront's origin-facing prefix list in the region; looked up while deploying unless given."""

    @property
    def timing(self) -> Timing:
        """Every time of this stage's parts."""
        return Timing(max_call_minutes=self.agent.limits.max_call_minutes)

    @property
    def stack_name(self) -> str:
        """The CloudFormation stack."""
        return f"patchthrough-{self.stage}"

    @property
    def cluster_name(self) -> str:
        """The relay's cluster. Named, because container insights name a log group after it."""
        return self.stack_name

    @property
    def auth_token_secret(self) -> str:
        """The secret `{"current": …, "previous": …}`: Twilio's auth token, which proves Twilio's requests."""
        return f"patchthrough/{self.stage}/twilio-auth-token"

    @property
    def rest_secret(self) -> str:
        """The secret `{"username": …, "password": …}`: what may update calls at Twilio."""
        return f"patchthrough/{self.stage}/twilio-rest"

    @property
    def openai_secret(self) -> str:
        """The secret with the model's API key."""
        return f"patchthrough/{self.stage}/openai-api-key"

    @property
    def account_sid_parameter(self) -> str:
        """The Systems Manager parameter with Twilio's account SID, no secret. Without it a deploy stops at once."""
        return f"/patchthrough/{self.stage}/twilio-account-sid"


def load(root: Path, stage: str) -> Settings:
    """Read and check a stage's file and its agent file, below the repository's `root`.

    Raises:
        SettingsError: there is no such stage, or a setting is wrong.
    """
    stages = {file.stem: file for file in sorted((root / "config").glob("*.yaml"))}
    if stage not in stages:
        raise SettingsError(f"there is no stage '{stage}'; choose one of {', '.join(stages)} with -c stage=…")
    path = stages[stage]
    where = path.relative_to(root)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{where}: is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{where}: must be a list of settings, 'name: value' on each line")
    try:
        agent = load_agent(root / str(content.get("agent_file", "agent.yaml")))
        return TypeAdapter(Settings).validate_python(content | {"stage": stage, "agent": agent})
    except AgentFileError as error:
        raise SettingsError(str(error).splitlines()[0]) from None
    except ValidationError as error:
        raise SettingsError(f"{where}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(step) for step in first["loc"])
    if name in {"max_call_minutes", "max_calls", "destinations"}:
        return f"{name} is not set here; set it in the agent file"
    if first["loc"][0] == "domain" and not isinstance(first["input"], dict) and len(first["loc"]) == 1:
        return "domain: give one domain, as name, hosted_zone_id and hosted_zone_name"
    if first["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"{name}: there is no such setting; remove it, or correct its spelling"
    return f"{name}: {first['msg'].removeprefix('Value error, ')}; it is {first['input']!r}"
