"""Deletes each control in a copy of the tree, runs its test, and writes docs/reference/sabotage.md.

`python -m tests.sabotage [ROW …]`; only a run of all rows writes the page. 0 only if every test went red.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.sabotage.patches import PATCHES, WITHOUT, Patch

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/sabotage.md"
AT_ONCE = 2
SECONDS = 300
_LEFT_OUT = shutil.ignore_patterns(".*", "node_modules", "cdk.out*", "runs", "__pycache__")
_LINKED = ("node_modules", ".venv", ".emulator")
_WORDS = {0: "NOT RED", 1: "red"}
_INTRODUCTION = """\
# Sabotage: the checks check

Written by `python -m tests.sabotage`. Each control is deleted in a copy of the tree, and the test named beside it is
run there: it must fail. The list is `tests/sabotage/patches/`.

| row | what is deleted | where | the test | result |
|---|---|---|---|---|
"""


def main(rows: Sequence[str]) -> int:
    """Run the patches of these rows, or all."""
    chosen = [patch for patch in PATCHES if not rows or patch.row in rows]
    with tempfile.TemporaryDirectory() as home:
        trees: SimpleQueue[Path] = SimpleQueue()
        for place in range(AT_ONCE):
            trees.put(_tree(Path(home) / str(place)))

        def one(patch: Patch) -> str:
            tree = trees.get()
            try:
                result = _sabotaged(tree, patch)
            finally:
                trees.put(tree)
            print(f"{patch.row:4}{result:9}{patch.control}", flush=True)  # noqa: T201 - the program's output
            return result

        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = [*pool.map(one, chosen)]
    if not rows:
        PAGE.write_text(_INTRODUCTION + "".join(map(_row, chosen, results)) + _others(), encoding="utf-8")
        by_row: dict[str, list[str]] = {row: [] for row in WITHOUT}
        for patch, result in zip(chosen, results, strict=True):
            by_row.setdefault(patch.row, []).append(result)
        PAGE.with_suffix(".json").write_text(f"{json.dumps(by_row)}\n", encoding="utf-8")
    return 0 if {*results} <= {"red"} else 1


def _tree(home: Path) -> Path:
    shutil.copytree(ROOT, home, ignore=_LEFT_OUT)
    for name in _LINKED:
        if (ROOT / name).exists():
            (home / name).symlink_to((ROOT / name).resolve())
    return home


def _sabotaged(tree: Path, patch: Patch) -> str:
    file = tree / patch.file
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace(patch.old, patch.new), encoding="utf-8")
    where, name = patch.test
    options = ("-n", "0", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "120")
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", where, "-k", name, *options],
            cwd=tree,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "hung"
    finally:
        file.write_text(whole, encoding="utf-8")
    return _WORDS.get(ended.returncode, "broken")


def _row(patch: Patch, result: str) -> str:
    where, name = patch.test
    return f"| {patch.row} | {patch.control} | `{patch.file}` | `{Path(where).name}` `{name}` | {result} |\n"


def _others() -> str:
    lines = "".join(f"| {row} | {why} |\n" for row, why in WITHOUT.items())
    return f"\n## Rows without a patch\n\n| row | why |\n|---|---|\n{lines}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
