from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.attachments import Attachment
from cli.checks.check import Mark
from cli.checks.doors import Answer
from cli.checks.lines import CHECKS, _dialled, country_code
from tests.cli.health import FALLBACK, NUMBER, ORIGIN, TWIML, Healthy, Listed, ask, country, number

DESTINATIONS, ATTACHED, FALLS_BACK = CHECKS


def test_a_number_that_leads_here_is_good() -> None:
    finding = ask(ATTACHED, Healthy())
    assert (finding.mark, finding.text) == (Mark.GOOD, NUMBER)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"voice_url": "https://elsewhere.example.com"}, "leads elsewhere"),
        ({"capabilities": {"voice": False}}, "cannot carry voice"),
        ({"capabilities": None}, "cannot carry voice"),
        ({"voice_method": "GET"}, "instead of POST"),
        ({"voice_application_sid": "AP1"}, "taken by an application"),
        ({"trunk_sid": "TK1"}, "taken by an application"),
    ],
)
def test_a_number_on_which_no_call_arrives_is_bad(changes: dict[str, Any], says: str) -> None:
    line = Healthy()
    line.numbers = Listed(number(**changes))
    finding = ask(ATTACHED, line)
    assert finding.mark is Mark.BAD
    assert says in finding.text
    assert "number attach" in finding.repair


def test_without_any_number_the_repair_is_to_attach_one() -> None:
    line = Healthy()
    line.numbers, line.attached = Listed(), []
    finding = ask(ATTACHED, line)
    assert (finding.mark, finding.repair) == (Mark.BAD, "./patchthrough number attach +1… --stage dev")


def test_a_number_that_was_pointed_here_by_hand_counts() -> None:
    line = Healthy()
    line.attached = []
    assert ask(ATTACHED, line).mark is Mark.GOOD


def test_each_attached_number_must_lead_here() -> None:
    line = Healthy()
    line.attached.append(Attachment(sid="PN2", number="+15550100009", previous={}))
    assert "+15550100009 was attached" in ask(ATTACHED, line).text


def test_R33_the_fallback_is_fetched_by_its_own_method_and_dials_the_default_person() -> None:
    line = Healthy()
    assert ask(FALLS_BACK, line).mark is Mark.GOOD
    assert line.knocks == [(FALLBACK, "GET")]


@pytest.mark.parametrize(
    ("url", "answer", "expected"),
    [
        ("", Answer(200, "text/xml", TWIML), Mark.BAD),
        (f"{ORIGIN}/voice/incoming", Answer(200, "text/xml", TWIML), Mark.BAD),
        (FALLBACK, Answer(404, "text/plain", ""), Mark.BAD),
        (FALLBACK, Answer(200, "text/xml", "<Response><Say>Sorry.</Say></Response>"), Mark.BAD),
        (FALLBACK, Answer(200, "text/xml", "<Response><Dial/></Response>"), Mark.BAD),
        (FALLBACK, Answer(200, "text/xml", "Sorry"), Mark.BAD),
        (FALLBACK, Answer(200, "text/xml", TWIML.replace("03<", "09<")), Mark.WARNING),
        (FALLBACK, Answer(200, "text/xml", "<Response><Dial> +15550100003 </Dial></Response>"), Mark.GOOD),
    ],
)
def test_R33_a_fallback_that_reaches_nobody_is_bad(url: str, answer: Answer, expected: Mark) -> None:
    line = Healthy()
    line.numbers = Listed(number(voice_fallback_url=url))
    line.fallback = answer
    assert ask(FALLS_BACK, line).mark is expected


@given(st.text() | st.text("<>/&;!DOCTYPEResponsDial[]\"' ").map(lambda text: f"<Response>{text}</Response>"))
def test_no_document_breaks_the_check(text: str) -> None:
    dialled = _dialled(text)
    assert dialled is None or dialled.strip()


def test_entities_are_not_expanded() -> None:
    assert _dialled('<!DOCTYPE r [<!ENTITY a "1">]><Response><Dial>&a;</Dial></Response>') is None


@pytest.mark.parametrize(
    ("dialled", "code"),
    [
        ("+15550100001", "1"),
        ("+79161234567", "7"),
        ("+442071838750", "44"),
        ("+4930123456", "49"),
        ("+35312345678", "353"),
        ("+8801712345678", "880"),
        ("+201012345678", "20"),
        ("+2112345678", "211"),
        ("+5901234567", "590"),
        ("+9981234567", "998"),
        ("+989121234567", "98"),
        ("+9601234567", "960"),
    ],
)
def test_country_codes(dialled: str, code: str) -> None:
    assert country_code(dialled) == code


def with_destination(line: Healthy, telephone: str) -> Healthy:
    agent = SimpleNamespace(destinations={"billing": SimpleNamespace(number=telephone)})
    line.settings_ = SimpleNamespace(stage="dev", agent=agent)  # type: ignore[assignment] # all that is read of it
    return line


def test_destinations_in_allowed_countries_are_good() -> None:
    line = Healthy()
    assert ask(DESTINATIONS, line).mark is Mark.GOOD
    assert [asked["country_code"] for asked in line.countries.asked] == ["1"]


def test_one_enabled_country_of_a_shared_code_is_enough() -> None:
    line = Healthy()
    line.countries = Listed(country("Canada", "1", enabled=False), country("United States", "1", enabled=True))
    assert ask(DESTINATIONS, line).mark is Mark.GOOD


def test_a_destination_in_a_country_that_may_not_be_dialled_is_bad() -> None:
    line = with_destination(Healthy(), "+442071838750")
    line.countries.items.append(country("United Kingdom", "44", enabled=False))
    finding = ask(DESTINATIONS, line)
    assert finding.mark is Mark.BAD
    assert finding.text == "Twilio may not dial United Kingdom (+44): billing"
    assert "geo-permissions" in finding.repair


def test_a_country_that_twilio_does_not_name_is_not_checked() -> None:
    assert ask(DESTINATIONS, with_destination(Healthy(), "+8811234567")).mark is Mark.NOT_CHECKED
