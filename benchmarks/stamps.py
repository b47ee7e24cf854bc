"""What a message says about itself in its own audio: six bytes, eight characters of base64, of time, then of origin."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence

OCTETS = 12


def now_us() -> int:
    return time.perf_counter_ns() // 1000


def stamp(us: int, origin: int = 0) -> bytes:
    """Sixteen characters of base64 that stand for `OCTETS` of audio."""
    return base64.b64encode((us << 48 | origin).to_bytes(OCTETS, "big"))


def read(message: bytes, key: bytes) -> tuple[int, int]:
    """The microseconds and the origin behind `key` (such as `"audio":`), however the JSON is spaced."""
    at = message.index(b'"', message.index(key) + len(key)) + 1
    both = int.from_bytes(base64.b64decode(message[at : at + 16]), "big")
    return both >> 48, both & 0xFFFFFFFFFFFF


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above; NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
