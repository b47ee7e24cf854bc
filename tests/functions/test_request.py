"""Who gets in: forged, re-cut, replayed onto other hosts, oversized and malformed requests do not."""

from __future__ import annotations

import base64
import random
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.voice_webhook import request as request_module
from functions.voice_webhook.request import Gate, Request, RequestRefused
from functions.voice_webhook.signature import is_twilios
from tests.functions.line import CALLED, CALLER, Line, gateway_event, sign, verbs
from tests.functions.world import ACCOUNT_SID, AUTH_TOKEN, CALL_SID, ORIGIN

URL = ORIGIN + "/voice/stream-ended?visit=1"
FORM = {
    "AccountSid": ACCOUNT_SID,
    "ApiVersion": "2010-04-01",
    "CallSid": CALL_SID,
    "CallStatus": "in-progress",
    "Direction": "inbound",
    "From": CALLER,
    "FromCity": "",
    "FromCountry": "US",
    "To": CALLED,
    "ToCity": "OAKLAND",
    "ToZip": "94601",
}
SIGNATURE = sign(URL, FORM)
GATE = Gate(ORIGIN, ACCOUNT_SID, lambda: [AUTH_TOKEN])


def event(
    url: str = URL, form: dict[str, str] | None = None, signature: str | None = None, **more: Any
) -> dict[str, Any]:
    form = FORM if form is None else form
    signed = sign(url, form) if signature is None else signature
    return gateway_event(url, urlencode(form), {"x-twilio-signature": signed}) | more


def refusal(given: dict[str, Any], *required: str) -> int:
    with pytest.raises(RequestRefused) as refused:
        GATE.admit(given, *required)
    return refused.value.status


def test_a_proven_request_is_admitted_with_its_fields_and_query() -> None:
    request = GATE.admit(event(), "To")
    assert request == Request(
        "/voice/stream-ended",
        {name: FORM[name] for name in ("AccountSid", "CallSid", "CallStatus", "From", "To")},
        {"visit": "1"},
    )
    assert (request.visit, request.request_id, request.call_is_over, request.number("CallDuration", 7)) == (
        1,
        "",
        False,
        7,
    )


def test_the_signature_of_twilios_own_example_is_accepted() -> None:
    # https://www.twilio.com/docs/usage/security: token, URL, form and signature of the worked example
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    url = "https://example.com/myapp.php?foo=1&bar=2"
    signature = "L/OH5YylLD5NRKLltdqwSvS0BnU="
    assert is_twilios(signature, url=url, form=form, tokens=["12345"])
    assert not is_twilios(signature, url=url, form=form, tokens=["12346"])


@pytest.mark.parametrize("name", ["x-twilio-signature", "X-Twilio-Signature"])
def test_the_header_has_its_name_in_any_case(name: str) -> None:
    given = event()
    given["headers"] = {name: sign(URL, FORM)}
    assert GATE.admit(given).call_sid == CALL_SID


def test_S1_a_missing_doubled_or_odd_signature_is_403() -> None:
    good = sign(URL, FORM)
    for bad in ("", f"{good},{good}", good[:-1], good + "=", "é" * 28, good.swapcase(), " " + good):
        assert refusal(event(signature=bad)) == 403
    twice = event()
    twice["headers"] = {"x-twilio-signature": good, "X-Twilio-Signature": good}
    assert refusal(twice) == 403
    assert refusal(event() | {"headers": None}) == 403


def mutated(rng: random.Random) -> dict[str, Any]:
    """A signed request with one thing changed after it was signed."""
    form, url, signature = dict(FORM), URL, SIGNATURE
    match rng.randrange(4):
        case 0:
            spot = rng.randrange(27)
            other = rng.choice([one for one in "ABab01+/" if one != signature[spot]])
            # The last character before the padding carries four bits only: two bits more are the same signature.
            if spot == 26:
                spot, other = 0, "A" if signature[0] != "A" else "B"
            signature = signature[:spot] + other + signature[spot + 1 :]
        case 1:
            name = rng.choice(list(form))
            form[name] += rng.choice("0aA+ ")
        case 2:
            form[rng.choice("XYZ") + str(rng.random())] = "extra"
        case _:
            spot = rng.randrange(len(ORIGIN) + 1, len(url))
            url = url[:spot] + rng.choice("abc123") * 2 + url[spot + 1 :]
    return event(url, form, signature)


def accepted(gate: Gate, tries: int) -> int:
    rng, count = random.Random(1), 0
    for _ in range(tries):
        try:
            gate.admit(mutated(rng))
        except RequestRefused:
            continue
        count += 1
    return count


def test_S1_of_100000_mutated_signatures_urls_and_bodies_none_is_accepted() -> None:
    assert accepted(GATE, 100_000) == 0


def test_S1_without_the_verification_the_check_turns_red() -> None:
    careless = Gate(ORIGIN, ACCOUNT_SID, lambda: [AUTH_TOKEN], verify=lambda *_, **__: True)
    assert accepted(careless, 200) > 0


def test_S1_forged_requests_open_nothing_and_are_never_a_5xx() -> None:
    line, rng = Line(), random.Random(2)
    for _ in range(1000):
        assert line.send(mutated(rng))["statusCode"] in {400, 403, 404}
    assert line.table.items == {}
    assert len(line.events("request.refused")) == 1000
    assert verbs(line.incoming()) == ["Connect", "Redirect"]


@pytest.mark.parametrize(
    "odd",
    [
        {"body": "\u00e9" * 8, "isBase64Encoded": True},
        {"rawQueryString": "visit=\ud800"},
        {"headers": [["x-twilio-signature", "A" * 27 + "="]]},
        {"headers": "x-twilio-signature"},
    ],
)
@pytest.mark.parametrize("question", ["incoming", "whisper", "call-status"])
def test_S1_what_cannot_even_be_read_is_refused_and_is_told_no_number(question: str, odd: dict[str, Any]) -> None:
    line, forged = Line(), {"x-twilio-signature": "A" * 27 + "="}
    answer = line.send(gateway_event(f"{ORIGIN}/voice/{question}", urlencode(FORM), forged) | odd)
    assert answer["statusCode"] == 400
    assert "<" not in answer["body"]
    assert [one["status"] for one in line.events("request.refused")] == [400]
    assert verbs(line.incoming()) == ["Connect", "Redirect"]


def recut(rng: random.Random) -> dict[str, str]:
    """Another form with the same signature: neighbours in the sorted form swallow or shed each other."""
    parts = [[name, FORM[name]] for name in sorted(FORM)]
    for _ in range(rng.randint(1, 3)):
        spot = rng.randrange(len(parts))
        name, value = parts[spot]
        match rng.randrange(4):
            case 0 if spot + 1 < len(parts):
                parts[spot : spot + 2] = [[name, value + "".join(parts[spot + 1])]]
            case 1 if value:
                cut = rng.randrange(len(value) + 1)
                parts[spot] = [name + value[:cut], value[cut:]]
            case 2 if len(name) > 1:
                cut = rng.randrange(1, len(name))
                parts[spot] = [name[:cut], name[cut:] + value]
            case _ if len(value) > 1:
                cut = rng.randrange(1, len(value))
                parts[spot : spot + 1] = [[name, value[:cut]], [value[cut:], ""]]
    return {str(name): str(value) for name, value in parts}


def test_S2_of_10000_ways_to_recut_a_signed_form_none_changes_a_field_that_is_used() -> None:
    rng, original, same_signature = random.Random(3), GATE.admit(event()), 0
    good = sign(URL, FORM)
    while same_signature < 10_000:
        form = recut(rng)
        if form == FORM or sign(URL, form) != good:
            continue
        same_signature += 1
        try:
            request = GATE.admit(event(form=form), "From", "To", "CallStatus")
        except RequestRefused:
            continue
        assert request.fields == original.fields


def test_S3_of_1000_hosts_and_paths_none_other_than_ours_is_accepted() -> None:
    rng = random.Random(4)
    for _ in range(1000):
        host = f"https://{rng.choice(['evil', 'voice'])}{rng.randrange(10**6)}.example.com"
        url = host + rng.choice(["/voice/incoming", "/voice/stream-ended?visit=1", "/"])
        given = event(url)
        forwarded = host.removeprefix("https://")
        given["headers"] |= {"host": forwarded, "x-forwarded-host": forwarded, "x-original-host": forwarded}
        assert refusal(given) == 403
    ours = event()
    ours["headers"] |= {"host": "evil.example.com", "x-forwarded-proto": "http"}
    assert GATE.admit(ours).call_sid == CALL_SID


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"CallSid": CALL_SID.upper()}, 400),
        ({"CallSid": CALL_SID + "\n"}, 400),
        ({"CallSid": ""}, 400),
        ({"AccountSid": "AC" + "e5" * 16}, 403),
        ({"AccountSid": "nobody"}, 400),
        ({"From": "call me"}, 400),
        ({"From": "+1555<script>"}, 400),
        ({"To": ""}, 400),
        ({"CallStatus": "sleeping"}, 400),
        ({"SequenceNumber": "-1"}, 400),
        ({"DialCallStatus": "maybe"}, 400),
    ],
)
def test_a_signed_field_without_its_form_is_refused(changes: dict[str, str], status: int) -> None:
    assert refusal(event(form=FORM | changes), "To") == status


@pytest.mark.parametrize("query", ["visit=one", "visit=-1", "request=ab", "visit=1&visit=2"])
def test_a_signed_query_without_its_form_is_refused(query: str) -> None:
    assert refusal(event(f"{ORIGIN}/voice/stream-ended?{query}")) == 400


def test_a_caller_who_is_not_named_at_all_is_refused() -> None:
    form = {name: value for name, value in FORM.items() if name != "From"}
    line = Line()
    assert line.send(event(ORIGIN + "/voice/incoming", form))["statusCode"] == 400
    assert line.table.items == {}


def test_a_field_given_twice_is_refused() -> None:
    given = event()
    given["body"] += "&CallSid=" + CALL_SID
    assert refusal(given) == 400


def test_S14_a_large_body_is_refused_before_anything_is_computed() -> None:
    asked: list[str] = []

    def tokens() -> list[str]:
        asked.append("tokens")
        return [AUTH_TOKEN]

    gate = Gate(ORIGIN, ACCOUNT_SID, tokens)
    for size in (request_module.MAX_BODY_BYTES + 1, 10**6):
        for body, encoded in (("a" * size, False), (base64.b64encode(b"a" * size).decode(), True)):
            with pytest.raises(RequestRefused, match="too large"):
                gate.admit(event() | {"body": body, "isBase64Encoded": encoded})
    assert asked == []


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        ("not base64!", True),
        (base64.b64encode(b"\xff\xfe").decode(), True),
        ("\ud800", False),
        ("a=%ff", False),
        (5, False),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body: object, encoded: bool) -> None:  # noqa: FBT001 - by parametrize
    assert refusal(event() | {"body": body, "isBase64Encoded": encoded}) == 400


@given(body=st.text(max_size=200), signature=st.text(max_size=40), path=st.text(max_size=20))
def test_no_stranger_gets_more_than_a_refusal(body: str, signature: str, path: str) -> None:
    given = {"rawPath": path, "headers": {"x-twilio-signature": signature}, "body": body}
    assert refusal(given) in {400, 403}


@given(st.dictionaries(st.sampled_from([*FORM, "DialCallSid", "StreamSid"]), st.text(max_size=30), max_size=12))
def test_any_signed_form_is_admitted_in_form_or_refused(form: dict[str, str]) -> None:
    sent = dict(parse_qsl(urlencode(form, errors="replace"), keep_blank_values=True))
    given = gateway_event(URL, urlencode(sent), {"x-twilio-signature": sign(URL, sent)})
    try:
        request = GATE.admit(given)
    except RequestRefused:
        return
    assert request.fields["AccountSid"] == ACCOUNT_SID
