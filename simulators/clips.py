"""The relay's own lines as mu-law files, spoken by espeak-ng. A business may put its own recordings in their place.

    python -m simulators clips

The same words do not give the same bytes twice (`voices.py`), so the files are kept in the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path

from contracts.sentences import LANGUAGES, Sentence, spoken
from simulators import voices

_FOLDER = Path("containers/media_relay/clips")


def write() -> int:
    """Speak every line; returns the exit status."""
    for language in LANGUAGES:
        text = spoken(Sentence.STILL_HERE, language).text
        path = _FOLDER / f"one_moment.{language}.ulaw"
        path.write_bytes(voices.speak_in(text, language))
        sys.stdout.write(f"{path}: {path.stat().st_size / 8000:.1f} s\n")
    return 0
