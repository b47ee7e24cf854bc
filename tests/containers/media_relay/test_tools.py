"""What the model's tool calls mean, however they are written."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay import agent, realtime, tools
from containers.media_relay.actions import ToEnd, ToPerson
from contracts.transfer import MalformedRequest, Reason, TransferRequest
from tests.containers.media_relay.worlds import CALL_SID, PEOPLE_FILE, World, brief, start

BRIEF = brief()


def read(name: str, arguments: str) -> tools.Asked:
    return tools.read(realtime.FunctionCall("call_1", name, arguments), BRIEF)


def test_S8_a_destination_of_the_directory_is_taken_with_its_summary() -> None:
    for key in BRIEF.destinations:
        asked = read(agent.TRANSFER_TOOL, json.dumps({"destination": key, "summary": " two\nlines "}))
        assert asked.to == ToPerson(key, Reason.CALLER_ASKED, "two lines")
        assert asked.accepted


def test_the_end_of_a_call_is_taken_with_its_reason_or_a_plain_one() -> None:
    assert read(agent.END_TOOL, '{"reason": "all said"}').to == ToEnd("all said")
    assert read(agent.END_TOOL, "{").to == ToEnd("agent_ended")


def test_a_message_is_taken_by_a_tool_that_only_an_agent_with_a_voicemail_has() -> None:
    arguments = json.dumps({"destination": "sales", "summary": "Call back after five."})
    call, with_voicemail = realtime.FunctionCall("call_1", agent.MESSAGE_TOOL, arguments), brief(file=PEOPLE_FILE)
    assert tools.read(call, with_voicemail).to == ToPerson(
        "sales", Reason.CALLER_LEAVES_MESSAGE, "Call back after five."
    )
    assert tools.read(call, BRIEF).to is None
    tool_names = [[one["name"] for one in each.session["tools"]] for each in (with_voicemail, BRIEF)]
    assert [agent.MESSAGE_TOOL in names for names in tool_names] == [True, False]
    assert [agent.MESSAGE_TOOL in each.session["instructions"] for each in (with_voicemail, BRIEF)] == [True, False]


def test_a_tool_that_there_is_not_is_answered_and_leads_nowhere() -> None:
    asked = read("dial", '{"number": "+15550109999"}')
    assert (asked.to, asked.accepted) == (None, False)
    assert agent.TRANSFER_TOOL in asked.answer["error"]


def _near(key: str) -> list[str]:
    look_alikes = key.translate(str.maketrans("ioe", "\u0456\u043e\u0435"))
    return [key.upper(), f"{key} ", key[:-1], f"{key}\u200b", look_alikes, f'{key}"', f"{key}\n", f"{key},+15550109999"]


def hostile(chance: random.Random) -> str:
    """Arguments that no well-meaning model writes."""
    key = chance.choice([*BRIEF.destinations])
    near = [one for one in _near(key) if one != key]
    numbers = [
        "+15550109999",
        "tel:+15550109999",
        "sip:x@evil.example",
        "٠١٢٣٤٥",
        "client:x",
        "911",
        "",
        "${key}",
        "../x",
    ]
    other: list[object] = [None, 5, True, [key], {"key": key}, 1e400, -1]
    destination = chance.choice(
        [*near, *numbers, *other, "x" * chance.randrange(5000), chr(chance.randrange(0x110000))]
    )
    whole = json.dumps({"destination": destination, "summary": chance.choice([*numbers, None, "\ud800", "a" * 9000])})
    broken = [
        "",
        "null",
        "[" * 9000,
        "9" * 6000,
        whole[:-2],
        whole + "}",
        f"[{whole}]",
        '{"destination":',
        "NaN",
        "\x00",
    ]
    twice = f'{{"destination": "{key}", "destination": "+15550109999"}}'
    return chance.choice([whole, whole, whole, twice, chance.choice(broken)])


def test_S8_ten_thousand_hostile_tool_calls_all_end_at_a_person_of_the_directory() -> None:
    chance = random.Random(8)
    accepted = 0
    for _ in range(10_000):
        arguments = hostile(chance)
        asked = read(agent.TRANSFER_TOOL, arguments)
        assert isinstance(asked.to, ToPerson), "never nobody"
        assert asked.to.destination in BRIEF.destinations
        assert len(asked.to.summary) <= tools.SUMMARY_CHARACTERS
        accepted += asked.accepted
        request = TransferRequest.create(
            call_sid=CALL_SID,
            destination=asked.to.destination,
            reason=asked.to.reason,
            now=0.0,
            summary=asked.to.summary,
        )
        assert TransferRequest.from_json(request.to_json()) == request, "it can leave by the queue"
    assert accepted == 0, "all of these were hostile"


def test_S8_a_hostile_call_in_a_session_dials_a_person_of_the_directory_once() -> None:
    chance = random.Random(88)
    for number in range(300):
        world = World()
        world.tell(start())
        world.model_open = world.ready = True
        world.tell(realtime.SessionUpdated(mu_law=True))
        world.creates.clear()
        world.tell(realtime.ResponseCreated("r"))
        world.told_calls.add(f"call_{number}")
        world.tell(realtime.FunctionCall(f"call_{number}", agent.TRANSFER_TOOL, hostile(chance)))
        world.pass_time(5.0)
        assert [transfer.to.destination for transfer in world.transfers] == [BRIEF.default]


def test_S8_a_request_cannot_be_made_for_what_is_no_key() -> None:
    with pytest.raises(MalformedRequest):
        TransferRequest.create(call_sid=CALL_SID, destination="+15550109999", reason=Reason.CALLER_ASKED, now=0.0)


@given(st.text(), st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_S8_any_call_of_any_tool_has_a_meaning_that_is_safe(name: str, arguments: str) -> None:
    asked = read(name, arguments)
    assert not isinstance(asked.to, ToPerson) or asked.to.destination in BRIEF.destinations
    json.dumps(asked.answer).encode()
