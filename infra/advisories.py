"""Whether any installed package has a known vulnerability: `pip-audit --strict`, and that it really looked at each.

What counts is the environment that the lock file made, package by package. An audit that skipped one, or could not ask
the advisory service, is no audit: the command fails and says which of the two it was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name


def unaudited(installed: Iterable[str], report: dict[str, Any]) -> set[str]:
    """Names of packages that a report of `pip-audit --format json` does not answer for."""
    looked = {str(canonicalize_name(one["name"])) for one in report.get("dependencies", []) if "vulns" in one}
    return {str(canonicalize_name(name)) for name in installed} - looked


def verdict(installed: Sequence[str], status: int, output: str, errors: str) -> str:
    """What is wrong, as a sentence; "" if nothing is. `status`, `output`, `errors`: what pip-audit left."""
    try:
        report = json.loads(output)
    except json.JSONDecodeError:
        last = (errors.strip().splitlines() or ["no word"])[-1]
        return f"nothing was audited: the advisory service could not be asked about every package ({last})"
    if missing := unaudited(installed, report):
        return f"{len(missing)} of {len(installed)} packages were not audited: {', '.join(sorted(missing))}"
    found = [f"{one['name']} {vuln['id']}" for one in report["dependencies"] for vuln in one["vulns"]]
    if found:
        return f"known vulnerabilities: {', '.join(found)}"
    return f"pip-audit ended with {status}: {errors.strip()}" if status else ""


def main(audit: Sequence[str]) -> int:
    """Run `audit` (pip-audit's command line) over this interpreter's packages."""
    packages = sysconfig.get_path("purelib")
    installed = sorted({one.metadata["Name"] for one in distributions(path=[packages])})
    options = ("--strict", "--progress-spinner", "off", "--format", "json", "--path", str(Path(packages)))
    done = subprocess.run([*audit, *options], capture_output=True, text=True, check=False)  # noqa: S603 - the Makefile's
    wrong = verdict(installed, done.returncode, done.stdout, done.stderr)
    clean = f"{len(installed)} of {len(installed)} packages were looked up, and none is known to be unsafe"
    sys.stdout.write(f"audit: {wrong or clean}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
