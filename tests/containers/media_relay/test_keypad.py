"""Keys become one item of the conversation."""

from __future__ import annotations

from containers.media_relay.keypad import MOST_KEYS, PAUSE, Keypad, item
from containers.media_relay.silence import NEVER


def test_keys_are_gathered_until_a_pause() -> None:
    keypad = Keypad()
    assert keypad.due_at == NEVER
    for at, key in enumerate("47#"):
        keypad.press(key, float(at))
    assert keypad.due_at == 2.0 + PAUSE
    assert keypad.take() == "47#"
    assert (keypad.keys, keypad.due_at) == ("", NEVER)


def test_a_stuck_key_does_not_fill_the_memory() -> None:
    keypad = Keypad()
    for _ in range(1000):
        keypad.press("1", 0.0)
    assert len(keypad.keys) == MOST_KEYS


def test_keys_reach_the_model_as_the_callers_words() -> None:
    assert (item("47#").role, item("47#").text) == ("user", "(The caller pressed 47# on the keypad.)")
