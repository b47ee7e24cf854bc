"""Keys the caller presses, gathered until a pause, for the model to read. Pure."""

from __future__ import annotations

from containers.media_relay.realtime import CreateItem
from containers.media_relay.silence import NEVER

PAUSE = 1.0  # seconds without a key after which a number counts as complete
MOST_KEYS = 32


class Keypad:
    """The keys since the last pause, and when the pause ends."""

    def __init__(self) -> None:
        self.keys = ""
        self.due_at = NEVER

    def press(self, key: str, now: float) -> None:
        """A key was pressed; more than `MOST_KEYS` in a row are a stuck key."""
        self.keys = (self.keys + key)[:MOST_KEYS]
        self.due_at = now + PAUSE

    def take(self) -> str:
        """What was pressed; from now on it starts anew."""
        keys, self.keys, self.due_at = self.keys, "", NEVER
        return keys


def item(keys: str) -> CreateItem:
    """Keys as an item of the conversation."""
    return CreateItem("user", f"(The caller pressed {keys} on the keypad.)")
