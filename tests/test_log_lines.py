"""The lines that the parts really write, whatever is in them: one each, readable, of a bounded length."""

from __future__ import annotations

import io
import json
import random
import sys
from collections.abc import Mapping, Sequence

import pytest

from containers.media_relay import __main__ as relay
from contracts import events
from contracts.events import Event, Part
from functions.eventlog import EventLog

PARTS = ["relay", "function"]
HOSTILE = [*'\r\n\x1b\x00\x0b\x0c\x1c\x85\u2028\u2029\ud800"{}\\,: ', "\x1b[2J", '"}\n{"event":"x"']


def written(part: str, monkeypatch: pytest.MonkeyPatch, event: Event, lines: Sequence[Mapping[str, str]]) -> str:
    """What a part has written when these were the fields of its events."""
    octets = io.BytesIO()
    text = io.TextIOWrapper(octets, encoding="utf-8", write_through=True, newline="")
    monkeypatch.setattr(sys, "stderr", text)
    log = EventLog(Part.WEBHOOK, clock=lambda: 0.0, stream=text)
    for fields in lines:
        if part == "relay":
            relay.log_event("", event, dict(fields))
        else:
            log.write(event, "", **fields)
    return octets.getvalue().decode("utf-8")


@pytest.mark.parametrize("part", PARTS)
def test_S20_of_10000_strings_made_to_break_a_line_none_does(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(20)
    texts = ["".join(chance.choices(HOSTILE, k=chance.randrange(1, 12))) for _ in range(10_000)]
    lines = written(part, monkeypatch, events.MODEL_FAILED, [{"why": text} for text in texts]).splitlines()
    assert [json.loads(line)["why"] for line in lines] == texts


@pytest.mark.parametrize("part", PARTS)
def test_S20_a_text_of_a_peer_is_cut(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = written(part, monkeypatch, events.MODEL_ERROR, [{"code": "c" * 1_000_000, "kind": "k"}])
    assert len(line) < 2000
    assert json.loads(line)["code"] == "c" * events.MOST_CHARS
