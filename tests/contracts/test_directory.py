"""The directory: who can be reached, and which files are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.agent_file import AgentFile
from contracts.destination import Channel, Delivery, Mode, Order, Target, TargetKind
from contracts.directory import DirectoryRefused, load, parse
from tests.contracts import people
from tests.contracts.people import HOURS, NUMBER, directory, person

ROOT = Path(__file__).parents[2]


def problems(content: Any) -> list[str]:
    with pytest.raises(DirectoryRefused) as refused:
        parse(content)
    return [one.path for one in refused.value.problems]


def refusal(destinations: dict[str, Any], default: str = "desk", **fields: Any) -> list[str]:
    return problems(people.agent_file(destinations, default, **fields))


def test_a_file_as_it_was_before_there_were_targets_means_the_same() -> None:
    read = load(ROOT / "agent.yaml").directory
    reception = read.resolve("reception")
    assert reception is read.default is read.resolve("nobody")
    assert reception.targets == (Target(TargetKind.PHONE, "+15550100003", 25),)
    assert (reception.number, reception.ring_seconds, reception.mode) == ("+15550100003", 25, Mode.DIRECT)
    assert (reception.schedule, reception.ring, reception.disposition.no_answer) == (None, Order.IN_ORDER, "next")
    assert (read.dial_seconds, read.max_wait_seconds, read.voicemail) == (3600, 90, None)
    assert read.digits == {"0": "reception"}
    assert read.guards.permits("+15550100002")
    assert not read.guards.permits("+4930123456")


def test_every_kind_of_target_is_read_with_its_own_ring_seconds() -> None:
    targets = [
        {"phone": NUMBER, "ring_seconds": 15},
        {"sip": "sips:desk@pbx.example.com:5061;transport=tls"},
        {"client": "reception-desk"},
        {"queue": "support", "ring_seconds": 600},
    ]
    read = directory({"billing": person(targets=targets, ring_seconds=30)}).resolve("billing")
    assert [(one.kind.value, one.ring_seconds) for one in read.targets] == [
        ("phone", 15),
        ("sip", 30),
        ("client", 30),
        ("queue", 600),
    ]
    assert read.number == NUMBER
    assert read.rung_at(3) == (read.targets[3],)
    assert read.rung_at(4) == ()


def test_all_that_ring_at_once_ring_at_the_first_position() -> None:
    billing = person(targets=[{"phone": NUMBER}, {"client": "a"}], ring="at_once")
    read = directory({"billing": billing}).resolve("billing")
    assert read.rung_at(0) == read.targets
    assert read.rung_at(1) == ()


def test_hours_voicemail_guards_and_keys_are_read() -> None:
    read = directory(
        {"billing": person(hours="day", key="0", whisper=" A caller.\n", mode="screened")},
        hours=HOURS,
        voicemail={"greeting": "g", "deliver": {"topic": "arn:aws:sns:us-east-1:123456789012:messages"}},
        guards={"countries": ["+1", "+49"], "enabled": False, "transfers_per_call": 2},
        escalation={"max_wait_seconds": 30},
        language="de",
    )
    billing = read.resolve("billing")
    assert billing.is_open(people.MONDAY)
    assert not billing.is_open(people.MONDAY + 2 * people.DAY)
    assert (billing.whisper, billing.mode, read.digits) == ("A caller.", Mode.SCREENED, {"0": "billing"})
    assert read.voicemail is not None
    assert (read.voicemail.deliver.channel, read.voicemail.max_seconds) == (Channel.TOPIC, 120)
    assert (read.guards.countries, read.guards.enabled, read.guards.transfers_per_call) == (("+1", "+49"), False, 2)
    assert (read.max_wait_seconds, read.language) == (30, "de")


def test_a_sender_is_of_an_e_mail_and_has_its_form() -> None:
    def deliver(**to: str) -> Delivery:
        read = directory({"desk": person()}, screen_pop={"deliver": to, "minutes": 5})
        assert read.screen_pop is not None
        assert read.deliveries == (read.screen_pop.deliver,)
        return read.screen_pop.deliver

    assert deliver(email="a@example.com").permission == "a@example.com"
    assert deliver(email="a@example.com", sender="b@example.org").permission == "b@example.org"
    assert deliver(webhook="https://example.com/").permission == ""
    for refused in ({"email": "a@example.com", "sender": "b"}, {"webhook": "https://example.com/", "sender": "b@c.de"}):
        with pytest.raises(DirectoryRefused, match=r"screen_pop\.deliver\.sender"):
            deliver(**refused)


@pytest.mark.parametrize(
    ("number", "code"),
    [("+15550100001", "+1"), ("+4930123456", "+49"), ("+420123456789", "+420"), ("+77012345678", "+7")],
)
def test_the_countries_of_the_listed_numbers_are_permitted_if_none_are_named(number: str, code: str) -> None:
    assert directory({"desk": person(number=number)}).guards.countries == (code,)


@pytest.mark.parametrize(
    ("billing", "path"),
    [
        ({"number": "0800 BILLING"}, "destinations.billing.number"),
        ({"number": 15550100001}, "destinations.billing.number"),
        ({"number": NUMBER + "\n"}, "destinations.billing.number"),
        ({"targets": [{"phone": "1"}]}, "destinations.billing.targets.0.phone"),
        ({"targets": [{"phone": NUMBER}, {"sip": "desk@pbx"}]}, "destinations.billing.targets.1.sip"),
        ({"targets": [{"client": "two words"}]}, "destinations.billing.targets.0.client"),
        ({"targets": [{"workflow": "WW1"}]}, "destinations.billing.targets.0.workflow"),
        ({"targets": [{"phone": NUMBER, "sip": "sip:a@b"}]}, "destinations.billing.targets.0"),
        ({"targets": [{"ring_seconds": 5}]}, "destinations.billing.targets.0"),
        ({"targets": [{"phone": NUMBER, "ring_seconds": 121}]}, "destinations.billing.targets.0.ring_seconds"),
        ({"targets": []}, "destinations.billing.targets"),
        ({"targets": [{"client": "a"}] * 11}, "destinations.billing.targets"),
        ({"targets": "none"}, "destinations.billing.targets"),
        ({"targets": ["none"]}, "destinations.billing.targets.0"),
        ({"number": NUMBER, "targets": [{"phone": NUMBER}]}, "destinations.billing"),
        ({"number": None}, "destinations.billing"),
        ({"name": " "}, "destinations.billing.name"),
        ({"name": "\u200b"}, "destinations.billing.name"),
        ({"ring_seconds": 4}, "destinations.billing.ring_seconds"),
        ({"ring_seconds": True}, "destinations.billing.ring_seconds"),
        ({"ring": "together"}, "destinations.billing.ring"),
        ({"mode": ["direct"]}, "destinations.billing.mode"),
        ({"hours": "night"}, "destinations.billing.hours"),
        ({"key": "10"}, "destinations.billing.key"),
        ({"whisper": "x" * 201}, "destinations.billing.whisper"),
        ({"disposition": "agent"}, "destinations.billing.disposition"),
        ({"disposition": {"busy": "nobody"}}, "destinations.billing.disposition.busy"),
        ({"disposition": {"busy": "hang_up"}}, "destinations.billing.disposition.busy"),
        ({"disposition": {"busy": "voicemail"}}, "destinations.billing.disposition.busy"),
        ({"disposition": {"closed": "next"}}, "destinations.billing.disposition.closed"),
        ({"disposition": {"exhausted": "next"}}, "destinations.billing.disposition.exhausted"),
        ({"disposition": {"completed": "next"}}, "destinations.billing.disposition.completed"),
        ({"disposition": {"completed": "desk"}}, "destinations.billing.disposition.completed"),
        ({"targets": [{"queue": "q"}, {"phone": NUMBER}]}, "destinations.billing.targets.0.queue"),
        ({"targets": [{"queue": "q"}], "ring": "at_once"}, "destinations.billing.targets.0.queue"),
        ({"targets": [{"queue": "q"}], "mode": "attended"}, "destinations.billing.targets.0.queue"),
    ],
)
def test_a_destination_without_its_form_is_refused_where_it_stands(billing: dict[str, Any], path: str) -> None:
    assert refusal({"billing": person(**billing)}) == [path]


def test_the_rest_of_the_file_is_refused_where_it_stands() -> None:
    assert problems(None) == ["(whole file)"]
    assert problems({"default_destination": "desk"}) == ["default_destination"]
    assert refusal({"Billing": person()}) == ["destinations.Billing"]
    assert refusal({"agent": person()}) == ["destinations.agent"]
    assert refusal({"desk": person(targets=[{"client": "a"}])}) == ["destinations.desk"]
    assert refusal({"desk": person(key="2"), "billing": person(key="2")}) == ["destinations.desk.key"]
    assert refusal({"desk": person()}, limits={"max_dial_minutes": 0}) == ["limits.max_dial_minutes"]
    assert refusal({"desk": person()}, guards={"countries": ["+49"]}) == ["destinations.desk"]
    assert refusal({"desk": person()}, guards={"countries": ["49"]}) == ["guards.countries.0"]
    assert refusal({"desk": person()}, guards={"enabled": "no"}) == ["guards.enabled"]
    assert refusal({"desk": person()}, voicemail={"greeting": "g", "deliver": {}}) == ["voicemail.deliver"]
    assert refusal({"desk": person()}, voicemail={"greeting": "g", "deliver": {"webhook": "http://a"}}) == [
        "voicemail.deliver.webhook"
    ]
    assert refusal({"desk": person()}, escalation={"max_wait_seconds": 601}) == ["escalation.max_wait_seconds"]


def test_hours_without_their_form_or_that_never_open_are_refused() -> None:
    def office(**fields: Any) -> dict[str, Any]:
        return {"office": {"time_zone": "UTC", "open": {"mon": "09:00-10:00"}, **fields}}

    assert refusal({}, hours=office(time_zone="Nowhere")) == ["hours.office.time_zone"]
    assert refusal({}, hours=office(open={"mon": "9"})) == ["hours.office.open.mon"]
    assert refusal({}, hours=office(holidays=["02-30"])) == ["hours.office.holidays.0"]
    assert refusal({"desk": person(hours="office")}, hours=office(open={})) == ["destinations.desk.hours"]
    assert directory({"desk": person(hours="office")}, hours=office()).default.schedule is not None


def test_several_broken_rules_are_told_at_once_and_a_file_by_its_name(tmp_path: Path) -> None:
    content = people.agent_file({"agent": person(disposition={"busy": "nobody", "closed": "next"})})
    assert len(problems(content)) == 3
    file = tmp_path / "agent.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(DirectoryRefused) as refused:
        load(file)
    assert all(line.startswith(f"{file}: destinations.agent") for line in str(refused.value).splitlines())
    for unreadable in (b"\xff", b"[", b"[" * 5000):
        file.write_bytes(unreadable)
        with pytest.raises(DirectoryRefused):
            load(file)


class TestCircles:
    def test_one_that_can_be_walked_is_refused_with_its_way(self) -> None:
        billing = person(disposition={"exhausted": "support"})
        support = person(disposition={"busy": "billing"})
        assert refusal({"billing": billing, "support": support}) == ["destinations.support.disposition.busy"]
        with pytest.raises(DirectoryRefused, match=r"billing\.exhausted -> support\.busy -> billing\.exhausted"):
            directory({"billing": billing, "support": support})

    def test_a_closed_edge_of_what_never_closes_cannot_be_walked(self) -> None:
        def pair(hours: dict[str, Any]) -> dict[str, Any]:
            return {
                "billing": person(disposition={"exhausted": "night"}),
                "night": person(disposition={"closed": "billing"}, **hours),
            }

        directory(pair({}), hours=HOURS)
        directory(pair({"hours": "always"}), hours=HOURS)
        assert refusal(pair({"hours": "day"}), hours=HOURS) == ["destinations.billing.disposition.exhausted"]

    def test_a_declined_edge_can_be_walked_only_where_a_person_is_asked(self) -> None:
        def itself(mode: str) -> dict[str, Any]:
            return {"billing": person(mode=mode, disposition={"declined": "billing"})}

        directory(itself("direct"))
        for mode in ("screened", "attended"):
            assert refusal(itself(mode)) == ["destinations.billing.disposition.declined"]

    def test_exhausted_cannot_be_reached_where_nothing_passes_to_the_next(self) -> None:
        away = {"no_answer": "agent", "busy": "agent", "failed": "agent"}
        directory({"billing": person(disposition={**away, "exhausted": "billing"})})
        assert refusal({"billing": person(disposition={"exhausted": "billing"})})

    def test_whom_the_same_hours_close_cannot_ring_when_the_other_is_closed(self) -> None:
        def pair(hours: str) -> dict[str, Any]:
            return {
                "billing": person(hours="day", disposition={"closed": "support"}),
                "support": person(hours=hours, disposition={"exhausted": "billing"}),
            }

        directory(pair("day"), hours=HOURS)
        assert refusal(pair("other"), hours=HOURS)


def test_the_functions_read_it_without_pydantic_and_without_yaml() -> None:
    check = "import sys, contracts.directory, contracts.hunt, contracts.ledger; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    names = set(loaded.stdout.split())
    assert "contracts.directory" in names
    assert not names & {"pydantic", "yaml", "boto3", "botocore"}


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 700) | st.floats() | st.text(max_size=5) | st.sampled_from(people.KEYS),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3),
    max_leaves=4,
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A file with one value somewhere replaced by any other."""
    content = draw(people.agent_files())
    part = content
    while draw(st.booleans()):
        deeper = [one for one in part.values() if isinstance(one, dict) and one]
        if not deeper:
            break
        part = draw(st.sampled_from(deeper))
    part[draw(st.sampled_from([*part]))] = draw(_values)
    return content


@given(people.agent_files() | damaged())
def test_every_file_that_the_deploy_accepts_is_a_directory_and_the_same_one(content: dict[str, Any]) -> None:
    try:
        accepted = AgentFile.model_validate(content)
    except ValidationError:
        return
    read = parse(content)
    assert accepted.directory == read
    assert {key: one.number for key, one in accepted.destinations.items()} == {
        key: one.number for key, one in read.destinations.items()
    }


@given(people.agent_files())
def test_the_deploy_refuses_a_well_formed_file_exactly_when_the_functions_do(content: dict[str, Any]) -> None:
    said = []
    for reader in (AgentFile.model_validate, parse):
        try:
            reader(content)
        except ValidationError as error:
            (refused,) = (one["ctx"]["error"] for one in error.errors())
            said.append(str(refused))
        except DirectoryRefused as refused:
            said.append(str(refused))
        else:
            said.append("")
    assert said[0] == said[1]


@given(_values)
def test_any_content_is_read_or_refused(content: object) -> None:
    with pytest.raises(DirectoryRefused):
        parse(content)
