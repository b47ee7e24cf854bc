"""Which control each criterion stands on, how it is deleted, and the test that must notice.

A patch replaces a text that occurs exactly once in its file. Rows without one say why.
"""

from __future__ import annotations

from typing import Final

from tests.sabotage.patches.agent import AGENT
from tests.sabotage.patches.patch import Patch
from tests.sabotage.patches.security import SECURITY
from tests.sabotage.patches.transfers import TRANSFERS

__all__ = ["PATCHES", "WITHOUT", "Patch"]

PATCHES: Final = (*SECURITY, *AGENT, *TRANSFERS)

WITHOUT: Final[dict[str, str]] = {
    "S25": "its test takes each event out of the log in turn and finds the gap",
}
