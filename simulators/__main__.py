"""`python -m simulators`: play a call, or run the stack and wait for calls."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from simulators.settings import StackError


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 2 when it could not begin."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="play a whole spoken call and leave a folder to listen to")
    demo.add_argument("--scenario", default="billing", help="billing, hours, press-zero, no-answer or caller-hangs-up")
    demo.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where the folder is made")
    commands.add_parser("serve", help="run the local stack and wait for calls")
    arguments = parser.parse_args(argv)
    _spare_loopback()
    try:
        if arguments.command == "serve":
            from simulators.serve import serve  # noqa: PLC0415 - a wrong command line is answered at once

            return serve(os.environ)
        from simulators.demo import demo as play  # noqa: PLC0415 - likewise

        return play(arguments.scenario, arguments.runs_dir, os.environ)
    except StackError as error:
        sys.stderr.write(f"patchthrough: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _spare_loopback() -> None:
    """Keep requests to this machine away from a proxy that the environment may name."""
    for name in ("NO_PROXY", "no_proxy"):
        kept = os.environ.get(name, "")
        os.environ[name] = ",".join(part for part in (kept, "127.0.0.1", "localhost") if part)


if __name__ == "__main__":
    sys.exit(main())
