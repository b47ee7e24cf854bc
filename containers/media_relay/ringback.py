"""The ringing a waiting caller hears: 440 and 480 Hz, two seconds on, two off. Pauses stay under 2.5 s. Pure."""

from __future__ import annotations

import base64
import math
from functools import cache

ITEM = "ringback"  # its name in the playout; no item of the model is called so
ON_SECONDS = 2.0
EVERY = 4.0  # seconds from one ring to the next
OCTETS = int(ON_SECONDS * 8000)
_AMPLITUDE = 2400  # of 32,635: about -22 dBFS a tone, below the agent's voice


@cache
def payload() -> str:
    """One ring as base64 mu-law."""
    octave = 400  # samples; both tones repeat exactly after 50 ms
    period = bytes(_mu_law(round(_AMPLITUDE * sum(_tone(hertz, n) for hertz in (440, 480)))) for n in range(octave))
    return base64.b64encode(period * (OCTETS // octave)).decode("ascii")


def _tone(hertz: int, sample: int) -> float:
    return math.sin(2 * math.pi * hertz * sample / 8000)


def _mu_law(sample: int) -> int:
    """One 16-bit sample as G.711 mu-law: sign, three bits of exponent, four of mantissa, all inverted."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF
