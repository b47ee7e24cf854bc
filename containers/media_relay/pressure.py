"""When a task has grown too large: it sends its calls on while it can, before the kernel ends it with all of them.

One look each few seconds; the memory that counts is what the kernel counts, the resident set of the one process.
"""

from __future__ import annotations

import resource
from collections.abc import Awaitable, Callable
from pathlib import Path

EVERY = 5.0
MOVE_SECONDS = 10.0  # in which a task that has grown too large sends its calls on


def resident() -> int:
    """Octets of this process in memory; where the kernel does not tell, the most there ever were."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize()


async def reached(most: int, measure: Callable[[], int], sleep: Callable[[float], Awaitable[None]]) -> None:
    """Return when there are `most` octets or more; never for 0."""
    while not most or measure() < most:
        await sleep(EVERY)
