"""The REST API, driven by Twilio's own client."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from simulators.carrier import Callee, Carrier, Fault, Request, ScriptedCaller, Variants
from tests.simulators.carrier_peers import ACCOUNT, CALLER, GUARD, NUMBER, PERSON, TOKEN, beep, world

if TYPE_CHECKING:
    from collections.abc import Callable

DIAL = f'<Response><Dial action="https://example.com/done"><Number>{PERSON}</Number></Dial></Response>'
SID = "CA" + "1" * 32


def client(carrier: Carrier, user: str = ACCOUNT, password: str = TOKEN, *, waits: float = GUARD) -> Client:
    made = Client(user, password, ACCOUNT, http_client=TwilioHttpClient(timeout=waits))
    made.api.base_url = carrier.api_base_url
    return made


async def ask(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)


async def update(carrier: Carrier, sid: str = SID, **fields: Any) -> Any:
    return await ask(functools.partial(client(carrier).calls(sid).update, **fields))


async def refused(carrier: Carrier, sid: str = SID, **fields: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as error:
        await update(carrier, sid, **fields)
    return error.value.status, error.value.code


class TestUpdates:
    async def test_an_update_is_carried_out_and_counted_and_its_leg_is_listed(self) -> None:
        async with world() as here:
            here.carrier.add_live_call(SID)
            updated = await update(here.carrier, twiml=DIAL)
            legs = await ask(lambda: client(here.carrier).calls.list(parent_call_sid=SID))
        assert (updated.sid, updated.status, updated.account_sid) == (SID, "in-progress", ACCOUNT)
        assert (here.carrier.updates(SID), here.carrier.dials(SID)) == (1, 1)
        assert [(leg.to, leg.status, leg.parent_call_sid, leg.direction) for leg in legs] == [
            (PERSON, "ringing", SID, "outbound-dial")
        ]

    async def test_a_live_stream_is_taken_away_by_the_real_client(self) -> None:
        async with world(dialled="") as here:
            here.app.answers["/in"] = f"<Connect>{here.stream}</Connect>"
            call = here.carrier.place_call(from_=CALLER, to=NUMBER, caller=ScriptedCaller([], beep), patience=GUARD)
            await here.media.until("media")
            await update(
                here.carrier, call.sid, twiml=DIAL.replace("https://example.com/done", here.app.base + "/dialled")
            )
            async with asyncio.timeout(GUARD):
                await call.ended
        assert here.app.of("/dialled")[0].form["DialCallStatus"] == "completed"
        assert (call.updates, call.dials, len(call.legs)) == (1, 1, 1)

    async def test_a_url_is_fetched_and_completed_ends_the_call(self) -> None:
        async with world(**{"in": '<Say>Hi</Say><Pause length="60"/>', "other": '<Pause length="60"/>'}) as here:
            call = here.carrier.place_call(from_=CALLER, to=NUMBER, caller=ScriptedCaller([], beep), patience=GUARD)
            async with asyncio.timeout(GUARD):
                await call.open_line.until(lambda: call.status == "in-progress")
            await update(here.carrier, call.sid, url=here.app.base + "/other")
            await here.app.until("/other")
            ended = await update(here.carrier, call.sid, status="completed")
            async with asyncio.timeout(GUARD):
                await call.ended
        assert ended.status == call.status == "completed"

    async def test_a_relative_action_is_accepted_and_recorded_as_15004(self) -> None:
        async with world() as here:
            here.carrier.add_live_call(SID)
            await update(here.carrier, twiml='<Response><Dial action="/done">+15550100001</Dial></Response>')
        assert here.carrier.debugger.codes(SID) == [15004]
        assert here.carrier.dials(SID) == 0

    async def test_what_twilio_refuses_is_refused(self) -> None:
        async with world() as here:
            live = here.carrier.add_live_call(SID)
            assert await refused(here.carrier, "CA" + "2" * 32, twiml=DIAL) == (404, 20404)
            assert await refused(here.carrier, twiml="<Response/>".ljust(4001)) == (400, 32018)
            assert await refused(here.carrier, twiml=DIAL, url="https://example.com/x") == (400, 20001)
            assert await refused(here.carrier, url="ftp://example.com") == (400, 21205)
            assert await refused(here.carrier, status="canceled") == (400, 21220)
            assert await refused(here.carrier, status="flying") == (400, 21218)
            assert live.updates == 0
            await update(here.carrier, twiml="<Response/>".ljust(4000))
            live.hang_up("caller")
            assert await refused(here.carrier, twiml=DIAL) == (400, 21220)
            assert await refused(here.carrier, status="completed") == (400, 21220)
        assert live.updates == 1

    async def test_credentials_are_asked_for(self) -> None:
        async with world() as here:
            here.carrier.add_live_call(SID)
            here.carrier.credentials["SK1"] = "secret"
            for user, password in ((ACCOUNT, "wrong"), ("SK2", "secret"), ("SK1", TOKEN)):
                with pytest.raises(TwilioRestException) as error:
                    await ask(client(here.carrier, user, password).calls(SID).fetch)
                assert (error.value.status, error.value.code) == (401, 20003)
            assert (await ask(client(here.carrier, "SK1", "secret").calls(SID).fetch)).sid == SID
            url = f"{here.carrier.api_base_url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
            assert (await ask(functools.partial(requests.get, url, timeout=5))).status_code == 401
            other = url.replace(ACCOUNT, "AC" + "9" * 32)
            response = await ask(functools.partial(requests.get, other, auth=(ACCOUNT, TOKEN), timeout=5))
            assert response.json()["code"] == 20404
            nowhere = f"{here.carrier.api_base_url}/2010-04-01/Nowhere.json"
            response = await ask(functools.partial(requests.get, nowhere, auth=(ACCOUNT, TOKEN), timeout=5))
            assert (response.status_code, response.json()["code"]) == (404, 20404)


class TestLists:
    async def test_pages_lead_to_each_other(self) -> None:
        async with world() as here:
            for _ in range(7):
                here.carrier.add_live_call()
            listed = await ask(lambda: client(here.carrier).calls.list(page_size=3))
            live = await ask(lambda: client(here.carrier).calls.list(status="completed"))
        assert [call.sid for call in listed] == list(here.carrier.calls)[::-1]
        assert live == []

    async def test_a_new_leg_stays_unseen_for_as_long_as_the_variant_says(self) -> None:
        now = [100.0]
        carrier = Carrier(
            account_sid=ACCOUNT,
            auth_token=TOKEN,
            variants=Variants(child_visibility_seconds=3.0),
            clock=lambda: now[0],
        )
        await carrier.start()
        try:
            carrier.add_live_call(SID)
            await update(carrier, twiml=DIAL)
            assert await ask(lambda: client(carrier).calls.list(parent_call_sid=SID)) == []
            now[0] += 3.0
            assert len(await ask(lambda: client(carrier).calls.list(parent_call_sid=SID))) == 1
        finally:
            await carrier.stop()


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "code", "acted"),
        [
            (Fault.refuse(), 429, 20429, 0),
            (Fault.error(500), 500, 20500, 0),
            (Fault.error(503, acted=True), 503, 20500, 1),
        ],
    )
    async def test_a_fault_says_no_before_or_after_acting(
        self, fault: Fault, status: int, code: int, acted: int
    ) -> None:
        async with world() as here:
            here.carrier.add_live_call(SID)
            here.carrier.faults = [None, fault]
            await update(here.carrier, twiml="<Response/>")
            assert await refused(here.carrier, twiml=DIAL) == (status, code)
            assert (here.carrier.updates(SID), here.carrier.dials(SID)) == (1 + acted, acted)
            await update(here.carrier, twiml="<Response/>")

    @pytest.mark.parametrize(
        ("fault", "acted"),
        [(Fault.accept_then_timeout(30), 1), (Fault.drop(), 0), (Fault.drop(acted=True), 1), (Fault.delay(30), 1)],
    )
    async def test_a_client_left_without_an_answer_does_not_know_whether_it_acted(
        self, fault: Fault, acted: int
    ) -> None:
        async with world() as here:
            here.carrier.add_live_call(SID)
            here.carrier.faults = [fault]
            with pytest.raises(requests.RequestException):
                await ask(functools.partial(client(here.carrier, waits=1).calls(SID).update, twiml=DIAL))
            assert here.carrier.dials(SID) == acted

    async def test_a_callable_decides_about_every_request(self) -> None:
        seen: list[Request] = []

        def faults(request: Request) -> Fault | None:
            seen.append(request)
            return Fault.refuse() if request.method == "GET" else None

        async with world() as here:
            here.carrier.add_live_call(SID)
            here.carrier.faults = faults
            await update(here.carrier, twiml=DIAL)
            with pytest.raises(TwilioRestException):
                await ask(client(here.carrier).calls(SID).fetch)
        assert [(request.method, request.call_sid) for request in seen] == [("POST", SID), ("GET", SID)]
        assert seen[0].form["Twiml"] == DIAL


class TestCreation:
    async def test_a_created_call_rings_is_answered_and_carries_out_its_document(self) -> None:
        async with world(out="<Say>Hello</Say>") as here:
            here.carrier.callees[PERSON] = Callee(after=0.05, says="Yes?")
            created = await ask(
                lambda: client(here.carrier).calls.create(
                    to=PERSON,
                    from_=NUMBER,
                    url=here.app.base + "/out",
                    status_callback=here.app.base + "/status",
                    status_callback_event=["initiated", "ringing", "answered", "completed"],
                )
            )
            call = here.carrier.calls[str(created.sid)]
            async with asyncio.timeout(GUARD):
                await call.ended
            told = await here.app.until("/status", 4)
        assert created.direction == "outbound-api"
        assert here.app.of("/out")[0].form["CallStatus"] == "in-progress"
        assert sorted(one.form["SequenceNumber"] for one in told) == ["0", "1", "2", "3"]

    async def test_nobody_there_and_missing_parameters(self) -> None:
        async with world() as here:
            here.carrier.callees[PERSON] = Callee(answer="no-answer")
            created = await ask(
                lambda: client(here.carrier).calls.create(to=PERSON, from_=NUMBER, twiml="<Response/>", timeout=0)
            )
            async with asyncio.timeout(GUARD):
                await here.carrier.calls[str(created.sid)].ended
            fetched = await ask(client(here.carrier).calls(str(created.sid)).fetch)
            for fields, code in (
                ({"to": "", "from_": NUMBER, "twiml": "<Response/>"}, 21201),
                ({"to": PERSON, "from_": "", "twiml": "<Response/>"}, 21213),
                ({"to": PERSON, "from_": NUMBER}, 21205),
            ):
                with pytest.raises(TwilioRestException) as error:
                    await ask(functools.partial(client(here.carrier).calls.create, **fields))
                assert error.value.code == code
        assert fetched.status == "no-answer"


async def test_thousands_of_calls_without_media_need_no_sockets_of_their_own() -> None:
    async with world() as here:
        begun = time.monotonic()
        for _ in range(3000):
            here.carrier.add_live_call()
        assert time.monotonic() - begun < GUARD
        sids = list(here.carrier.calls)[:20]
        await asyncio.gather(*(update(here.carrier, sid, twiml=DIAL) for sid in sids))
        assert [here.carrier.dials(sid) for sid in sids] == [1] * 20
