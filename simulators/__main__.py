"""`python -m simulators`: play a call, run the stack and wait for calls, or deploy it into an emulator."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from simulators.settings import StackError


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 2 when it could not begin."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="play a whole spoken call and leave a folder to listen to")
    demo.add_argument("--scenario", default="billing", help="the name of a file in simulators/scenarios")
    demo.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where the folder is made")
    commands.add_parser("serve", help="run the local stack and wait for calls")
    deploy = commands.add_parser("deploy-local", help="deploy into an AWS emulator and play calls through it")
    deploy.add_argument("--scenario", default="", help="names of scenarios to play, between commas")
    deploy.add_argument("--keep", action="store_true", help="leave the emulator running, with the stack in it")
    commands.add_parser("destroy-local", help="destroy what deploy-local --keep left")
    commands.add_parser("cli-reference", help="write docs/reference/cli.md by running its commands")
    commands.add_parser("clips", help="speak the relay's own lines into containers/media_relay/clips")
    escalation = commands.add_parser("escalation", help="write docs/reference/escalation.md by playing its calls")
    escalation.add_argument("--at-once", type=int, default=8, help="how many calls are up at the same time")
    escalation.add_argument("--races", type=int, default=100, help="how many attended calls both sides hang up in")
    chaos = commands.add_parser("chaos", help="break everything during calls, and write docs/reference/faults.md")
    chaos.add_argument("--quick", action="store_true", help="a few rows, a few calls, no page")
    chaos.add_argument("--calls-only", action="store_true", help="play, and run no tests")
    chaos.add_argument("--rows", default="", help="some rows only, between commas: R3,R15")
    chaos.add_argument("--again", action="store_true", help="write those rows into the page, in place of what it had")
    chaos.add_argument("--calls", type=int, default=0, help="so many calls a row")
    chaos.add_argument("--at-once", type=int, default=12, help="how many calls are up at the same time")
    chaos.add_argument("--seed", type=int, default=1, help="what the random moments are drawn from")
    chaos.add_argument("--folder", type=Path, help="where a part of a campaign leaves its page")
    move = commands.add_parser("move", help="move calls amid a sentence from one relay to another, and count")
    move.add_argument("--calls", type=int, default=100, help="how many calls")
    move.add_argument("--at-once", type=int, default=10, help="how many of them at one relay")
    arguments = parser.parse_args(argv)
    _spare_loopback()
    try:
        if arguments.command == "serve":
            from simulators.serve import serve  # noqa: PLC0415 - a wrong command line is answered at once

            return serve(os.environ)
        if arguments.command.endswith("-local"):
            from simulators.deployed import program  # noqa: PLC0415 - likewise

            if arguments.command == "destroy-local":
                return program.destroy_local()
            names = [name for name in arguments.scenario.split(",") if name]
            return program.deploy_local(names, keep=arguments.keep)
        if arguments.command == "chaos":
            from simulators.chaos.command import Campaign, run  # noqa: PLC0415 - likewise

            return run(
                Campaign(
                    rows=frozenset(row for row in arguments.rows.split(",") if row),
                    again=arguments.again,
                    quick=arguments.quick,
                    calls_only=arguments.calls_only,
                    at_once=arguments.at_once,
                    calls=arguments.calls,
                    seed=arguments.seed,
                    folder=arguments.folder,
                ),
                os.environ,
            )
        if arguments.command != "demo":
            return _made(arguments)
        from simulators.demo import demo as play  # noqa: PLC0415 - likewise

        return play(arguments.scenario, arguments.runs_dir, os.environ)
    except StackError as error:
        sys.stderr.write(f"patchthrough: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _made(arguments: argparse.Namespace) -> int:
    """What is written into the repository, or measured."""
    if arguments.command == "clips":
        from simulators import clips  # noqa: PLC0415 - likewise

        return clips.write()
    if arguments.command == "move":
        from simulators import move  # noqa: PLC0415 - likewise

        return move.command(os.environ, calls=arguments.calls, at_once=arguments.at_once)
    if arguments.command == "escalation":
        from simulators.escalation import command  # noqa: PLC0415 - likewise

        return command.write(os.environ, at_once=arguments.at_once, races=arguments.races)
    from simulators.deployed import reference  # noqa: PLC0415 - likewise

    return asyncio.run(reference.write())


def _spare_loopback() -> None:
    """Keep requests to this machine away from a proxy that the environment may name."""
    for name in ("NO_PROXY", "no_proxy"):
        kept = os.environ.get(name, "")
        os.environ[name] = ",".join(part for part in (kept, "127.0.0.1", "localhost") if part)


if __name__ == "__main__":
    sys.exit(main())
