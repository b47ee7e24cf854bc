"""`patchthrough secrets`: nothing is stored before a real call has shown that it works."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from cli.attachments import Attachments
from cli.deployment import Deployment, JsonOption, StageOption
from cli.errors import CommandError
from cli.key_store import KeyStore
from cli.keys import OPENAI, TWILIO, Keys, ask, from_json, try_openai, try_twilio, unseen
from cli.screen import Screen

app = typer.Typer(name="secrets", help="The stage's keys, in AWS Secrets Manager.", no_args_is_help=True)


class Service(StrEnum):
    """Whose keys."""

    TWILIO = "twilio"
    OPENAI = "openai"


@app.command("set")
def set_(
    service: Annotated[Service | None, typer.Argument(help="Only this service's keys.")] = None,
    stage: StageOption = "dev",
    *,
    from_stdin: Annotated[
        bool, typer.Option("--from-stdin", help=f"Read one JSON object: {', '.join(TWILIO + OPENAI)}.")
    ] = False,
    forget_previous: Annotated[
        bool, typer.Option("--forget-previous", help="Stop accepting the auth token before this one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for the keys, try each with a real call, and store them. Keys are never arguments, and never shown."""
    screen, deployment = Screen(as_json=as_json), Deployment.of(stage)
    store = KeyStore(deployment)
    wanted = {Service.TWILIO: TWILIO, Service.OPENAI: OPENAI, None: TWILIO + OPENAI}[service]
    if from_stdin:
        keys = from_json(_standard_input())
        if service is None and not keys.openai_api_key:
            wanted = TWILIO
    elif sys.stdin.isatty():
        keys = ask(wanted, store.account_sid)
    else:
        fix = "run it in a terminal, or pipe one JSON object into it with --from-stdin"
        raise CommandError("secrets set", "standard input is not a terminal", fix)
    with unseen(keys):
        keys.check(wanted)
        _try(deployment, keys, wanted, screen)
        _store(store, keys, wanted, screen, forget_previous=forget_previous)
        missing = store.missing()
        screen.show({"stage": stage, "missing": missing}, lambda console: _print_missing(console, missing))
    if deployment.stack is not None:
        screen.note("Deployed parts read changed keys again within a minute; live calls go on with theirs.")


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        return ""


def _print_missing(console: Console, missing: list[str]) -> None:
    lines = [f"missing: {name}" for name in missing] or ["all keys are stored"]
    console.print("\n".join(lines), markup=False)


def _try(deployment: Deployment, keys: Keys, wanted: tuple[str, ...], screen: Screen) -> None:
    if "account_sid" in wanted:
        try_twilio(deployment.environ, keys, screen.note)
        screen.note("✔ Twilio accepts the keys")
    if "openai_api_key" in wanted:
        try_openai(deployment.environ, keys, deployment.settings.agent)
        screen.note("✔ OpenAI opens a session with the agent's model")


def _store(store: KeyStore, keys: Keys, wanted: tuple[str, ...], screen: Screen, *, forget_previous: bool) -> None:
    if "account_sid" in wanted:
        before = store.account_sid
        changed = store.put_twilio(keys, forget_previous=forget_previous)
        screen.note(f"✔ stored Twilio's keys{'' if changed else ' (the auth token is unchanged)'}")
        if before not in {"", keys.account_sid}:
            screen.note("The account changed: deploy again, and attach a number of the new account.")
    if "openai_api_key" in wanted:
        changed = store.put_openai(keys)
        screen.note(f"✔ stored OpenAI's key{'' if changed else ' (unchanged)'}")


@app.command()
def check(stage: StageOption = "dev", *, as_json: JsonOption = False) -> None:
    """Name what is missing; exit status 1 if anything is. `make deploy` asks this first."""
    missing = KeyStore(Deployment.of(stage)).missing()
    screen = Screen(as_json=as_json)
    screen.show({"stage": stage, "missing": missing}, lambda console: _print_missing(console, missing))
    if missing:
        fix = f"run './patchthrough secrets set --stage {stage}'"
        raise CommandError(f"keys of stage {stage}", f"{len(missing)} of 4 missing", fix)


@app.command()
def delete(
    stage: StageOption = "dev",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Really delete them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the stage's keys, beyond recovery."""
    deployment = Deployment.of(stage)
    what = f"keys of stage {stage}"
    if deployment.stack is not None:
        raise CommandError(what, "the stack that needs them is deployed", f"run 'make destroy STAGE={stage}' first")
    if Attachments(deployment).all():
        fix = f"run './patchthrough number detach --all --stage {stage}' first"
        raise CommandError(what, "a number is attached, and only they can put it back", fix)
    if not yes:
        raise CommandError(what, "deleted keys cannot be brought back", "add --yes to delete them all the same")
    KeyStore(deployment).delete()
    done = f"deleted the keys of stage {stage}"
    Screen(as_json=as_json).show({"stage": stage, "deleted": True}, lambda console: console.print(done))
