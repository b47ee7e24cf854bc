from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twilio.http.response import Response

from cli import fallback
from cli.attachments import Attachments
from cli.deployment import Deployment
from cli.errors import CommandError
from cli.numbers import attach_number, detach_numbers
from cli.twilio_api import HttpClient, client
from simulators.carrier import Number
from tests.cli.operating import CALL_STATUS, WEBHOOK, Desk, stand_ins

NUMBER, OTHER = "+15550100000", "+15550100009"
FOREIGN = Number(
    "https://elsewhere.example.com/voice",
    fallback_url="https://elsewhere.example.com/fallback",
    status_callback="https://elsewhere.example.com/status",
    status_callback_method="GET",
    voice_method="GET",
)
MakeDesk = Callable[[pytest.MonkeyPatch, pytest.CaptureFixture[str]], Desk]


@pytest.fixture(scope="module")
def neighbours() -> Iterator[MakeDesk]:
    with stand_ins() as made:
        yield made


@pytest.fixture
def desk(neighbours: MakeDesk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    made = neighbours(monkeypatch, capsys)
    made.carrier.hosting.build_looks = 0
    made.store()
    made.deploy()
    return made


def _shown(desk: Desk, number: str = NUMBER) -> dict[str, Any]:
    shown = desk.carrier.numbers.resource(number).as_json()
    names = ("voice_url", "voice_method", "voice_fallback_url", "voice_fallback_method", "status_callback")
    return {name: shown[name] for name in (*names, "status_callback_method", "voice_application_sid", "trunk_sid")}


def _remembered(desk: Desk) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in desk.stored().items() if "/numbers/" in name}


def _hosted(desk: Desk) -> str | None:
    """What Twilio answers when it asks the number's fallback URL as the number says."""
    shown = _shown(desk)
    page = desk.carrier.hosting.page(shown["voice_fallback_url"], shown["voice_fallback_method"])
    return page.body.decode() if page is not None and page.status == 200 else None


def test_a_number_as_bought_is_attached_and_detached(desk: Desk) -> None:
    owned = desk.carrier.numbers.add(NUMBER)
    before = _shown(desk)
    ran = desk.run("number", "attach", NUMBER)
    assert ran.status == 0, ran.err
    shown = _shown(desk)
    assert shown["voice_url"] == WEBHOOK
    assert shown["voice_method"] == shown["status_callback_method"] == "POST"
    assert shown["status_callback"] == CALL_STATUS
    assert shown["voice_fallback_method"] == "GET"
    (name,) = _remembered(desk)
    assert name == f"/patchthrough/dev/numbers/{owned.sid}"
    assert desk.run("number", "detach", NUMBER).status == 0
    assert _shown(desk) == before
    assert _remembered(desk) == {}
    assert desk.carrier.hosting.services == {}


def test_with_json_the_commands_say_what_they_did(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER)
    said = json.loads(desk.run("number", "attach", NUMBER, "--json").out)
    fallback_url = _shown(desk)["voice_fallback_url"]
    assert said == {"number": NUMBER, "stage": "dev", "voice_url": WEBHOOK, "fallback_url": fallback_url}
    assert json.loads(desk.run("number", "detach", "--all", "--json").out) == [
        {"number": NUMBER, "done": "put back as it was"}
    ]
    assert json.loads(desk.run("number", "detach", "--all", "--json").out) == []
    error = json.loads(desk.run("number", "attach", OTHER, "--json").err)
    assert set(error) == {"what", "why", "fix"}


def test_R33_twilio_itself_hosts_a_document_that_reaches_the_default_person(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER)
    assert desk.run("number", "attach", NUMBER).status == 0
    document = _hosted(desk)
    assert document is not None
    assert "<Number>+15550100003</Number>" in document
    assert 'timeout="25"' in document
    shown = _shown(desk)
    refused = desk.carrier.hosting.page(shown["voice_fallback_url"], "POST")
    assert refused is not None
    assert refused.status != 200, "a public asset answers no POST, so the method matters"


def test_R33_refreshing_puts_the_present_default_person_into_the_hosted_document(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER)
    desk.run("number", "attach", NUMBER)
    present, deployment = _hosted(desk), Deployment.of("dev")
    former = "<Response><Dial>+15550100099</Dial></Response>"
    fallback.publish(client(deployment), deployment.settings.stack_name, former)
    assert _hosted(desk) == former
    assert desk.run("number", "refresh").status == 0
    assert _hosted(desk) == present


def test_without_a_hosted_fallback_there_is_nothing_to_refresh(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER)
    desk.run("number", "attach", NUMBER, "--fallback-url", "https://own.example.com/twiml")
    assert json.loads(desk.run("number", "refresh", "--json").out) == {"numbers": [], "fallback_url": ""}


def test_a_foreign_number_is_refused_without_force_and_comes_back_exactly(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER, FOREIGN)
    before = _shown(desk)
    ran = desk.run("number", "attach", NUMBER)
    assert ran.status == 1
    assert "--force" in ran.err
    assert _shown(desk) == before
    assert desk.carrier.hosting.services == {}
    assert desk.run("number", "attach", NUMBER, "--force").status == 0
    assert _shown(desk)["voice_url"] == WEBHOOK
    assert desk.run("number", "detach", "--all").status == 0
    assert _shown(desk) == before


@pytest.mark.parametrize("taken", [{"voice_application_sid": "AP" + "2" * 32}, {"trunk_sid": "TK" + "2" * 32}])
def test_a_number_of_an_application_or_a_trunk_is_foreign_and_goes_back_to_it(
    desk: Desk, taken: dict[str, str]
) -> None:
    desk.carrier.numbers.add(NUMBER, **taken)  # type: ignore[arg-type]  # one of its two keywords
    before = _shown(desk)
    assert desk.run("number", "attach", NUMBER).status == 1
    assert desk.run("number", "attach", NUMBER, "--force").status == 0
    assert desk.carrier.numbers[NUMBER].voice_url == WEBHOOK
    assert desk.run("number", "detach", NUMBER).status == 0
    assert _shown(desk) == before


def test_attaching_twice_needs_no_force_and_remembers_what_was_before_the_first_time(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER, FOREIGN)
    before = _shown(desk)
    desk.run("number", "attach", NUMBER, "--force")
    remembered = _remembered(desk)
    assert desk.run("number", "attach", NUMBER).status == 0
    assert _remembered(desk) == remembered
    desk.run("number", "detach", NUMBER)
    assert _shown(desk) == before


def test_a_stack_that_was_made_anew_takes_its_number_without_force(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER, FOREIGN)
    before = _shown(desk)
    desk.run("number", "attach", NUMBER, "--force")
    desk.destroy()
    desk.deploy("https://anew.example.com/voice/incoming")
    assert desk.run("number", "attach", NUMBER).status == 0
    assert _shown(desk)["voice_url"] == "https://anew.example.com/voice/incoming"
    desk.destroy()
    assert desk.run("number", "detach", NUMBER).status == 0, "it needs no stack"
    assert _shown(desk) == before


def test_a_number_that_was_pointed_elsewhere_meanwhile_is_left_there_unless_forced(desk: Desk) -> None:
    owned = desk.carrier.numbers.add(NUMBER)
    before = _shown(desk)
    for force in (False, True):
        desk.run("number", "attach", NUMBER)
        desk.carrier.numbers.configure(owned, {"VoiceUrl": "https://new.example.com/voice"})
        ran = desk.run("number", "detach", NUMBER, *(["--force"] if force else []))
        assert ran.status == 0
        left = before | ({} if force else {"voice_url": "https://new.example.com/voice"})
        assert _shown(desk) == left, "what is still ours is put back in any case"
        assert _remembered(desk) == {}
        desk.carrier.numbers.configure(owned, {"VoiceUrl": before["voice_url"]})


def test_the_hosted_document_stays_while_another_number_needs_it(desk: Desk) -> None:
    for number in (NUMBER, OTHER):
        desk.carrier.numbers.add(number)
        assert desk.run("number", "attach", number).status == 0
    desk.run("number", "detach", OTHER)
    assert _hosted(desk) is not None
    desk.run("number", "detach", NUMBER)
    assert desk.carrier.hosting.services == {}


def test_a_number_that_was_given_up_is_forgotten(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER)
    desk.run("number", "attach", NUMBER)
    del desk.carrier.numbers[NUMBER]
    ran = desk.run("number", "detach", "--all")
    assert ran.status == 0
    assert "not own it" in ran.out
    assert _remembered(desk) == {}


@pytest.mark.parametrize(
    ("arguments", "expect"),
    [
        (["attach", "15550100000"], "E.164"),
        (["attach", "+1 555 0100"], "E.164"),
        (["attach", OTHER], "does not own"),
        (["attach", "+15550100008"], "voice"),
        (["attach", NUMBER, "--fallback-url", "http://example.com/a.xml"], "https"),
        (["attach", NUMBER, "--fallback-url", "https://["], "https"),
        (["detach", OTHER], "not attached"),
        (["detach"], "--all"),
        (["detach", NUMBER, "--all"], "--all"),
        (["attach", NUMBER, "--stage", "prod"], "no account SID"),
        (["attach", NUMBER, "--stage", "nowhere"], "there is no stage"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(desk: Desk, arguments: list[str], expect: str) -> None:
    desk.carrier.numbers.add(NUMBER)
    desk.carrier.numbers.add("+15550100008", capabilities=frozenset({"sms"}))
    before = _shown(desk)
    ran = desk.run("number", *arguments)
    assert ran.status == 1
    assert expect in ran.err
    assert _shown(desk) == before
    assert _remembered(desk) == {}


def test_before_a_deploy_the_command_to_run_is_named(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER)
    desk.destroy()
    assert "make deploy STAGE=dev" in desk.run("number", "attach", NUMBER).err


def test_the_operators_own_document_is_used_instead(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER)
    url = "https://static.example.com/fallback.xml"
    assert desk.run("number", "attach", NUMBER, "--fallback-url", url).status == 0
    assert _shown(desk)["voice_fallback_url"] == url
    assert desk.carrier.hosting.services == {}


def test_detaching_all_of_a_stage_that_was_never_used_is_no_error(desk: Desk) -> None:
    for arguments in (["--stage", "dev"], ["--stage", "prod"]):
        assert desk.run("number", "detach", "--all", *arguments).status == 0


def test_the_list_says_where_each_number_points(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER, friendly_name="Main [line]")
    desk.carrier.numbers.add(OTHER, FOREIGN, capabilities=frozenset({"sms"}))
    desk.carrier.numbers.add("+15550100008")
    desk.run("number", "attach", NUMBER)
    found = {one["number"]: one for one in json.loads(desk.run("number", "list", "--json").out)}
    told = {number: (one["points_to"], one["voice"], one["fallback"]) for number, one in found.items()}
    assert told == {
        NUMBER: ("this stage", True, True),
        OTHER: ("elsewhere", False, True),
        "+15550100008": ("nowhere", True, False),
    }
    out = desk.run("number", "list").out
    assert "Main [line]" in out
    assert "this stage" in out


class Interrupted(Exception):  # noqa: N818 - it names what happened
    """As if the process were killed once a request was answered."""


class Fuse(HttpClient):
    """Twilio's HTTP client and a listener of boto3's; burns after so many answered requests to both together."""

    left = 0

    def answered(self, **_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Response:
        answer = super().request(method, url, *args, **options)
        self.answered()
        return answer

    def upload(self, url: str, **options: Any) -> dict[str, Any]:
        answer = super().upload(url, **options)
        self.answered()
        return answer


class Operator:
    """Attaches and detaches one number, and can be interrupted."""

    def __init__(self, desk: Desk) -> None:
        self._deployment = Deployment.of("dev")
        assert self._deployment.outputs["VoiceWebhookUrl"] == WEBHOOK
        self._fuse = Fuse(desk.carrier.api_base_url)
        self._client = client(self._deployment)
        self._client.http_client = self._fuse
        self._deployment.aws("ssm").meta.events.register("after-call", self._fuse.answered)

    def attach(self, after: int = 0) -> bool:
        """Attach; whether that was interrupted after so many requests (0: not at all)."""
        self._fuse.left = after
        try:
            attach_number(self._deployment, self._client, NUMBER, force=True, wait=lambda _seconds: None)
        except Interrupted:
            return True
        return False

    def detach(self, after: int = 0) -> bool:
        """Detach everything; whether that was interrupted."""
        self._fuse.left = after
        try:
            detach_numbers(self._deployment, self._client, Attachments(self._deployment).all())
        except Interrupted:
            return True
        return False


def test_attaching_survives_an_interruption_after_any_request(desk: Desk) -> None:
    desk.carrier.hosting.build_looks = 2
    desk.carrier.numbers.add(NUMBER, FOREIGN)
    before, operator = _shown(desk), Operator(desk)
    after, interrupted = 0, True
    while interrupted:
        after += 1
        interrupted = operator.attach(after)
        if after % 2:  # tried again, or given up
            assert not operator.attach()
            assert _shown(desk)["voice_url"] == WEBHOOK
            (previous,) = (one["previous"] for one in _remembered(desk).values())
            assert previous == before | {"trunk_sid": ""}
            assert _hosted(desk) is not None
        assert not operator.detach()
        assert _shown(desk) == before
        assert _remembered(desk) == {}
        assert desk.carrier.hosting.services == {}
    assert after > 10, "there were requests to be interrupted after"


def test_detaching_survives_an_interruption_after_any_request(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER, FOREIGN)
    before, operator = _shown(desk), Operator(desk)
    after, interrupted = 0, True
    while interrupted:
        after += 1
        assert not operator.attach()
        interrupted = operator.detach(after)
        assert not operator.detach()
        assert _shown(desk) == before
        assert _remembered(desk) == {}
        assert desk.carrier.hosting.services == {}
    assert after > 5, "there were requests to be interrupted after"


def test_a_build_that_fails_or_never_ends_is_said_and_the_number_is_not_touched(desk: Desk) -> None:
    desk.carrier.numbers.add(NUMBER)
    before = _shown(desk)
    deployment = Deployment.of("dev")
    waited: list[float] = []
    for looks, outcome in ((0, "failed"), (10_000, "completed")):
        desk.carrier.hosting.build_looks, desk.carrier.hosting.build_outcome = looks, outcome  # type: ignore[assignment]
        with pytest.raises(CommandError, match="build"):
            attach_number(deployment, client(deployment), NUMBER, wait=waited.append)
    assert sum(waited) == 180
    assert _shown(desk) == before
