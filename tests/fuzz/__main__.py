"""Fuzz each target by coverage for some minutes, and keep what reached new code.

uv run --with atheris==3.0.0 python -m tests.fuzz [TARGET …] [--minutes 10]

Atheris is in no group: nothing else here needs it, and it has wheels for some interpreters only. A crash ends with its
traceback, exit status 1, and its input among the kept ones, so that CI stays red until it is read rightly.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS, corpus, keep

MOST_KEPT = 300  # about; what was kept before stays
LONGEST = 8 * 1024  # octets; what is longer is for the tests of size


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []], help="default: each")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target")
    asked = parser.parse_args()
    failed = [name for name in asked.target or TARGETS if not _fuzz(name, asked.minutes)]
    sys.stdout.write(f"crashed: {', '.join(failed)}\n" if failed else "0 uncaught\n")
    return 1 if failed else 0


def _fuzz(name: str, minutes: float) -> bool:
    """Whether nothing was raised. A process of its own, because the fuzzer ends the one that it runs in."""
    with tempfile.TemporaryDirectory() as directory:
        found, crashes = Path(directory, "found"), Path(directory, "crashes")
        found.mkdir()
        crashes.mkdir()
        for one in corpus(name):
            (found / hashlib.sha256(one).hexdigest()).write_bytes(one)
        limits = [f"-max_total_time={round(minutes * 60)}", f"-max_len={LONGEST}", "-timeout=10"]
        kept = [f"-artifact_prefix={crashes}/", "-print_final_stats=1", str(found)]
        ended = subprocess.run([sys.executable, "-m", "tests.fuzz.child", name, *limits, *kept], check=False)
        before, inputs = corpus(name), sorted((path.read_bytes() for path in found.iterdir()), key=len)
        some = inputs[:: 1 + len(inputs) // max(1, MOST_KEPT - len(before))]  # of every size
        keep(name, [*before, *some, *(path.read_bytes() for path in crashes.iterdir())])
        return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
