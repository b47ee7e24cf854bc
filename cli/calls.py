"""`patchthrough calls`: what happened in a call, and which calls there were, out of the logs of all parts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from cli import call_log, telling
from cli.call_log import Event, moment
from cli.deployment import Deployment, JsonOption, StageOption
from cli.errors import CommandError
from cli.screen import Screen, table
from contracts import events

app = typer.Typer(name="calls", help="What happened in calls.", no_args_is_help=True)


@app.command("show")
def show(
    sid: Annotated[str, typer.Argument(metavar="CALLSID", help="CA and 32 hexadecimal digits.")],
    *,
    since: Annotated[str, typer.Option("--since", help="How far back to look: 30m, 24h, 7d.")] = "24h",
    stage: StageOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Tell one call from its first ring to its end; --json gives its events."""
    back, sid = call_log.span(since), call_log.call_sid(sid)
    found = call_log.merged(call_log.read(Deployment.of(stage), sid, back, datetime.now(UTC)), sid)
    if not found:
        why = f"stage {stage} has logged nothing about it in the last {since}"
        fix = "check SID and stage, look further back with --since 7d; a line takes a minute to arrive"
        raise CommandError(sid, why, fix)
    Screen(as_json=as_json).show(found, lambda console: tell(console, found))


def tell(console: Console, about: list[Event]) -> None:
    """A call's timeline, in seconds since its first event, and how it ended."""
    start = moment(about[0])
    for event in about:
        line = telling.told(event)
        if line is None:
            continue
        sign, style, sentence = line
        console.print(
            f"[dim]{moment(event) - start:8.2f} s[/]  [{style}]{sign}[/] {event.get('part', '?'):<8} ", end=""
        )
        console.print(sentence, markup=False)
    console.print(telling.ending(about), markup=False)


@app.command("list")
def list_(
    *,
    since: Annotated[str, typer.Option("--since", help="How far back to look: 30m, 24h, 7d.")] = "1h",
    stage: StageOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """List recent calls, the newest first."""
    back, deployment, now = call_log.span(since), Deployment.of(stage), datetime.now(UTC)
    # The webhook logs the beginning and the end of every call; its group is the first.
    asked = (events.CALL_RECEIVED, events.CALL_ENDED, events.TRANSFER_BRIDGED)
    lines = [line for event in asked for line in call_log.read(deployment, event.name, back, now, groups=1)]
    calls = [summary(sid, about) for sid, about in call_log.by_call(call_log.merged(lines)).items()]
    calls = sorted((call for call in calls if call["at"]), key=lambda call: str(call["at"]), reverse=True)
    columns = ("at", "call_sid", "caller", "seconds", "reason", "by", "person")

    def human(console: Console) -> None:
        console.print(table(columns, ([str(call[name] or "") for name in columns] for call in calls)))
        if not calls:
            console.print(f"No call came in during the last {since}.", markup=False)

    Screen(as_json=as_json).show(calls, human)


def summary(sid: str, about: list[Event]) -> dict[str, object]:
    """A call in one line; what its events do not say is None."""
    by_name = {str(event["event"]): event for event in about}
    began = by_name.get(events.CALL_RECEIVED.name, {})
    ended = by_name.get(events.CALL_ENDED.name, {})
    return {
        "call_sid": sid,
        "at": began.get("at"),
        "caller": began.get("caller"),
        "seconds": ended.get("seconds"),
        "reason": ended.get("reason"),
        "by": ended.get("by"),
        "person": by_name.get(events.TRANSFER_BRIDGED.name, {}).get("destination"),
    }
