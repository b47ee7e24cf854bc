"""What `agent.yaml` may say: the one file that describes an agent and the people it can reach.

Read with pydantic at deploy and at the relay's start, where an error stops the work and is named with its path. The
Lambdas read the same file, already checked, without pydantic: their cold start is a caller's ringing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ModelWrapValidatorHandler, StringConstraints, ValidationError, model_validator

from contracts.destinations_file import (
    Destination,
    DestinationKey,
    Escalation,
    Guards,
    Hours,
    Line,
    ScreenPop,
    Strict,
    Voicemail,
)
from contracts.directory import Directory, DirectoryRefused, parse
from contracts.directory_file import FORMS

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]


class ServerVad(Strict):
    """The model decides by silence that the caller's turn is over."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_ms: int = Field(default=500, ge=100, le=5000)


class SemanticVad(Strict):
    """The model decides by what was said that the caller's turn is over."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


class Limits(Strict):
    """What one call, and one relay task, may use."""

    max_call_minutes: int = Field(default=30, ge=1, le=180, description="Then the caller is handed to a person")
    max_dial_minutes: int = Field(default=60, ge=1, le=240, description="Longest conversation with a person")
    max_calls: int = Field(default=100, ge=1, le=2000, description="Live calls of one relay task")


class AgentFile(Strict):
    """The whole of `agent.yaml`."""

    persona: Text = Field(description="Who the agent is, what it knows and how it behaves")
    greeting: Line = Field(description="The agent's first sentence, spoken once")
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")] = "en"
    voice: Line = "marin"
    model: Line = "gpt-realtime-2.1"
    transcription_model: Line = "gpt-transcribe"
    turn_detection: Annotated[ServerVad | SemanticVad, Field(discriminator="type")] = ServerVad()
    hours: dict[DestinationKey, Hours] = Field(default={}, max_length=20)
    destinations: dict[DestinationKey, Destination] = Field(min_length=1, max_length=20)
    default_destination: DestinationKey
    voicemail: Voicemail | None = None
    screen_pop: ScreenPop | None = None
    escalation: Escalation = Escalation()
    guards: Guards = Guards()
    limits: Limits = Limits()

    @model_validator(mode="wrap")
    @classmethod
    def _has_a_directory(cls, content: object, check: ModelWrapValidatorHandler[AgentFile]) -> AgentFile:
        """What passes here can be used by the Lambdas, who read the very same content."""
        checked = check(content)
        if isinstance(content, Mapping):
            parse(content)
        return checked

    @property
    def directory(self) -> Directory:
        """Whom a caller can reach, as the hunt and the functions know it."""
        return parse(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    @property
    def written(self) -> dict[str, Any]:
        """What the file says and nothing that it leaves to the defaults, as JSON has it: the form that is published."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


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
    return check(content(path), path)


def content(path: Path) -> object:
    """What an agent file says, unchecked.

    Raises:
        AgentFileError: it is missing or is not YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _OnceOnly)  # noqa: S506 - it is a safe loader
    except OSError as error:
        raise AgentFileError(f"{path}: cannot be read ({error.strerror}); set AGENT_FILE to your agent file") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        raise AgentFileError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error


def check(content: object, where: Path | str) -> AgentFile:
    """The agent file with this content, as YAML or JSON gives it; `where` begins each line of an error.

    Raises:
        AgentFileError: it breaks a rule.
    """
    try:
        return AgentFile.model_validate(content)
    except ValidationError as error:
        raise AgentFileError("\n".join(line for one in error.errors() for line in _explain(where, one))) from error


_FORMS = {
    **{kind.value: f"write it as {example}" for kind, (_, example) in FORMS.items()},
    "sender": "write it as desk@example.com",
    "number": "write it as +15550100001",
    "countries": 'write it as "+1"',
    "language": "write it as en or en-US",
    "open": 'write it as mon-fri: "09:00-17:00"',
    "holidays": 'write it as 2026-12-25, or "12-25" for every year',
}


def _explain(path: Path | str, error: object) -> Iterator[str]:
    assert isinstance(error, dict), "pydantic describes each error by a mapping"
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, DirectoryRefused):
        for one in cause.problems:
            yield f"{path}: {one.path}: {one.says}; {one.remedy}"
        return
    steps = [str(step) for step in error["loc"]]
    remedy = {
        "extra_forbidden": "remove it, or correct its spelling",
        "missing": "add it",
        "string_pattern_mismatch": next(
            (_FORMS[step] for step in reversed(steps) if step in _FORMS), "write it in lower case, without spaces"
        ),
        "string_type": "write a text, in quotes if it is a number",
        "literal_error": "choose one of these; a telephone key stands in quotes",
    }.get(error["type"], "correct the value")
    yield f"{path}: {'.'.join(steps) or '(whole file)'}: {error['msg']}; {remedy}"


def schema() -> dict[str, object]:
    """The JSON Schema that stands beside `agent.yaml` for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **AgentFile.model_json_schema(by_alias=True)}
