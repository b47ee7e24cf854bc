"""Keys become one item of the conversation."""

from __future__ import annotations

from containers.media_relay.keypad import MOST_KEYS, PAUSE, Keypad
from containers.media_relay.silence import NEVER


def test_keys_are_gathered_until_a_pause() -> None:
    keypad = Keypad()
    assert keypad.due_at == NEVER
    for at, key in enumerate("47#"):
        keypad.press(key, float(at))
    assert keypad.due_at == 2.0 + PAUSE
    assert "pressed 47# on" in keypad.item().text
    assert (keypad.keys, keypad.due_at) == ("", NEVER)


def test_a_stuck_key_does_not_fill_the_memory() -> None:
    keypad = Keypad()
    for _ in range(1000):
        keypad.press("1", 0.0)
    assert len(keypad.keys) == MOST_KEYS
