from __future__ import annotations

import io
import json
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import events
from contracts.events import Event, Part
from simulators import audio
from simulators.report import page, silence, story
from simulators.report.picture import svg
from simulators.report.run import Run, Turn, moment, of_call
from simulators.report.timeline import LiveTimeline, described

SID = "CA" + "1" * 32
BEGAN = 1_800_000_000.0


def line(event: Event, at: float, call_sid: str = SID, **fields: object) -> dict[str, object]:
    return events.record(event, part=Part.RELAY, now=BEGAN + at, call_sid=call_sid, **fields)


def transferred(outcome: str = "") -> list[dict[str, object]]:
    """The events of a call whose caller asked for billing; with an outcome, billing was not reached."""
    request = {"request_id": "r1", "destination": "billing"}
    lines = [
        line(events.CALL_RECEIVED, 0.0),
        line(events.STREAM_OFFERED, 0.01, visit=1),
        line(events.STREAM_STARTED, 0.1, stream_sid="MZ1"),
        line(events.SPEECH_STARTED, 3.0, item_id="i1"),
        line(events.BARGE_IN, 3.1, heard_ms=900, sent_ms=2000, unheard_ms=1100),
        line(events.HANDOFF_ASKED, 5.0, **request, reason="caller_asked"),
        line(events.TRANSFER_DIALLED, 6.0, **request, by="transfer", attempt=1),
    ]
    if outcome:
        lines += [
            line(events.TRANSFER_OVER, 9.0, **request, outcome=outcome),
            line(events.STREAM_STARTED, 9.3, stream_sid="MZ2"),
            line(events.CALL_ENDED, 14.0, reason="agent_ended", by="agent"),
        ]
    else:
        lines += [
            line(events.TRANSFER_BRIDGED, 8.5, **request),
            line(events.CALL_ENDED, 15.0, reason="completed", by="caller"),
        ]
    return lines


def a_run(lines: Sequence[dict[str, object]] | None = None, turns: Sequence[Turn] = ()) -> Run:
    speech = audio.tone([300], 1000)
    return Run(
        call_sid=SID,
        began_at=BEGAN,
        events=transferred() if lines is None else lines,
        turns=turns,
        mouth=audio.silence(2000) + speech + audio.silence(2000),
        ear=speech + audio.silence(3000) + speech,
        title="A <b>bold</b> title",
    )


def test_the_sentence_tells_of_interruption_transfer_and_goodbye() -> None:
    assert story.sentence(transferred()) == (
        "The caller spoke with the agent, interrupted it, was put through to billing 3.5 s after asking, and hung up."
    )


def test_the_sentence_tells_of_an_attempt_that_failed_and_of_the_way_back() -> None:
    told = story.sentence(transferred("no_answer"))
    assert "was sent to billing, which did not answer, so came back to the agent" in told
    assert told.endswith("and stayed until the agent said goodbye.")


def test_the_sentence_claims_nothing_that_no_event_says() -> None:
    assert story.sentence([]) == "No call was received."
    assert story.sentence(transferred()[:2]) == "The caller never reached the agent, and nobody saw how it ended."


def test_a_bridge_reported_twice_is_told_once() -> None:
    lines = transferred()
    assert story.sentence([*lines[:-1], lines[-2], lines[-1]]) == story.sentence(lines)


@given(picked=st.lists(st.sampled_from(sorted(events.VOCABULARY)), max_size=12))
def test_any_events_in_any_order_make_one_sentence_and_a_chain(picked: list[str]) -> None:
    lines = [line(events.VOCABULARY[name], at) for at, name in enumerate(picked)]
    assert story.sentence(lines).endswith(".")
    assert [stage.took_ms for stage in story.stages(lines)][:1] in ([], [0])
    for one in lines:
        described(one)


def test_the_chain_measures_from_step_to_step() -> None:
    chain = story.stages(transferred())
    assert chain[0].label == "webhook: the call is received"
    assert [stage.took_ms for stage in chain[:3]] == [0, 10, 90]
    assert chain[-1].at == pytest.approx(15.0)


def test_a_silence_after_the_caller_spoke_counts_and_one_the_caller_breaks_does_not() -> None:
    sound, hush = audio.tone([300], 1000), audio.silence
    mouth = hush(1000) + hush(2000) + sound + hush(3000) + hush(1000)
    ear = sound + hush(2000) + hush(1000) + hush(3000) + sound
    assert silence.gaps(mouth, ear) == [silence.Gap(4.0, 3.0)]
    assert silence.gaps(mouth, ear, excused=[(4.5, 7.0)]) == [silence.Gap(4.0, 0.5)]


def test_the_silence_before_the_end_is_the_callers_own_only_if_the_caller_hung_up() -> None:
    mouth, ear = audio.silence(3000), audio.tone([300], 1000) + audio.silence(2000)
    assert silence.longest(silence.gaps(mouth, ear)).length == pytest.approx(2.0)
    assert silence.longest(silence.gaps(mouth, ear, caller_hung_up=True)).length == 0


def test_sound_too_quiet_to_hear_is_silence() -> None:
    whisper = audio.tone([300], 1000, -70)
    assert silence.longest(silence.gaps(audio.silence(1000), whisper)).length == pytest.approx(1.0)


@given(
    pattern=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60),
    caller_hung_up=st.booleans(),
)
def test_a_gap_is_never_longer_than_what_both_sides_were_silent(
    pattern: list[tuple[bool, bool]], *, caller_hung_up: bool
) -> None:
    sound, hush = audio.tone([300], 20), audio.silence(20)
    mouth = b"".join(sound if speaks else hush for speaks, _ in pattern)
    ear = b"".join(sound if sounds else hush for _, sounds in pattern)
    total = sum(gap.length for gap in silence.gaps(mouth, ear, caller_hung_up=caller_hung_up))
    assert total <= sum(not speaks and not sounds for speaks, sounds in pattern) * 0.02 + 1e-9


def test_a_run_leaves_a_folder_that_can_be_heard_read_and_looked_at(tmp_path: Path) -> None:
    said = [Turn("caller", "<script>alert(1)</script>", 2.0), Turn("agent", "Certainly.", None)]
    page.write(tmp_path / "run", a_run(turns=said))
    with wave.open(str(tmp_path / "run" / "call.wav")) as recording:
        assert (recording.getnchannels(), recording.getframerate(), recording.getnframes()) == (2, 8000, 40000)
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    assert [json.loads(one)["event"] for one in lines] == [one["event"] for one in transferred()]
    transcript = [json.loads(one) for one in (tmp_path / "run" / "transcript.jsonl").read_text().splitlines()]
    assert transcript[0] == {"at": 2.0, "who": "caller", "text": "<script>alert(1)</script>"}
    ET.fromstring((tmp_path / "run" / "timeline.svg").read_text())
    html = (tmp_path / "run" / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert(1)" not in html
    assert "<b>bold</b>" not in html
    assert "data:audio/wav;base64," in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert story.sentence(transferred()) in html


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_whatever_an_event_says_the_picture_is_well_formed(text: str) -> None:
    run = a_run([line(events.CALL_RECEIVED, 0), line(events.DEFAULT_PERSON, 1, why=text)])
    ET.fromstring(svg(run))


def test_a_run_without_sound_or_events_still_makes_a_page(tmp_path: Path) -> None:
    page.write(tmp_path, Run(call_sid=SID, began_at=BEGAN, events=[], turns=[], mouth=b"", ear=b""))
    assert "No call was received." in (tmp_path / "report.html").read_text()


def test_the_carriers_ringing_is_excused_only_until_somebody_answers() -> None:
    ((begin, end),) = page.ringing(a_run())
    assert (begin, end) == pytest.approx((6.0, 8.5))


def test_lines_of_other_calls_are_left_out_and_the_rest_sorted() -> None:
    other = line(events.CALL_RECEIVED, 0.5, call_sid="CA" + "2" * 32)
    early, late = line(events.RELAY_STARTED, -5, call_sid=""), line(events.RELAY_DRAINING, 3, call_sid="")
    lines: list[Any] = [*reversed(transferred()), other, early, late]
    assert [one["event"] for one in of_call(lines, SID)].count("call.received") == 1
    assert late in of_call(lines, SID)
    assert early not in of_call(lines, SID)
    assert sorted(map(moment, of_call(lines, SID))) == list(map(moment, of_call(lines, SID)))
    assert of_call(lines, "CA" + "3" * 32) == []


def test_without_a_terminal_the_timeline_is_plain_lines() -> None:
    out = io.StringIO()
    with LiveTimeline(out=out) as timeline:
        for one in transferred():
            timeline.event(one)
        timeline.said("agent", "One moment please.", BEGAN + 2.0)
    told = out.getvalue()
    assert "\x1b" not in told
    assert "bridged: the caller speaks with billing" in told
    assert "barge-in: 900 ms were heard, 1100 ms are cleared" in told
    assert "“One moment please.”" in told
    assert len(told.splitlines()) == 8


def test_on_a_terminal_colour_is_left_out_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    told = {}
    for no_color in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_color)
        out = Terminal()
        with LiveTimeline(out=out) as timeline:
            timeline.event(transferred()[0])
        told[no_color] = out.getvalue()
    assert "\x1b[32m" in told[""]
    assert "\x1b[32m" not in told["1"]
