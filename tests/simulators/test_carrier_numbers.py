"""The account and its numbers over REST, driven by Twilio's own client; and what a call then does."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException

from simulators.carrier import Number, Numbers, ScriptedCaller
from simulators.carrier.api import ApiError
from simulators.carrier.hosting import DEMO_URL
from tests.simulators.carrier_peers import ACCOUNT, CALLER, GUARD, NUMBER, TOKEN, World, moved_client, world

if TYPE_CHECKING:
    from collections.abc import Callable

OTHER = "+15550100077"
KEY = "SK" + "1" * 32
APPLICATION = "AP" + "1" * 32
TRUNK = "TK" + "1" * 32


async def ask(work: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
    return await asyncio.to_thread(functools.partial(work, *arguments, **fields))


async def refused(work: Callable[..., Any], *arguments: Any, **fields: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as error:
        await ask(work, *arguments, **fields)
    return error.value.status, error.value.code


async def call(here: World) -> Any:
    placed = here.carrier.place_call(from_=CALLER, to=NUMBER, caller=ScriptedCaller([]), patience=2.0)
    async with asyncio.timeout(GUARD):
        await placed.ended
    return placed


class TestAccount:
    async def test_the_auth_token_shows_the_account_and_a_standard_key_does_not(self) -> None:
        async with world() as here:
            here.carrier.credentials[KEY] = "secret"
            key = moved_client(here.carrier, KEY, "secret")
            fetched = await ask(moved_client(here.carrier).api.accounts(ACCOUNT).fetch)
            assert (fetched.sid, fetched.status, fetched.type) == (ACCOUNT, "active", "Full")
            assert await refused(key.api.accounts(ACCOUNT).fetch) == (401, 20003)
            assert len(await ask(key.incoming_phone_numbers.list)) == 1

    async def test_wrong_credentials_and_other_accounts_are_told_apart(self) -> None:
        async with world() as here:
            wrong = moved_client(here.carrier, ACCOUNT, "0" * 32)
            right = moved_client(here.carrier)
            assert await refused(wrong.api.accounts(ACCOUNT).fetch) == (401, 20003)
            assert await refused(right.api.accounts("AC" + "9" * 32).fetch) == (404, 20404)

    @pytest.mark.parametrize("status", ["suspended", "closed"])
    async def test_an_account_that_is_not_active_can_be_fetched_and_nothing_else(self, status: Any) -> None:
        async with world() as here:
            here.carrier.account.status, here.carrier.account.type = status, "Trial"
            client = moved_client(here.carrier)
            fetched = await ask(client.api.accounts(ACCOUNT).fetch)
            assert (fetched.status, fetched.type) == (status, "Trial")
            with pytest.raises(Exception, match="20003"):
                await ask(client.incoming_phone_numbers.list)


class TestNumbers:
    async def test_numbers_are_listed_by_number_by_name_and_in_pages(self) -> None:
        async with world() as here:
            owned = here.carrier.numbers.add(OTHER, friendly_name="Desk", capabilities=frozenset({"sms"}))
            client = moved_client(here.carrier)
            listed = await ask(client.incoming_phone_numbers.list, page_size=1)
            assert [number.phone_number for number in listed] == [OTHER, NUMBER]
            assert (listed[0].sid, listed[0].voice_url) == (owned.sid, DEMO_URL)
            assert listed[0].capabilities == {"voice": False, "sms": True, "mms": False, "fax": False}
            for filters, found in (
                ({"phone_number": OTHER}, [OTHER]),
                ({"phone_number": "*00077"}, [OTHER]),
                ({"phone_number": "+1555"}, [OTHER, NUMBER]),
                ({"friendly_name": "Desk"}, [OTHER]),
                ({"friendly_name": "desk"}, []),
                ({"origin": "hosted"}, []),
            ):
                listed = await ask(client.incoming_phone_numbers.list, **filters)
                assert [number.phone_number for number in listed] == found, filters

    async def test_what_is_given_changes_what_is_empty_is_cleared_and_the_rest_stays(self) -> None:
        async with world() as here:
            owned = here.carrier.numbers.resource(NUMBER)
            number = moved_client(here.carrier).incoming_phone_numbers(owned.sid)
            changed = await ask(
                number.update,
                voice_url="https://one.example.com/voice?x=1",
                voice_fallback_url="https://two.example.com/fallback.xml",
                voice_fallback_method="GET",
                status_callback="https://one.example.com/status",
                friendly_name="Main line",
            )
            assert (changed.voice_url, changed.voice_method) == ("https://one.example.com/voice?x=1", "POST")
            assert changed.voice_fallback_url == "https://two.example.com/fallback.xml"
            assert (changed.voice_fallback_method, changed.friendly_name) == ("GET", "Main line")
            cleared = await ask(number.update, status_callback="", voice_fallback_url="")
            assert (cleared.status_callback, cleared.voice_fallback_url) == ("", "")
            fetched = await ask(number.fetch)
            assert (fetched.voice_url, fetched.friendly_name) == ("https://one.example.com/voice?x=1", "Main line")
            assert here.carrier.numbers[NUMBER] == Number(
                "https://one.example.com/voice?x=1", None, None, fallback_method="GET"
            )

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"voice_url": "not-a-url"}, 21402),
            ({"voice_url": "ftp://example.com/voice"}, 21402),
            ({"voice_fallback_url": "https:///fallback"}, 21402),
            ({"status_callback": "https://under_score.example.com/"}, 21402),
            ({"sms_url": "https://example.com:port/"}, 21402),
            ({"voice_method": "PUT"}, 21403),
            ({"voice_url": "", "voice_fallback_url": "https://example.com/f"}, 21405),
            ({"voice_application_sid": "AP" + "9" * 32}, 21420),
            ({"trunk_sid": "TK" + "9" * 32}, 20001),
            ({"friendly_name": "x" * 65}, 20001),
        ],
    )
    async def test_what_twilio_refuses_changes_nothing(self, fields: dict[str, str], code: int) -> None:
        async with world() as here:
            owned = here.carrier.numbers.resource(NUMBER)
            before = owned.as_json()
            number = moved_client(here.carrier).incoming_phone_numbers(owned.sid)
            rest = {"status_callback": "https://example.com/status"} | fields
            assert await refused(number.update, **rest) == (400, code)
            assert owned.as_json() == before

    async def test_a_number_nobody_owns_is_not_found(self) -> None:
        async with world() as here:
            number = moved_client(here.carrier).incoming_phone_numbers("PN" + "9" * 32)
            assert await refused(number.fetch) == (404, 20404)
            assert await refused(number.update, voice_url="https://example.com/") == (404, 20404)
            assert await refused(number.delete) == (405, 20004)

    async def test_an_application_or_a_trunk_takes_calls_and_each_deletes_the_other(self) -> None:
        async with world() as here:
            here.carrier.numbers.add(OTHER, trunk_sid=TRUNK)
            owned = here.carrier.numbers.resource(NUMBER)
            here.carrier.numbers.applications.add(APPLICATION)
            number = moved_client(here.carrier).incoming_phone_numbers(owned.sid)
            taken = await ask(number.update, voice_application_sid=APPLICATION)
            assert (taken.voice_application_sid, taken.trunk_sid) == (APPLICATION, None)
            assert taken.voice_url == here.app.base + "/in"
            assert (await call(here)).status == "failed"
            assert here.app.of("/in") == []
            taken = await ask(number.update, trunk_sid=TRUNK)
            assert (taken.voice_application_sid, taken.trunk_sid) == ("", TRUNK)
            await ask(number.update, trunk_sid="")
            assert (await call(here)).status == "completed"
            assert len(here.app.of("/in")) == 1

    async def test_the_next_call_uses_what_rest_has_set_and_its_methods(self) -> None:
        async with world(new="<Hangup/>", status="", saved="<Pause/>") as here:
            number = moved_client(here.carrier).incoming_phone_numbers(here.carrier.numbers.resource(NUMBER).sid)
            await call(here)
            assert [asked.path for asked in here.app.asked] == ["/in"]
            base = here.app.base
            await ask(
                number.update,
                voice_url=base + "/new",
                voice_method="GET",
                status_callback=base + "/status",
                status_callback_method="GET",
            )
            await call(here)
            await here.app.until("/status")
            assert [(asked.path, asked.method, asked.valid) for asked in here.app.asked[1:]] == [
                ("/new", "GET", True),
                ("/status", "GET", True),
            ]
            await ask(
                number.update,
                voice_url="http://127.0.0.1:1/",
                voice_fallback_url=base + "/saved",
                voice_fallback_method="GET",
            )
            await call(here)
            (saved,) = here.app.of("/saved")
            assert (saved.method, saved.valid) == ("GET", True)

    def test_a_number_cannot_be_bought_twice(self) -> None:
        numbers = Numbers(ACCOUNT)
        numbers.add(NUMBER)
        with pytest.raises(ValueError, match="owned already"):
            numbers.add(NUMBER)
        del numbers[NUMBER]
        assert len(numbers) == 0


URLS = st.sampled_from(["", "https://example.com/a", "http://127.0.0.1:8080/b", "x", "https://", "https://a b/"])
FORMS = st.fixed_dictionaries(
    {},
    optional={
        "VoiceUrl": URLS,
        "VoiceFallbackUrl": URLS,
        "StatusCallback": URLS,
        "SmsUrl": URLS,
        "VoiceMethod": st.sampled_from(["GET", "POST", "", "get"]),
        "VoiceFallbackMethod": st.sampled_from(["GET", "POST"]),
        "FriendlyName": st.text(max_size=70),
        "VoiceApplicationSid": st.sampled_from(["", APPLICATION, TRUNK]),
        "TrunkSid": st.sampled_from(["", TRUNK]),
    },
)
SHOWN = {
    "VoiceUrl": "voice_url",
    "VoiceFallbackUrl": "voice_fallback_url",
    "StatusCallback": "status_callback",
    "SmsUrl": "sms_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackMethod": "voice_fallback_method",
    "VoiceApplicationSid": "voice_application_sid",
}


@given(st.lists(FORMS, max_size=8))
def test_any_updates_count_whole_or_not_at_all(forms: list[dict[str, str]]) -> None:
    numbers = Numbers(ACCOUNT)
    numbers.applications.add(APPLICATION)
    numbers.trunks.add(TRUNK)
    owned = numbers.add(NUMBER)
    for form in forms:
        before = owned.as_json()
        try:
            numbers.configure(owned, form)
        except ApiError:
            assert owned.as_json() == before
            continue
        shown = owned.as_json()
        for name, value in form.items():
            if name in SHOWN:
                assert shown[SHOWN[name]] == value
        assert not (shown["voice_application_sid"] and shown["trunk_sid"])
        for name in set(SHOWN) - set(form) - {"VoiceApplicationSid"}:
            assert shown[SHOWN[name]] == before[SHOWN[name]]


class TestAlerts:
    async def test_what_went_wrong_is_listed_newest_first_in_twilios_shape(self) -> None:
        async with world(**{"in": "<Fly/>"}) as here:
            placed = await call(here)
            here.carrier.debugger.record(31921, placed.sid, "closed", "warning")
            client = moved_client(here.carrier)
            alerts = await ask(client.monitor.v1.alerts.list, page_size=1)
            assert [(alert.error_code, alert.log_level) for alert in alerts] == [
                ("31921", "warning"),
                ("12200", "error"),
            ]
            wrong = alerts[1]
            assert wrong.sid.startswith("NO")
            assert (wrong.resource_sid, wrong.account_sid) == (placed.sid, ACCOUNT)
            assert (wrong.request_url, wrong.request_method) == (here.app.base + "/in", "POST")
            assert "ErrorCode=12200&LogLevel=ERROR&Msg=" in wrong.alert_text
            assert (await ask(client.monitor.v1.alerts(wrong.sid).fetch)).error_code == "12200"
            assert await refused(client.monitor.v1.alerts("NO" + "9" * 32).fetch) == (404, 20404)

    async def test_alerts_are_filtered_by_level_and_time(self) -> None:
        async with world() as here:
            here.carrier.debugger.record(11200, "CA1", "no")
            here.carrier.debugger.record(31921, "CA1", "closed", "warning")
            at = here.carrier.debugger.entries[0].at
            day, second = at.strftime("%Y-%m-%d"), at.strftime("%Y-%m-%dT%H:%M:%SZ")
            for query, count in (
                ({"log_level": "error"}, 1),
                ({"log_level": "debug"}, 0),
                ({"start_date": day}, 2),
                ({"start_date": second}, 2),
                ({"start_date": "2099-01-01"}, 0),
                ({"end_date": "2001-01-01T00:00:00Z"}, 0),
                ({"end_date": "2099-01-01"}, 2),
            ):
                listed = await ask(moved_client(here.carrier).monitor.v1.alerts.list, **query)
                assert len(listed) == count, query
            for query in ({"log_level": "loud"}, {"start_date": "yesterday"}):
                with pytest.raises(Exception, match="20001"):
                    await ask(moved_client(here.carrier).monitor.v1.alerts.list, **query)


class TestDialingPermissions:
    async def test_a_country_says_whether_its_numbers_may_be_dialled(self) -> None:
        async with world() as here:
            countries = moved_client(here.carrier).voice.v1.dialing_permissions.countries
            us, gb = await ask(countries("US").fetch), await ask(countries("GB").fetch)
            assert (us.iso_code, us.country_codes, us.low_risk_numbers_enabled) == ("US", ["1"], True)
            assert gb.low_risk_numbers_enabled is False
            here.carrier.account.dialing.add("GB")
            enabled = await ask(countries.list, low_risk_numbers_enabled=True, page_size=2)
            assert {country.iso_code for country in enabled} == {"CA", "GB", "US"}
            assert [country.iso_code for country in await ask(countries.list, country_code="44")] == ["GB"]
            assert await refused(countries("XX").fetch) == (404, 20404)


async def test_one_token_is_all_that_is_asked_of_every_sub_domain() -> None:
    async with world() as here:
        wrong = moved_client(here.carrier, ACCOUNT, TOKEN[::-1])
        for work in (wrong.monitor.v1.alerts("NO1").fetch, wrong.serverless.v1.services("ZS1").fetch):
            assert await refused(work) == (401, 20003)
