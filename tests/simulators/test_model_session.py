from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import audio
from simulators.model import (
    Call,
    Close,
    Error,
    Fail,
    Faults,
    Occasion,
    Pause,
    Say,
    ScriptedMind,
    Stall,
    Stop,
    Terms,
    Turn,
    formats,
)
from simulators.voices import Voice, speak
from tests.simulators.model_peers import Client, Event, error_of, kinds

SPEECH = speak("I would like to speak to a person, please.", Voice.CALLER)
QUIET = audio.silence(800)
PERSON = Turn((Say("One moment."), Call("transfer_to_person", '{"destination": "billing"}')), on=Occasion.SPEECH)


def mind(*turns: Turn) -> ScriptedMind:
    return ScriptedMind(turns)


def item(role: str, text: str, **fields: Any) -> Event:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}


def test_a_session_begins_with_pcm_at_24_khz_and_server_vad() -> None:
    client = Client()
    (created,) = client.sent
    assert created["type"] == "session.created"
    assert created["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert created["session"]["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert created["session"]["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }


def test_an_update_changes_only_the_fields_that_are_present() -> None:
    client = Client()
    client.telephone(silence_duration_ms=700)
    (updated,) = client("session.update", session={"type": "realtime", "instructions": "Be brief."})
    inbound = updated["session"]["audio"]["input"]
    assert updated["session"]["instructions"] == "Be brief."
    assert inbound["format"] == {"type": "audio/pcmu"}
    assert inbound["turn_detection"]["silence_duration_ms"] == 700
    assert inbound["turn_detection"]["prefix_padding_ms"] == 300
    (cleared,) = client("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    assert cleared["session"]["audio"]["input"]["turn_detection"] is None
    assert cleared["session"]["audio"]["output"]["format"] == {"type": "audio/pcmu"}


def test_a_spoken_response_is_the_whole_chain_of_events_in_order() -> None:
    client = Client(mind(Turn((Say("Hello there"),))))
    client.telephone()
    came = client("response.create", response={"metadata": {"purpose": "greeting"}}) + client.wait(5)
    assert kinds(came) == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    done = came[-1]["response"]
    assert done["status"] == "completed"
    assert done["metadata"] == {"purpose": "greeting"}
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "Hello there"}]
    assert done["usage"]["output_token_details"]["audio_tokens"] == 14  # 660 ms, 400 and 260, at 50 ms a token
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"]
    sound = b"".join(base64.b64decode(event["delta"]) for event in client.of_type("response.output_audio.delta"))
    assert len(sound) == len("Hello there") * 60 * 8
    assert came[0]["response"]["status"] == "in_progress"


def test_audio_is_made_faster_than_it_plays() -> None:
    client = Client(mind(Turn((Say("x", sound=audio.silence(4000)),))), terms=Terms(pace=4.0))
    client("response.create")
    client.wait(0.99)
    assert not client.of_type("response.done")
    client.wait(0.02)
    assert client.of_type("response.done")


@pytest.mark.parametrize(("kind", "size"), [("audio/pcmu", 1), ("audio/pcma", 1), ("audio/pcm", 6)])
def test_audio_comes_in_the_format_that_was_asked_for(kind: str, size: int) -> None:
    client = Client(mind(Turn((Say("x", sound=audio.tone((440,), 500)),))))
    client("session.update", session={"type": "realtime", "audio": {"output": {"format": {"type": kind}}}})
    client("response.create")
    client.wait(1)
    sound = b"".join(base64.b64decode(event["delta"]) for event in client.of_type("response.output_audio.delta"))
    assert len(sound) == 500 * 8 * size


def test_a_text_response_has_no_audio() -> None:
    client = Client(mind(Turn((Say("Hello there"),))))
    came = client("response.create", response={"output_modalities": ["text"]}) + client.wait(1)
    assert "response.output_text.done" in kinds(came)
    assert not [kind for kind in kinds(came) if "audio" in kind]


def test_a_function_call_appears_in_three_events_with_the_same_arguments() -> None:
    client = Client(mind(Turn((Call("end_call", '{"reason": "done"}'),))))
    came = client("response.create") + client.wait(1)
    (arguments,) = (event for event in came if event["type"] == "response.function_call_arguments.done")
    (output,) = (event["item"] for event in came if event["type"] == "response.output_item.done")
    (listed,) = came[-1]["response"]["output"]
    deltas = "".join(event["delta"] for event in came if event["type"] == "response.function_call_arguments.delta")
    assert arguments["arguments"] == output["arguments"] == listed["arguments"] == deltas == '{"reason": "done"}'
    assert arguments["call_id"] == output["call_id"] == listed["call_id"]
    assert arguments["name"] == output["name"] == listed["name"] == "end_call"
    assert output["status"] == "completed"


def test_the_callers_turn_is_committed_heard_and_answered() -> None:
    client = Client(mind(Turn(PERSON.steps, on=Occasion.SPEECH, heard="a person please")))
    client.telephone()
    transcription = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
    client("session.update", session={"type": "realtime", **transcription})
    came = client.hears(audio.silence(400) + SPEECH + QUIET) + client.wait(5)
    assert kinds(came)[:8] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
    ] or kinds(came)[5:9] == [
        "response.created",
        "rate_limits.updated",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert client.of_type("conversation.item.input_audio_transcription.completed")[0]["transcript"] == "a person please"
    assert came[-1]["response"]["output"][1]["name"] == "transfer_to_person"


def test_without_transcription_nothing_is_told_of_what_was_heard() -> None:
    client = Client(mind(PERSON))
    client.telephone()
    client.hears(SPEECH + QUIET)
    assert not [kind for kind in kinds(client.sent) if "transcription" in kind]
    assert client.of_type("response.created")


def test_speech_interrupts_the_response_and_is_answered_anew() -> None:
    client = Client(mind(Turn((Say("x" * 200),)), PERSON), terms=Terms(pace=1.0))
    client.telephone()
    client("response.create")
    came = client.hears(SPEECH + QUIET)
    interrupted = came[kinds(came).index("input_audio_buffer.speech_started") :]
    assert kinds(interrupted)[1:7] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    cancelled = interrupted[6]["response"]
    assert cancelled["status"] == "cancelled"
    assert cancelled["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert cancelled["output"][0]["status"] == "incomplete"
    assert len(client.of_type("response.created")) == 2


def test_late_deltas_may_follow_speech_started() -> None:
    faults = Faults(late_deltas=2)
    client = Client(mind(Turn((Say("x" * 200),))), terms=Terms(pace=1.0), faults=faults)
    client.telephone()
    client("response.create")
    came = client.hears(SPEECH)
    after = kinds(came[kinds(came).index("input_audio_buffer.speech_started") :])
    assert after[: after.index("response.done")].count("response.output_audio.delta") == 2


def test_speech_does_not_interrupt_where_that_is_switched_off() -> None:
    client = Client(mind(Turn((Say("x" * 200),))), terms=Terms(pace=1.0))
    client.telephone(interrupt_response=False)
    client("response.create")
    came = client.hears(SPEECH + QUIET)
    assert error_of(came)["code"] == "conversation_already_has_active_response"
    client.wait(20)
    assert client.of_type("response.done")[0]["response"]["status"] == "completed"


def test_without_automatic_responses_the_model_stays_quiet() -> None:
    client = Client()
    client.telephone(create_response=False)
    client.hears(SPEECH + QUIET)
    assert client.of_type("input_audio_buffer.committed")
    assert not client.of_type("response.created")


def test_without_turn_detection_the_client_commits_by_itself() -> None:
    client = Client(mind(Turn((Say("yes"),), on=Occasion.GREETING)))
    client.telephone(type=None)
    assert client.hears(SPEECH + QUIET) == []
    assert kinds(client("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"
    error = error_of(client("input_audio_buffer.commit", event_id="again"))
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["event_id"] == "again"


def test_a_cleared_buffer_holds_nothing() -> None:
    client = Client()
    client.telephone(type=None)
    client.hears(SPEECH)
    assert kinds(client("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert error_of(client("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"


def test_only_one_response_at_a_time_writes_to_the_conversation() -> None:
    client = Client(mind(Turn((Stall(),)), Turn((Say("beside"),))))
    client("response.create")
    error = error_of(client("response.create", event_id="rc_7"))
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "rc_7"
    came = client("response.create", response={"conversation": "none"}) + client.wait(1)
    assert came[-1]["type"] == "response.done"
    assert "conversation.item.added" not in kinds(came)


def test_a_response_is_cancelled_by_the_client_once() -> None:
    client = Client(mind(Turn((Say("x" * 100),))))
    assert error_of(client("response.cancel"))["code"] == "response_cancel_not_active"
    (created,) = (event for event in client("response.create") if event["type"] == "response.created")
    done = client("response.cancel", response_id=created["response"]["id"])[-1]["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert error_of(client("response.cancel"))["code"] == "response_cancel_not_active"
    client.wait(30)
    assert len(client.of_type("response.done")) == 1


def test_a_call_cut_in_the_middle_is_incomplete() -> None:
    client = Client(mind(Turn((Say("x", sound=audio.silence(400), until_ms=200), Stall()))))
    client("response.create")
    client.wait(1)
    done = client("response.cancel")[-1]["response"]
    assert done["output"][0]["status"] == "incomplete"


def test_truncation_forgets_the_transcript_and_never_exceeds_the_audio() -> None:
    client = Client(mind(Turn((Say("x", sound=audio.silence(3700)),))))
    client("response.create")
    client.wait(5)
    item_id = client.of_type("response.output_item.done")[0]["item"]["id"]
    cut = {"item_id": item_id, "content_index": 0}
    error = error_of(client("conversation.item.truncate", **cut, audio_end_ms=3760, event_id="tr_1"))
    assert error["message"] == "Audio content of 3700ms is already shorter than 3760ms"
    assert error["event_id"] == "tr_1"
    (truncated,) = client("conversation.item.truncate", **cut, audio_end_ms=1840)
    assert truncated["audio_end_ms"] == 1840
    (retrieved,) = client("conversation.item.retrieve", item_id=item_id)
    assert retrieved["item"]["content"] == [{"type": "output_audio"}]
    assert error_of(client("conversation.item.truncate", **cut, audio_end_ms=1841))["code"] == "invalid_value"


def test_items_are_added_read_deleted_and_placed() -> None:
    client = Client()
    client("conversation.item.create", item=item("user", "one", id="item_1"))
    client("conversation.item.create", item=item("assistant", "three", id="item_3"))
    added, done = client("conversation.item.create", item=item("system", "two", id="item_2"), previous_item_id="item_1")
    assert added["previous_item_id"] == done["previous_item_id"] == "item_1"
    first, _ = client("conversation.item.create", item=item("user", "zero"), previous_item_id="root")
    assert first["previous_item_id"] is None
    assert first["item"]["id"].startswith("item_")
    assert kinds(client("conversation.item.delete", item_id="item_2")) == ["conversation.item.deleted"]
    assert error_of(client("conversation.item.retrieve", item_id="item_2"))["param"] == "item_id"
    taken = client("conversation.item.create", item=item("user", "again", id="item_1"))
    assert error_of(taken)["code"] == "item_already_exists"
    lost = client("conversation.item.create", item=item("user", "x"), previous_item_id="item_2")
    assert error_of(lost)["param"] == "previous_item_id"
    uncut = client("conversation.item.truncate", item_id="item_1", content_index=0, audio_end_ms=0)
    assert error_of(uncut)["code"] == "invalid_value"


def test_an_output_needs_its_function_call() -> None:
    client = Client(mind(Turn((Call("f"),)), Turn((Say("done"),), on=Occasion.FUNCTION_OUTPUT, name="f")))
    output = {"type": "function_call_output", "output": "{}"}
    refused = client("conversation.item.create", item={**output, "call_id": "call_unknown"})
    assert error_of(refused)["param"] == "item.call_id"
    client("response.create")
    client.wait(1)
    call_id = client.of_type("response.function_call_arguments.done")[0]["call_id"]
    added = client("conversation.item.create", item={**output, "call_id": call_id})
    assert kinds(added) == ["conversation.item.added", "conversation.item.done"]
    came = client("response.create") + client.wait(1)
    assert came[-1]["response"]["output"][0]["content"][0]["transcript"] == "done"


def test_a_response_may_bring_its_own_input_and_no_tools() -> None:
    thinker = mind(Turn((Say("a"), Call("f"))))
    client = Client(thinker)
    client("conversation.item.create", item=item("user", "kept out", id="item_1"))
    own = [item("user", "only this"), {"type": "item_reference", "id": "item_1"}]
    response = {"input": own, "tool_choice": "none", "instructions": "Whisper."}
    client("response.create", response=response)
    client.wait(1)
    (prompt,) = thinker.prompts
    assert [part["content"][0]["text"] for part in prompt.items] == ["only this", "kept out"]
    assert prompt.instructions == "Whisper."
    assert [one["type"] for one in client.of_type("response.done")[0]["response"]["output"]] == ["message"]
    unknown = client("response.create", response={"input": [{"type": "item_reference", "id": "item_9"}]})
    assert error_of(unknown)["code"] == "item_reference_not_found"


def test_a_mind_is_told_why_it_is_asked() -> None:
    thinker = ScriptedMind()
    client = Client(thinker)
    client.telephone(idle_timeout_ms=5000)
    client("response.create")
    client.wait(3)
    client("response.create")
    client.wait(3)
    client("conversation.item.create", item=item("user", "The caller pressed 5."))
    client("response.create")
    client.wait(3)
    client.hears(SPEECH + QUIET)
    client.wait(9)
    occasions = [prompt.occasion for prompt in thinker.prompts]
    assert occasions == [Occasion.GREETING, Occasion.OTHER, Occasion.TEXT, Occasion.SPEECH, Occasion.IDLE]


def test_a_silent_caller_is_noticed_after_the_idle_timeout_and_the_playback() -> None:
    client = Client(mind(Turn((Say("x", sound=audio.silence(4000)),))), terms=Terms(pace=4.0))
    client.telephone(idle_timeout_ms=6000)
    client("response.create")
    client.wait(1 + 4 + 5.9)
    assert not client.of_type("input_audio_buffer.timeout_triggered")
    came = client.wait(0.2)
    assert kinds(came)[0] == "input_audio_buffer.timeout_triggered"
    assert "response.created" in kinds(came)


def test_the_voice_is_fixed_once_it_was_heard() -> None:
    client = Client()
    voice = {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
    assert kinds(client("session.update", session=voice)) == ["session.updated"]
    client("response.create")
    client.wait(3)
    voice["audio"] = {"output": {"voice": "marin"}}
    assert error_of(client("session.update", session=voice))["code"] == "cannot_update_voice"
    voice["audio"] = {"output": {"voice": "cedar"}}
    assert kinds(client("session.update", session=voice)) == ["session.updated"]


@pytest.mark.parametrize(
    "session",
    [
        {"model": "gpt-realtime-mini"},
        {"instructions": None},
        {"audio": {"input": {"format": None}}},
    ],
)
def test_what_a_session_cannot_change_is_refused(session: Event) -> None:
    client = Client()
    before = client.session.configuration.shown()
    assert error_of(client("session.update", session={"type": "realtime", **session}))["param"].startswith("session.")
    assert client.session.configuration.shown() == before


def test_speed_waits_for_the_end_of_the_response_and_tracing_stays() -> None:
    client = Client(mind(Turn((Stall(),))))
    speed = {"type": "realtime", "audio": {"output": {"speed": 1.2}}}
    client("response.create")
    assert error_of(client("session.update", session=speed))["param"] == "session.audio.output.speed"
    client("response.cancel")
    assert kinds(client("session.update", session=speed)) == ["session.updated"]
    client("session.update", session={"type": "realtime", "tracing": "auto"})
    assert error_of(client("session.update", session={"type": "realtime", "tracing": None}))["code"] == "invalid_value"


def test_audio_before_the_format_is_read_as_pcm_and_noted() -> None:
    client = Client()
    client.hears(SPEECH)
    assert client.session.violations == [
        "audio was appended before a format was chosen: it is read as audio/pcm at 24 kHz"
    ]
    careful = Client()
    careful.telephone()
    careful.hears(SPEECH)
    assert careful.session.violations == []


def test_audio_that_is_too_much_or_not_base64_is_refused() -> None:
    client = Client()
    assert error_of(client("input_audio_buffer.append", audio="not base64!"))["param"] == "audio"
    most = base64.b64encode(bytes(15 * 1024 * 1024 + 3)).decode()
    assert "15 MiB" in error_of(client("input_audio_buffer.append", audio=most))["message"]


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcma"])
def test_speech_is_found_in_every_format(kind: str) -> None:
    client = Client()
    client("session.update", session={"type": "realtime", "audio": {"input": {"format": {"type": kind}}}})
    content = formats.from_ulaw(kind, audio.silence(400) + SPEECH + QUIET)
    odd = 479 if kind == "audio/pcm" else 77
    for start in range(0, len(content), odd):
        client("input_audio_buffer.append", audio=base64.b64encode(content[start : start + odd]).decode())
    assert client.of_type("input_audio_buffer.speech_started")
    assert client.of_type("input_audio_buffer.speech_stopped")


def test_after_sixty_minutes_the_session_expires() -> None:
    client = Client()
    client.wait(3599)
    assert client.closed is None
    client.wait(2)
    assert error_of(client.sent)["code"] == "session_expired"
    assert client.closed == Close(1001, "Your session hit the maximum duration of 60 minutes.")
    assert client("response.create") == []
    silent = Client(faults=Faults(expires_silently=True))
    silent.wait(3601)
    assert silent.closed == client.closed
    assert not silent.of_type("error")


@pytest.mark.parametrize(
    ("step", "status", "details"),
    [
        (Fail("rate_limit_exceeded", "Slow down."), "failed", {"code": "rate_limit_exceeded", "message": "Slow down."}),
        (Stop("content_filter"), "incomplete", None),
    ],
)
def test_a_response_may_fail_in_the_middle_of_a_sentence(step: Fail | Stop, status: str, details: Event | None) -> None:
    client = Client(mind(Turn((Say("x" * 40, until_ms=1000), step))))
    client("response.create")
    client.wait(3)
    (done,) = client.of_type("response.done")
    assert done["response"]["status"] == status
    assert done["response"]["output"][0]["status"] == "incomplete"
    if details:
        assert done["response"]["status_details"]["error"] == {"type": "server_error", **details}


def test_a_response_may_pause_report_an_error_or_close_the_socket() -> None:
    client = Client(mind(Turn((Pause(500), Error("server_error"), Close(1011, "gone")))))
    client("response.create")
    client.wait(0.4)
    assert not client.of_type("error")
    client.wait(0.2)
    assert error_of(client.sent)["code"] == "server_error"
    assert client.closed == Close(1011, "gone")
    assert client.session.deadline == float("inf")


def test_a_response_stops_at_its_token_limit() -> None:
    client = Client(mind(Turn((Say("x" * 100),))))
    client("response.create", response={"max_output_tokens": 20})
    client.wait(5)
    (done,) = client.of_type("response.done")
    assert done["response"]["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["response"]["output"][0]["status"] == "incomplete"


def test_planted_faults_show() -> None:
    assert Client(faults=Faults(never_updated=True)).telephone() == []
    (updated,) = Client(faults=Faults(formats_ignored=True)).telephone()
    assert updated["session"]["audio"]["input"]["format"]["type"] == "audio/pcm"
    planted = Client(faults=Faults(errors={"response.create": "insufficient_quota"}))
    assert error_of(planted("response.create", event_id="e"))["code"] == "insufficient_quota"
    mute = Client(faults=Faults(mute=True))
    mute("response.create")
    assert mute.sent[-1]["response"]["output"] == []
    stalled = Client(faults=Faults(stalled=True))
    stalled("response.create")
    stalled.wait(100)
    assert not stalled.of_type("response.done")
    silent = Client(faults=Faults(silent_audio=True))
    silent.telephone()
    silent("response.create")
    silent.wait(5)
    sounds = {base64.b64decode(event["delta"]) for event in silent.of_type("response.output_audio.delta")}
    assert {byte for sound in sounds for byte in sound} == {0xFF}


STEP = st.sampled_from(
    [
        Say("Hello there, how are you?"),
        Say("x" * 80, until_ms=500),
        Call("f", "{"),
        Fail(),
        Stop(),
        Stall(),
        Pause(300),
        Error("x"),
    ]
)
VAD = st.fixed_dictionaries(
    {"create_response": st.booleans(), "interrupt_response": st.booleans()},
    optional={"idle_timeout_ms": st.integers(5000, 30000)},
)
SOMETHING = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.01, 9)),
    st.tuples(st.just("hears"), st.sampled_from([SPEECH[:8000], SPEECH, QUIET])),
    st.tuples(st.just("telephone"), VAD),
    st.tuples(st.just("telephone"), st.just({"type": None})),
    st.tuples(
        st.just("send"),
        st.sampled_from(
            [
                {"type": "response.create"},
                {"type": "response.create", "response": {"conversation": "none"}},
                {"type": "response.cancel"},
                {"type": "input_audio_buffer.commit"},
                {"type": "input_audio_buffer.clear"},
                {"type": "conversation.item.create", "item": item("user", "hello")},
                {"type": "nonsense"},
            ]
        ),
    ),
    st.tuples(st.just("truncate"), st.integers(0, 3000)),
    st.tuples(st.just("delete"), st.integers(0, 5)),
)


@settings(max_examples=150)
@given(st.lists(st.lists(STEP, max_size=3), max_size=8), st.lists(SOMETHING, max_size=25), st.integers(0, 2))
def test_whatever_the_client_does_responses_come_one_at_a_time_and_each_is_done_once(
    script: list[list[Any]], happenings: list[tuple[str, Any]], late: int
) -> None:
    client = Client(ScriptedMind([Turn(steps) for steps in script]), faults=Faults(late_deltas=late))
    client.telephone()
    for what, argument in happenings:
        match what:
            case "wait":
                client.wait(argument)
            case "hears":
                client.hears(argument, 800)
            case "telephone":
                client.telephone(**argument)
            case "send":
                client.send_text(json.dumps(argument))
            case _:
                _edit(client, what, argument)
    client("response.cancel")
    client.wait(120)
    client("response.cancel")
    _one_at_a_time(client)


def _edit(client: Client, what: str, argument: int) -> None:
    items = [event["item"]["id"] for event in client.of_type("conversation.item.added")]
    if what == "truncate" and items:
        client("conversation.item.truncate", item_id=items[-1], content_index=0, audio_end_ms=argument)
    if what == "delete" and len(items) > argument:
        client("conversation.item.delete", item_id=items[argument])


def _one_at_a_time(client: Client) -> None:
    running: set[str] = set()
    over: set[str] = set()
    for event in client.sent:
        response = event.get("response", {})
        name = event.get("response_id") or response.get("id")
        if event["type"] == "response.created":
            assert response["conversation_id"] is None or not running
            running |= {name} if response["conversation_id"] else set()
        elif event["type"] == "response.done":
            assert name not in over
            over.add(name)
            running.discard(name)
        elif name:
            assert name not in over, f"{event['type']} after response.done"
    created = {event["response"]["id"] for event in client.of_type("response.created")}
    beside = {
        event["response"]["id"]
        for event in client.of_type("response.created")
        if not event["response"]["conversation_id"]
    }
    assert created - over <= beside, "only a response beside the conversation may still be stalled"
    assert len({event["event_id"] for event in client.sent}) == len(client.sent)
