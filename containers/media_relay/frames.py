"""One text message in one frame, built and read in a single step: nearly all that passes, fifty times a second a call.

RFC 6455 5.2 gives the layout. Everything else (fragments, control frames, frames split between segments, mistakes)
is left to `websockets`' Sans-I/O layer, and so is every decision; both say the same of what both can read. Pure but for
the masking keys, which have to be unpredictable (RFC 6455 10.3).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover - only where websockets has no compiled part
    from websockets.utils import apply_mask

_FIN_TEXT = 0x81
_MASKED = 0x80
_KEYS_AT_ONCE = 1024


def _keys() -> Iterator[bytes]:
    while True:
        pool = os.urandom(4 * _KEYS_AT_ONCE)
        for at in range(0, len(pool), 4):
            yield pool[at : at + 4]


_key = _keys().__next__


def text_frame(text: bytes, *, masked: bool) -> bytes:
    """The frame that carries `text`; a client's frames are masked, a server's are not."""
    length, mask_bit = len(text), _MASKED if masked else 0
    if length < 126:
        head = struct.pack("!BB", _FIN_TEXT, mask_bit | length)
    elif length < 65536:
        head = struct.pack("!BBH", _FIN_TEXT, mask_bit | 126, length)
    else:
        head = struct.pack("!BBQ", _FIN_TEXT, mask_bit | 127, length)
    if not masked:
        return head + text
    key = _key()
    return head + key + apply_mask(text, key)


def masked_text(segment: bytes) -> bytes | None:
    """What `segment` carries if it is exactly one masked text frame of less than 64 KiB, else None."""
    size = len(segment)
    if size < 8 or segment[0] != _FIN_TEXT or segment[1] < _MASKED:
        return None
    length, start = segment[1] - _MASKED, 6
    if length == 126:
        length, start = segment[2] << 8 | segment[3], 8
    if length == 127 or size != start + length:
        return None
    return apply_mask(segment[start:], segment[start - 4 : start])
