"""The numbers that callers dial and the numbers we dial: as Twilio has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from cli.checks.check import Check, Finding, bad, good, not_checked, warning
from cli.checks.neighbours import Neighbours
from cli.twilio_api import asking_twilio

# E.164 country codes of one and two digits; all others have three, and none begins another.
# https://www.itu.int/pub/T-SP-E.164D
_SHORT_CODES = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]",
)
_GEO = "https://console.twilio.com/us1/develop/voice/settings/geo-permissions"


def attached(neighbours: Neighbours) -> Finding:
    """At least one number leads here, and can carry a voice."""
    ours = neighbours.outputs()["VoiceWebhookUrl"]
    numbers = list(_leading_here(neighbours, ours))
    data = {"numbers": [number.phone_number for number in numbers]}
    for one in neighbours.attachments():
        if one.number not in data["numbers"]:
            return bad(f"{one.number} was attached, and leads elsewhere now", _attach(neighbours, one.number), **data)
    if not numbers:
        return bad("no number leads here", _attach(neighbours, "+1…"), **data)
    for number in numbers:
        again = _attach(neighbours, number.phone_number)
        if not (number.capabilities or {}).get("voice"):
            return bad(f"{number.phone_number} cannot carry voice", _attach(neighbours, "another number"), **data)
        # Either takes the call, whatever the URL says:
        # https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
        if number.voice_application_sid or number.trunk_sid:
            return bad(f"{number.phone_number} is taken by an application or a trunk", f"{again} --force", **data)
        if str(number.voice_method).upper() != "POST":
            return bad(f"{number.phone_number} asks by {number.voice_method} instead of POST", again, **data)
    return good(", ".join(data["numbers"]), **data)


def fallback(neighbours: Neighbours) -> Finding:
    """The number's fallback answers, with nothing of ours in between, and dials the default person."""
    ours = neighbours.outputs()["VoiceWebhookUrl"]
    agent = neighbours.settings.agent
    person = agent.destinations[agent.default_destination].number
    for number in _leading_here(neighbours, ours):
        again = _attach(neighbours, number.phone_number)
        url = str(number.voice_fallback_url or "")
        if not url:
            return bad(f"{number.phone_number} has none: nobody would be reached if we fail", again)
        if url.startswith(neighbours.outputs()["PublicWebhookOrigin"]):
            return bad(f"{number.phone_number} falls back on the webhook itself", again, url=url)
        answer = neighbours.fetch(str(number.voice_fallback_method or "POST").upper(), url)
        if answer.status != 200:
            return bad(f"it answers HTTP {answer.status}", again, url=url)
        dialled = _dialled(answer.body)
        if dialled is None:
            return bad("it is no TwiML that dials somebody", again, url=url)
        if person and dialled != person:
            text = f"it dials another number than '{agent.default_destination}'"
            return warning(text, again, url=url)
    return good(f"answers, and dials '{agent.default_destination}'")


def _leading_here(neighbours: Neighbours, url: str) -> Iterator[Any]:
    with asking_twilio("Twilio's numbers"):
        every = neighbours.twilio().incoming_phone_numbers.list(limit=1000)
    return (number for number in every if number.voice_url == url)


def _dialled(document: str) -> str | None:
    """The number that a TwiML document dials; None if it dials none."""
    if "<!DOCTYPE" in document:  # nothing that a document of Twilio's has, and the way entities come in
        return None
    try:
        root = ET.fromstring(document)  # noqa: S314 - without a DOCTYPE there are no entities to expand
    except ET.ParseError:
        return None
    dial = root.find("Dial") if root.tag == "Response" else None
    if dial is None:
        return None
    number = dial.findtext("Number") or dial.text or ""
    return number.strip() or None


def _attach(neighbours: Neighbours, number: str) -> str:
    return f"./patchthrough number attach {number} --stage {neighbours.stage}"


def country_code(number: str) -> str:
    """The country code of an E.164 number, without the plus sign."""
    digits = number.removeprefix("+")
    short = _SHORT_CODES.match(digits)
    return short[0] if short else digits[:3]


def destinations(neighbours: Neighbours) -> Finding:
    """Twilio may dial the countries of all destinations: https://www.twilio.com/docs/voice/api/dialing-permissions-resources."""
    agent = neighbours.settings.agent
    codes: dict[str, list[str]] = {}
    for key, destination in agent.destinations.items():
        if destination.number:
            codes.setdefault(country_code(destination.number), []).append(key)
    permissions = neighbours.twilio().voice.v1.dialing_permissions.countries
    unknown = []
    for code, keys in codes.items():
        with asking_twilio("Twilio's geographic permissions"):
            countries = permissions.list(country_code=code, limit=50)
        if not countries:
            unknown.append(f"+{code}")
        elif not any(country.low_risk_numbers_enabled for country in countries):
            names = ", ".join(str(country.name or country.iso_code) for country in countries)
            return bad(f"Twilio may not dial {names} (+{code}): {', '.join(keys)}", f"allow it at {_GEO}", code=code)
    if unknown:
        return not_checked(f"Twilio names no country for {', '.join(unknown)}", f"look at {_GEO}", unknown=unknown)
    allowed = ", ".join(f"+{code}" for code in codes)
    return good(f"{len(agent.destinations)} in E.164 form; {allowed} may be dialled")


_ATTACH = "./patchthrough number attach +1…"
CHECKS = (
    Check("destinations", destinations, f"look at {_GEO}", needs=("secrets", "Twilio REST"), seconds=30),
    Check("number", attached, _ATTACH, needs=("secrets", "Twilio REST", "stack"), seconds=30),
    Check("number's fallback", fallback, _ATTACH, needs=("number",), seconds=30),
)
