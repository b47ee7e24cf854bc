"""`agent.yaml`: what it may say, and how an error is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent_file import AgentFileError, SemanticVad, load, schema
from contracts.directory import parse

ROOT = Path(__file__).parents[2]
NUMBER = "+15550100001"


WHOLE = """
greeting: g
persona: p
hours:
  office:
    time_zone: America/New_York
    open: {mon-fri: "09:00-17:00", sat: ["10:00-12:00", "13:00-15:00"], sun: "22:00-02:00"}
    holidays: [2026-12-25, "01-01"]
destinations:
  billing:
    name: billing
    description: invoices
    targets:
      - {phone: "+15550100001", ring_seconds: 15}
      - {sip: "sip:desk@pbx.example.com"}
      - {client: reception-desk}
      - {workflow: WW00000000000000000000000000000001, ring_seconds: 300}
    mode: screened
    hours: office
    whisper: A caller for billing.
    key: "2"
    disposition: {no_answer: next, declined: agent, closed: voicemail, exhausted: reception}
  reception: {name: reception, description: everything, number: "+15550100003"}
default_destination: reception
voicemail: {greeting: Please leave a message., deliver: {webhook: "https://example.com/voicemail"}}
escalation: {max_wait_seconds: 60, extra_phrases: [the boss]}
guards: {countries: ["+1"], transfers_per_call: 3}
"""


def minimal() -> dict[str, Any]:
    person = {"name": "reception", "number": NUMBER, "description": "everything"}
    return {"persona": "p", "greeting": "g", "destinations": {"reception": person}, "default_destination": "reception"}


def reception(**fields: Any) -> dict[str, Any]:
    return {"destinations": {"reception": minimal()["destinations"]["reception"] | fields}}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def refusal(path: Path, content: object) -> str:
    with pytest.raises(AgentFileError) as refused:
        load(write(path, content))
    assert all(line.startswith(str(path)) for line in str(refused.value).splitlines())
    return str(refused.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.yaml"


def test_the_repositorys_own_file_loads() -> None:
    agent = load(ROOT / "agent.yaml")
    assert set(agent.destinations) == {"billing", "support", "reception"}
    assert agent.default_destination == "reception"


def test_the_schema_beside_the_file_is_the_one_the_code_gives() -> None:
    assert json.loads((ROOT / "agent.schema.json").read_text(encoding="utf-8")) == schema()


def test_little_is_enough_and_the_rest_has_defaults(path: Path) -> None:
    agent = load(write(path, minimal()))
    assert (agent.model, agent.limits.max_call_minutes) == ("gpt-realtime-2.1", 30)
    assert agent.destinations["reception"].ring_seconds == 20
    semantic = minimal() | {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}
    assert load(write(path, semantic)).turn_detection == SemanticVad(eagerness="low")


def test_everything_that_can_be_said_of_people_is_said_and_read_the_same(path: Path) -> None:
    agent = load(write(path, WHOLE))
    billing = agent.destinations["billing"]
    assert (billing.number, agent.destinations["reception"].number) == (NUMBER, "+15550100003")
    assert (billing.mode, billing.disposition.exhausted, billing.key) == ("screened", "reception", "2")
    assert agent.hours["office"].holidays == ["2026-12-25", "01-01"]
    assert (agent.escalation.promise_seconds, agent.escalation.failed_turns, agent.escalation.phrases) == (4, 3, True)
    assert agent.directory == parse(yaml.safe_load(WHOLE))
    assert agent.directory.digits == {"0": "reception", "2": "billing"}


def test_a_destination_without_a_phone_has_an_empty_number(path: Path) -> None:
    content = minimal()
    content["destinations"]["desk"] = {"name": "n", "description": "d", "targets": [{"client": "desk"}]}
    assert load(write(path, content)).destinations["desk"].number == ""


def test_a_file_that_is_not_there_is_named_with_the_variable_to_set(path: Path) -> None:
    with pytest.raises(AgentFileError, match=r"cannot be read .*AGENT_FILE"):
        load(path)


@pytest.mark.parametrize("text", ["{", "a: b: c", "\x00", "- " * 3 + "{[", "&a [*a, *b]"])
def test_what_is_not_yaml_is_told_on_one_line(path: Path, text: str) -> None:
    said = refusal(path, text)
    assert "is not valid YAML" in said
    assert len(said.splitlines()) == 1


def test_a_key_that_is_given_twice_is_named_with_its_line(path: Path) -> None:
    text = yaml.safe_dump(minimal())
    load(write(path, text))
    twice = refusal(path, f"{text}persona: another\n")
    assert "persona is given twice" in twice
    assert f"line {text.count(chr(10)) + 1}," in twice


def test_a_file_that_is_not_utf8_or_nested_without_end_is_not_yaml_either(path: Path) -> None:
    path.write_bytes(b"persona: \xff")
    with pytest.raises(AgentFileError, match="is not valid YAML"):
        load(path)
    assert "is not valid YAML" in refusal(path, "[" * 5000)
    assert "is not valid YAML" in refusal(path, "holiday: 2026-99-99"), "a date by its looks only"


@pytest.mark.parametrize(
    ("change", "where", "remedy"),
    [
        ({"personna": "x"}, "personna", "correct its spelling"),
        ({"persona": None}, "persona", "write a text"),
        ({"persona": "  "}, "persona", "correct the value"),
        ({"greeting": "x" * 501}, "greeting", "correct the value"),
        ({"language": "English"}, "language", "en-US"),
        ({"destinations": {}}, "destinations", "correct the value"),
        (
            {"destinations": {"reception": {"number": NUMBER, "description": "d"}}},
            "destinations.reception.name",
            "add it",
        ),
        (
            {"destinations": {"reception": {"name": "n", "number": "555-0100", "description": "d"}}},
            "destinations.reception.number",
            "+15550100001",
        ),
        (
            {"destinations": {"Reception!": {"name": "n", "number": NUMBER, "description": "d"}}},
            "destinations.Reception!",
            "lower case",
        ),
        (
            {"destinations": {"reception": {"name": "n", "number": NUMBER, "description": "d", "ring_seconds": 4}}},
            "destinations.reception.ring_seconds",
            "correct the value",
        ),
        ({"default_destination": "sales"}, "default_destination", "not one of the destinations (reception)"),
        ({"hours": {"o": {"time_zone": "Nowhere", "open": {}}}}, "hours.o.time_zone", "America/New_York"),
        ({"hours": {"o": {"time_zone": "UTC", "open": {"mon": "9-5"}}}}, "hours.o.open.mon.0", '"09:00-17:00"'),
        ({"hours": {"o": {"time_zone": "UTC", "open": {"monday": []}}}}, "hours.o.open.monday", "mon-fri:"),
        ({"hours": {"o": {"time_zone": "UTC", "open": {}, "holidays": ["1.1."]}}}, "hours.o.holidays.0", '"12-25"'),
        ({"voicemail": {"greeting": "g", "deliver": {"email": "x"}}}, "voicemail.deliver.email", "desk@example.com"),
        ({"voicemail": {"greeting": "g", "deliver": {}}}, "voicemail.deliver", "exactly one"),
        ({"escalation": {"promise_seconds": -1}}, "escalation.promise_seconds", "correct the value"),
        ({"escalation": {"max_call_cost_usd": float("inf")}}, "escalation.max_call_cost_usd", "correct the value"),
        ({"guards": {"countries": ["+49"]}}, "destinations.reception", "correct the number"),
        ({"guards": {"countries": [1]}}, "guards.countries.0", "in quotes"),
        (reception(key=2), "destinations.reception.key", "in quotes"),
        (reception(ring_seconds="20"), "destinations.reception.ring_seconds", "correct the value"),
        (reception(hours="office"), "destinations.reception.hours", "name one of them"),
        (reception(disposition={"busy": "voicemail"}), "destinations.reception.disposition.busy", "voicemail section"),
        (reception(disposition={"busy": "reception"}), "destinations.reception.disposition.busy", "goodbye"),
        (reception(targets=[{"phone": NUMBER}]), "destinations.reception", "exactly one of number and targets"),
        ({"turn_detection": {"type": "guess"}}, "turn_detection", "correct the value"),
        (
            {"turn_detection": {"type": "server_vad", "silence_ms": 1}},
            "turn_detection.server_vad.silence_ms",
            "correct",
        ),
        ({"limits": {"max_call_minutes": 181}}, "limits.max_call_minutes", "correct the value"),
        ({"limits": {"max_calls": "many"}}, "limits.max_calls", "correct the value"),
    ],
)
def test_every_error_names_its_path_and_a_remedy(path: Path, change: dict[str, Any], where: str, remedy: str) -> None:
    said = refusal(path, minimal() | change)
    assert f"{path}: {where}" in said
    assert remedy in said


def test_several_errors_are_told_at_once(path: Path) -> None:
    assert len(refusal(path, {"persona": "p"}).splitlines()) == 3


@pytest.mark.parametrize("content", ["", "5", "[]", "text"])
def test_a_file_that_is_no_mapping_is_refused(path: Path, content: str) -> None:
    assert "(whole file)" in refusal(path, content)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(
    key=st.sampled_from(
        [*minimal(), "voice", "limits", "turn_detection", "hours", "voicemail", "escalation", "guards"]
    ),
    value=_values,
)
def test_any_value_is_read_or_refused_with_its_path(
    key: str, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any.yaml", minimal() | {key: value})
    said = f"{path}: "
    try:
        load(path)
    except AgentFileError as refused:
        said = str(refused)
    assert said.startswith(f"{path}: ")
