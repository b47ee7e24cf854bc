from __future__ import annotations

import pytest

from cli.checks.check import Check, Mark
from cli.checks.doors import Answer
from cli.checks.knocks import CHECKS, DOCTORS_CALL
from contracts.stream import parse
from tests.cli.health import ACCOUNT, MEDIA, ORIGIN, Healthy, ask
from tests.functions.line import Line

WEBHOOK, FORGED, MEDIA_SOCKET = CHECKS
HANGUP = "<Response><Hangup/></Response>"


def twiml(seconds: float) -> Answer:
    return Answer(200, "text/xml", HANGUP, seconds)


def mark(check: Check, neighbours: Healthy) -> Mark:
    return ask(check, neighbours).mark


def test_a_signed_question_that_is_answered_in_time_is_good() -> None:
    line = Healthy()
    assert ask(WEBHOOK, line).text == "answers in 0.2 s"
    ((url, form),) = line.knocks
    assert url == f"{ORIGIN}/voice/dial-ended"
    assert form == {"CallSid": DOCTORS_CALL, "AccountSid": ACCOUNT, "DialCallStatus": "completed"}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((1.99,), Mark.GOOD), ((3.0, 0.2), Mark.WARNING), ((3.0, 2.5), Mark.BAD)],
)
def test_a_slow_answer_is_asked_for_again(seconds: tuple[float, ...], expected: Mark) -> None:
    line = Healthy()
    line.webhook = [twiml(one) for one in seconds]
    assert mark(WEBHOOK, line) is expected
    assert len(line.knocks) == len(seconds)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, "text/plain", "refused"),
        Answer(500, "application/json", "{}"),
        Answer(200, "application/json", "{}"),
        Answer(200, "text/xml", "<html/>"),
        Answer(204, "text/plain", ""),
        Answer(302, "text/html", ""),
    ],
)
def test_anything_but_twiml_is_bad(answer: Answer) -> None:
    line = Healthy()
    line.webhook = [answer]
    assert mark(WEBHOOK, line) is Mark.BAD


def test_S1_a_forged_signature_must_be_refused() -> None:
    line = Healthy()
    assert mark(FORGED, line) is Mark.GOOD
    line.webhook = [twiml(0.1)]
    assert mark(FORGED, line) is Mark.BAD


def test_the_media_socket_is_asked_in_a_form_that_only_lacks_the_signature() -> None:
    line = Healthy()
    assert mark(MEDIA_SOCKET, line) is Mark.GOOD
    ((url, _),) = line.knocks
    assert parse(url.removeprefix(MEDIA))[0] == DOCTORS_CALL


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(101, "", ""), "a stranger was let in"),
        (
            Answer(403, "text/html", "<HTML>ERROR: The request could not be satisfied</HTML>"),
            "does not come from the relay",
        ),
        (Answer(404, "text/plain; charset=utf-8", ""), "knows no relay"),
        (Answer(502, "text/html", ""), "no task of the relay"),
        (Answer(503, "text/plain", ""), "no task of the relay"),
        (Answer(504, "text/html", ""), "no task of the relay"),
        (Answer(200, "text/html", ""), "does not come from the relay"),
    ],
)
def test_another_answer_of_the_media_socket_says_what_it_means(answer: Answer, says: str) -> None:
    line = Healthy()
    line.media = answer
    finding = ask(MEDIA_SOCKET, line)
    assert finding.mark is Mark.BAD
    assert says in finding.text


def test_the_question_is_answered_by_the_true_webhook_and_leaves_nothing_behind() -> None:
    line = Line()
    answer = line.post("/voice/dial-ended", CallSid=DOCTORS_CALL, DialCallStatus="completed")
    assert (answer["statusCode"], "<Hangup" in answer["body"]) == (200, True)
    assert not line.table.items
    assert line.counts() == []
    assert [event["event"] for event in line.events()] == ["dial.ended"]


def test_the_question_to_incoming_would_have_left_a_row() -> None:
    line = Line()
    line.post("/voice/incoming", CallSid=DOCTORS_CALL)
    assert line.table.items
