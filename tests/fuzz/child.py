"""One target under libFuzzer, with every module of ours instrumented: `python -m tests.fuzz.child TARGET OPTIONS`."""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-untyped]  # in no group, see __main__.py


def main() -> None:
    """Does not return."""
    with atheris.instrument_imports(include=["contracts", "functions", "containers", "yaml", "json"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - while imports are instrumented
    name, *options = sys.argv[1:]
    atheris.Setup([name, *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
