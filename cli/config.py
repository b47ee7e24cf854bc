"""`patchthrough config validate`: whether agent file and stage settings can be deployed, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from cli.deployment import ROOT, JsonOption, StageOption
from cli.errors import CommandError
from cli.screen import Screen, table
from contracts.agent_file import AgentFile, AgentFileError
from contracts.agent_file import load as load_agent
from contracts.sentences import LANGUAGES, family
from infra.settings import Settings, SettingsError, load

# So that the stage's own settings are checked as well when the agent file is wrong.
_IN_ITS_PLACE = {
    "persona": "-",
    "greeting": "-",
    "destinations": {"any": {"name": "-", "number": "+15550100000", "description": "-"}},
    "default_destination": "any",
}

app = typer.Typer(name="config", help="The agent file and the stage's settings.", no_args_is_help=True)
File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="An agent file; the stage's own by default.")]


@app.command("validate")
def validate(file: File = None, *, stage: StageOption = "dev", as_json: JsonOption = False) -> None:
    """Check the agent file and the stage's settings, all at once; exit status 1 if something is wrong."""
    screen = Screen(as_json=as_json)
    content = stage_content(ROOT, stage)
    path = file or ROOT / str(content.get("agent_file", "agent.yaml"))
    agent, errors = _agent(path)
    errors += stage_errors(content, stage, agent)
    if not errors and file is None:
        # The same question that a deploy asks, so that no rule is known there alone.
        try:
            load(ROOT, stage)
        except SettingsError as error:
            errors.append(str(error))
    if errors or agent is None:
        screen.show({"valid": False, "errors": errors}, lambda console: _wrong(console, errors))
        raise typer.Exit(1)
    document = {"valid": True, "agent_file": str(path), "stage": stage, "agent": agent.model_dump(mode="json")}
    screen.show(document, lambda console: _meaning(console, path, stage, agent))


def stage_content(root: Path, stage: str) -> dict[str, Any]:
    """What `config/<stage>.yaml` holds.

    Raises:
        CommandError: there is no such stage, or its file is no mapping.
    """
    path = root / "config" / f"{stage}.yaml"
    if path not in (root / "config").glob("*.yaml"):
        known = ", ".join(sorted(one.stem for one in (root / "config").glob("*.yaml")))
        raise CommandError(f"stage {stage}", "there is no such stage", f"choose --stage {known}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise CommandError(f"config/{stage}.yaml", " ".join(str(error).split()), "correct the file") from None
    if not isinstance(content, dict):
        raise CommandError(f"config/{stage}.yaml", "it is no mapping", "write 'name: value' on each line")
    return content


def _agent(path: Path) -> tuple[AgentFile | None, list[str]]:
    try:
        return load_agent(path), []
    except AgentFileError as error:
        return None, str(error).splitlines()


def stage_errors(content: dict[str, Any], stage: str, agent: AgentFile | None) -> list[str]:
    """Everything that is wrong with a stage's settings, whatever is wrong with its agent file."""
    try:
        TypeAdapter(Settings).validate_python(
            content | {"stage": stage, "agent": agent or AgentFile.model_validate(_IN_ITS_PLACE)}
        )
    except ValidationError as error:
        return [_explained(stage, one) for one in error.errors()]
    return []


def _explained(stage: str, error: Any) -> str:
    name = ".".join(str(step) for step in error["loc"])
    unknown = error["type"] in {"unexpected_keyword_argument", "extra_forbidden"}
    message = "there is no such setting" if unknown else str(error["msg"]).removeprefix("Value error, ")
    remedy = "remove it, or correct its spelling" if unknown else f"correct the value {error['input']!r}"
    return f"config/{stage}.yaml: {name}: {message}; {remedy}"


def _wrong(console: Console, errors: list[str]) -> None:
    for text in errors:
        console.print(f"✖ {text}", markup=False)


def _meaning(console: Console, path: Path, stage: str, agent: AgentFile) -> None:
    console.print(f"✔ {path} and config/{stage}.yaml are right", markup=False)
    default = agent.default_destination
    rows = [
        (f"{key} *" if key == default else key, one.name, one.number, f"{one.ring_seconds} s", one.description)
        for key, one in agent.destinations.items()
    ]
    console.print(table(("destination", "called", "number", "rings", "chosen for"), rows))
    limits = agent.limits
    console.print(
        f"* whom everybody reaches when nothing else can be done: {agent.destinations[default].name}", markup=False
    )
    console.print(
        f"{agent.model}, voice {agent.voice}, language {agent.language}; with the agent at most "
        f"{limits.max_call_minutes} minutes, then with a person at most {limits.max_dial_minutes}",
        markup=False,
    )
    if family(agent.language) != agent.language[:2]:
        known = ", ".join(LANGUAGES)
        console.print(
            f'⚠ our own sentences ("One moment please") are not known in {agent.language}, only in {known}: callers '
            "hear them in English",
            markup=False,
        )
