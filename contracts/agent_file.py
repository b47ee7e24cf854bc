"""What `agent.yaml` may say: the one file that describes an agent and the people it can reach.

Read with pydantic at deploy and at the relay's start, where an error stops the work and is named with its path. The
Lambdas read the same file, already checked, without pydantic: their cold start is a caller's ringing.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
DestinationKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerVad(_Strict):
    """The model decides by silence that the caller's turn is over."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_ms: int = Field(default=500, ge=100, le=5000)


class SemanticVad(_Strict):
    """The model decides by what was said that the caller's turn is over."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


class Destination(_Strict):
    """A person, or a line answered by people, that the agent may hand a caller to."""

    name: Line = Field(description="What the agent calls it when it speaks: 'the billing team'")
    number: E164 = Field(description="Where it rings, in E.164 form: +15550100001")
    description: Line = Field(description="When to choose it; the model reads this")
    ring_seconds: int = Field(default=20, ge=5, le=120, description="How long it rings before it counts as no answer")


class Limits(_Strict):
    """What one call, and one relay task, may use."""

    max_call_minutes: int = Field(default=30, ge=1, le=55, description="Then the caller is handed to a person")
    max_dial_minutes: int = Field(default=60, ge=1, le=240, description="Longest conversation with a person")
    max_calls: int = Field(default=100, ge=1, le=2000, description="Live calls of one relay task")


class AgentFile(_Strict):
    """The whole of `agent.yaml`."""

    persona: Text = Field(description="Who the agent is, what it knows and how it behaves")
    greeting: Line = Field(description="The agent's first sentence, spoken once")
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] = "en"
    voice: Line = "marin"
    model: Line = "gpt-realtime-2.1"
    transcription_model: Line = "gpt-transcribe"
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] = ServerVad()
    destinations: dict[DestinationKey, Destination] = Field(min_length=1, max_length=20)
    default_destination: DestinationKey
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _default_exists(self) -> AgentFile:
        if self.default_destination not in self.destinations:
            known = ", ".join(sorted(self.destinations))
            msg = f"default_destination '{self.default_destination}' is not one of the destinations ({known})"
            raise ValueError(msg)
        return self


class AgentFileError(ValueError):
    """`agent.yaml` cannot be used; the text names file, path of each error and remedy, one a line."""


class _OnceOnly(yaml.SafeLoader):
    """Refuses a key that is given twice; YAML's own loader takes the last, and a person would be lost silently."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - as it is called by PyYAML
    ) -> dict[Hashable, Any]:
        """A mapping whose keys differ."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


def load(path: Path) -> AgentFile:
    """Read and check an agent file.

    Raises:
        AgentFileError: it is missing, is not YAML, or breaks a rule.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _OnceOnly)  # noqa: S506 - it is a safe loader
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be read ({error.strerror}); set AGENT_FILE to your agent file") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise AgentFileError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    try:
        return AgentFile.model_validate(content)
    except ValidationError as error:
        raise AgentFileError("\n".join(_explain(path, one) for one in error.errors())) from error


_FORMS = {"number": "write it as +15550100001", "language": "write it as en or en-US"}


def _explain(path: Path, error: object) -> str:
    assert isinstance(error, dict), "pydantic describes each error by a mapping"
    steps = [str(step) for step in error["loc"]]
    remedy = {
        "extra_forbidden": "remove it, or correct its spelling",
        "missing": "add it",
        "string_pattern_mismatch": _FORMS.get(steps[-1] if steps else "", "write it in lower case, without spaces"),
    }.get(error["type"], "correct the value")
    return f"{path}: {'.'.join(steps) or '(whole file)'}: {error['msg']}; {remedy}"


def schema() -> dict[str, object]:
    """The JSON Schema that stands beside `agent.yaml` for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **AgentFile.model_json_schema()}
