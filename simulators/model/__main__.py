"""`python -m simulators.model`: the stand-in as a program; prints one JSON line when it listens."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from simulators.model import Model, Say, ScriptedMind, Terms, Turn
from simulators.model.listening import ListeningMind


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.model", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one")
    parser.add_argument("--mind", choices=["listening", "scripted"], default="listening")
    parser.add_argument("--say", action="append", default=[], help="scripted: what to answer, turn by turn")
    parser.add_argument("--api-key", help="the only bearer token that is accepted; any, if left out")
    parser.add_argument("--pace", type=float, default=4.0, help="audio is made this many times faster than real time")
    parser.add_argument("--lifetime", type=float, default=3600.0, help="seconds until a session expires")
    arguments = parser.parse_args()
    if arguments.pace <= 0:
        parser.error("--pace must be above 0")
    return arguments


async def _serve(arguments: argparse.Namespace) -> None:
    script = [Turn((Say(text),)) for text in arguments.say]
    mind = ListeningMind if arguments.mind == "listening" else lambda: ScriptedMind(script)
    terms = Terms(lifetime=arguments.lifetime, pace=arguments.pace)
    model = Model(mind, api_key=arguments.api_key, terms=terms)
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await model.start(arguments.port, arguments.host)
    sys.stdout.write(json.dumps({"url": model.url, "mind": arguments.mind}) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    await model.stop()


def main() -> int:
    """Run until SIGINT or SIGTERM; 2 if the address cannot be used."""
    arguments = _arguments()
    try:
        asyncio.run(_serve(arguments))
    except OSError as error:
        reason = error.strerror or str(error)
        sys.stderr.write(f"{arguments.host}:{arguments.port} cannot be used: {reason}; choose another with --port\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
