"""The relay's own lines as mu-law files, spoken by espeak-ng. A business may put its own recordings in their place.

    python -m simulators clips

The same words do not give the same bytes twice (`voices.py`), so the files are kept in the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from simulators import voices

LINES = {
    "en": "One moment please, I am still here.",
    "de": "Einen Moment bitte, ich bin noch da.",
    "es": "Un momento, por favor, sigo aquí.",
    "fr": "Un instant, s'il vous plaît, je suis toujours là.",
}
_FOLDER = Path("containers/media_relay/clips")


def write() -> int:
    """Speak every line; returns the exit status."""
    for language, text in LINES.items():
        path = _FOLDER / f"one_moment.{language}.ulaw"
        path.write_bytes(voices.speak_in(text, language))
        sys.stdout.write(f"{path}: {path.stat().st_size / 8000:.1f} s\n")
    return 0
