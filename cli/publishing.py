"""`patchthrough config push`, `pull` and `forget`: the agent file of a running stage, changed without a deployment."""

from __future__ import annotations

import difflib
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import yaml
from rich.console import Console

from cli.deployment import ROOT, Deployment, JsonOption, StageOption
from cli.errors import CommandError
from cli.live_config import Invalid, LiveConfig, refuse_if_busy
from cli.screen import Screen
from contracts import agent_file
from contracts.agent_file import AgentFile, AgentFileError
from contracts.destination import Channel

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="An agent file; the stage's own by default.")
]
_WATCHED = frozenset({"COMPLETE"})
_ANSWERING = frozenset({"BAKING", "COMPLETE"})
_TOLD = {
    "VALIDATING": "is being checked",
    "DEPLOYING": "is on its way",
    "BAKING": "is in force for new calls; AWS watches the alarms and takes it back if one rings",
    "ROLLING_BACK": "is being taken back",
}


def push(
    file: FileArgument = None,
    *,
    stage: StageOption = "dev",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave when it is in force, not when it has proved.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and show the difference only.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish an agent file: live calls keep theirs, the next call has the new one."""
    screen, deployment = Screen(as_json=as_json), Deployment.of(stage)
    path = file or _own(deployment)
    agent = _checked(path, screen)
    _refuse_what_a_deployment_must_do(deployment, agent)
    config = LiveConfig(deployment)
    before = config.in_force()
    difference = _difference(before, agent.written)
    document = {"stage": stage, "file": str(path), "changed": bool(difference), "difference": difference}
    if not difference or dry_run:
        state = "the same is in force already" if not difference else "nothing was published"
        screen.show({**document, "state": "unchanged"}, lambda console: _print(console, difference, state))
        return
    refuse_if_busy(config)
    try:
        number = config.publish(agent.written)
    except Invalid as invalid:
        _refuse(screen, [f"{path}: {one}" for one in invalid.errors])
    screen.note("\n".join(difference))
    until = _ANSWERING if no_wait else _WATCHED
    why = config.follow(number, lambda state, _: _tell(screen, state), until=until, sleep=time.sleep)
    if why:
        fix = "look at the alarm in docs/runbook.md, correct the file and push again"
        raise CommandError(f"{path}", f"it was taken back: {why}; the file before it is in force", fix)
    _remind(screen, before, agent)
    done = f"✔ {path} is in force on stage {stage}"
    screen.show({**document, "state": "in force"}, lambda console: console.print(done, markup=False))


def pull(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to write it; stdout by default.")] = None,
    *,
    stage: StageOption = "dev",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch the agent file that is in force. Comments are not kept there: they stay in the file that was pushed."""
    screen = Screen(as_json=as_json)
    content = LiveConfig(Deployment.of(stage)).in_force()
    if content is None:
        raise CommandError("live configuration", "nothing was ever deployed", f"run 'make deploy STAGE={stage}'")
    if file is None:
        screen.show(content, lambda console: console.print(_yaml(content), markup=False, end=""))
        return
    if file.exists() and not force:
        raise CommandError(f"{file}", "it exists", "choose another name, or add --force to write over it")
    try:
        file.write_text(_yaml(content), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}", str(error.strerror), "choose another place") from None
    screen.show({"stage": stage, "file": str(file)}, lambda console: console.print(f"✔ wrote {file}", markup=False))


def forget(
    *,
    stage: StageOption = "dev",
    yes: Annotated[bool, typer.Option("--yes", help="Really delete them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete every published version, before the stage is destroyed: AWS deletes no configuration that has any."""
    screen, deployment = Screen(as_json=as_json), Deployment.of(stage)
    if not yes:
        raise CommandError(
            f"configuration of stage {stage}", "parts that start would have the deployed file", "add --yes"
        )
    deployed = deployment.stack is not None and "ConfigProfile" in deployment.outputs
    count = LiveConfig(deployment).forget() if deployed else 0
    screen.show({"stage": stage, "deleted": count}, lambda console: console.print(f"deleted versions: {count}"))


def _own(deployment: Deployment) -> Path:
    return ROOT / deployment.settings.agent_file


def _checked(path: Path, screen: Screen) -> AgentFile:
    try:
        return agent_file.load(path)
    except AgentFileError as error:
        _refuse(screen, str(error).splitlines())


def _refuse(screen: Screen, errors: list[str]) -> NoReturn:
    """In the words of `config validate`: nothing has changed."""
    screen.show(
        {"valid": False, "errors": errors},
        lambda console: console.print("\n".join(f"✖ {one}" for one in errors), markup=False),
    )
    raise typer.Exit(1)


def _refuse_what_a_deployment_must_do(deployment: Deployment, agent: AgentFile) -> None:
    """What the stack was built for cannot be pushed past it."""
    fix = f"run 'make deploy STAGE={deployment.settings.stage}' with this file instead"
    minutes = int(deployment.outputs.get("MaxCallMinutes", "0"))
    if minutes and agent.limits.max_call_minutes > minutes:
        why = f"limits.max_call_minutes: the stack lets calls of {minutes} minutes end in peace, not longer ones"
        raise CommandError("live configuration", why, fix)
    permitted = deployment.outputs.get("MessagesGoTo", "").split(",")
    for one in agent.directory.deliveries:
        if one.permission and one.permission not in permitted:
            how = "as" if one.channel is Channel.EMAIL else "to"
            why = f"deliver.{one.channel}: the stack may not send {how} {one.permission} yet"
            raise CommandError("live configuration", why, fix)


def _difference(before: object, after: object) -> list[str]:
    old, new = ([] if one is None else _yaml(one).splitlines() for one in (before, after))
    return list(difflib.unified_diff(old, new, "in force", "to be published", lineterm="", n=1))


def _yaml(content: object) -> str:
    return yaml.dump(content, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=100)


class _Readable(yaml.SafeDumper):
    """Writes a text of several lines as a person would."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """A block for more than one line."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Readable.add_representer(str, _Readable.represent_str)


def _print(console: Console, difference: list[str], state: str) -> None:
    console.print("\n".join([*difference, state]), markup=False)


def _tell(screen: Screen, state: str) -> None:
    if state in _TOLD:
        screen.note(f"· {_TOLD[state]}")


def _remind(screen: Screen, before: object, agent: AgentFile) -> None:
    try:
        old = agent_file.check(before, "in force")
    except AgentFileError:
        return
    if old.directory.default.number != agent.directory.default.number:
        screen.note("The default person has another number: run './patchthrough number attach' again for the fallback.")
