"""How long the caller heard nothing when it was not the caller's turn, measured by energy.

A gap is a stretch in which neither side makes a sound. It is the caller's own when the caller breaks it, or ends the
call in it. Every other gap is one somebody owed the caller a sound in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators import audio

FRAME_MS = 20
AUDIBLE_DBFS = -50.0


@dataclass(frozen=True, slots=True)
class Gap:
    """A silence; both numbers in seconds."""

    start: float
    length: float


def envelope(ulaw: bytes, frame_ms: int = FRAME_MS) -> NDArray[np.float64]:
    """RMS level of each whole frame, in dBFS, at least `audio.QUIETEST_DBFS`."""
    size = frame_ms * audio.BYTES_PER_MS
    frames = audio.decode(ulaw[: len(ulaw) // size * size]).astype(np.float64).reshape(-1, size)
    rms: NDArray[np.float64] = np.sqrt((frames**2).mean(axis=1)) / 32768
    floor = 10 ** (audio.QUIETEST_DBFS / 20)
    return 20 * np.log10(np.maximum(rms, floor))


def gaps(
    mouth: bytes, ear: bytes, *, excused: Sequence[tuple[float, float]] = (), caller_hung_up: bool = False
) -> list[Gap]:
    """The silences that were not the caller's turn, in order.

    Args:
        mouth: the caller's mouth, mu-law.
        ear: the caller's ear, mu-law, aligned with it.
        excused: stretches (from, to; seconds) not to count in, such as the carrier's own ringing.
        caller_hung_up: the silence before the end is then the caller's own.
    """
    speaks, sounds = envelope(mouth) > AUDIBLE_DBFS, envelope(ear) > AUDIBLE_DBFS
    length = min(len(speaks), len(sounds))
    for start, end in excused:
        sounds[max(0, int(start * 1000 / FRAME_MS)) : max(0, int(end * 1000 / FRAME_MS) + 1)] = True
    found, begin = [], 0
    for index in range(length + 1):
        over = index == length
        if not over and not speaks[index] and not sounds[index]:
            continue
        own = caller_hung_up if over else bool(speaks[index]) and not sounds[index]
        if index > begin and not own:
            found.append(Gap(begin * FRAME_MS / 1000, (index - begin) * FRAME_MS / 1000))
        begin = index + 1
    return found


def longest(found: Sequence[Gap]) -> Gap:
    """The longest gap; an empty one if there is none."""
    return max(found, key=lambda gap: gap.length, default=Gap(0.0, 0.0))
