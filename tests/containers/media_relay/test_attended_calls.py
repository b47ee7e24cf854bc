"""Whole visits in which a person is called while the agent goes on: real sockets, and the ledger as it is in use."""

from __future__ import annotations

import pytest

from containers.media_relay import attended
from contracts import events, stream
from contracts.claim import Claimed
from contracts.destination import Position
from contracts.handoff import Then, Try
from contracts.row import Row
from contracts.transfer import Outcome, TransferRequest
from tests.containers.media_relay.house import AUTH_TOKEN, House, Phone, house
from tests.containers.media_relay.worlds import PEOPLE_FILE
from tests.contracts.table import FakeTable


@pytest.fixture(autouse=True)
def _read_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attended, "READ_EVERY", 0.01)


def row_of(home: House, phone: Phone) -> Row:
    row = home.ledger.read(phone.call_sid)
    assert row is not None
    return row


async def rung(home: House, phone: Phone, times: int = 1) -> TransferRequest:
    """The agent asks for billing, and the functions call it apart."""
    home.model.call_next("transfer_to_person", destination="billing", summary="charged twice")
    if times == 1:
        await phone.start()
    else:
        await phone.send("dtmf", dtmf={"digit": "7"})
    await home.logged(events.HANDOFF_QUEUED, times)
    transfer = row_of(home, phone).open_transfer
    assert transfer is not None
    claim = home.ledger.claim(transfer.request, "transfer", 30.0)
    assert isinstance(claim, Claimed)
    home.ledger.place(phone.call_sid, transfer.request.request_id, claim.attempt, Position("billing"), attended=True)
    home.ledger.dialled(phone.call_sid, transfer.request.request_id, claim.attempt, f"CA{times:032d}")
    return transfer.request


async def told(home: House, times: int = 1) -> str:
    """What the model was told as a system item."""
    items = [one["item"] for one in await home.model.told("conversation.item.create", times)]
    said = [one["content"][0]["text"] for one in items if one.get("role") == "system"]
    return str(said[-1]) if said else ""


async def test_what_becomes_of_the_person_reaches_the_model_and_the_agent_speaks() -> None:
    async with house(agent_file=PEOPLE_FILE) as home, home.phone() as phone:
        request = await rung(home, phone)
        assert [sent["request_id"] for sent in home.queue.sent] == [request.request_id]
        declined = Try("billing", 0, Outcome.DECLINED, note="in a meeting")
        home.ledger.advance(phone.call_sid, request.request_id, 0, declined, Position("billing", 1), Outcome.DECLINED)
        news = await home.logged(events.HANDOFF_NEWS)
        assert (news["request_id"], news["outcome"]) == (request.request_id, "declined")
        assert "in a meeting" in await told(home, 2)
        await home.model.told("response.create", 3)
        assert "in a meeting" not in repr(home.lines), "what people say is not logged"


async def test_an_acceptance_silences_the_agent_and_the_line_stays_open_for_twilio_to_take() -> None:
    async with house(agent_file=PEOPLE_FILE) as home, home.phone() as phone:
        request = await rung(home, phone)
        assert home.ledger.accepted(phone.call_sid, request.request_id, 0, "CA9")
        assert (await home.logged(events.HANDOFF_NEWS))["outcome"] == "accepted"
        await home.model.connections[0].wait_closed()
        await phone.send("stop", stop={})
        assert (await phone.closed())[0] == 1000


async def test_a_second_request_of_a_visit_is_another_request() -> None:
    async with house(agent_file=PEOPLE_FILE) as home, home.phone() as phone:
        first = await rung(home, phone)
        ring = Try("billing", 0, Outcome.NO_ANSWER)
        home.ledger.advance(phone.call_sid, first.request_id, 0, ring, None, Outcome.NO_ANSWER, then=Then.AGENT)
        await home.logged(events.HANDOFF_NEWS)
        await home.model.told("response.create", 3)
        second = await rung(home, phone, times=2)
        assert second.request_id != first.request_id
        assert [sent["request_id"] for sent in home.queue.sent] == [first.request_id, second.request_id]
        assert home.of(events.HANDOFF_NEWS)[0]["request_id"] == first.request_id


async def test_a_ledger_that_fails_meanwhile_does_not_end_the_wait() -> None:
    table = FakeTable()
    async with house(agent_file=PEOPLE_FILE, table=table) as home, home.phone() as phone:
        request = await rung(home, phone)
        table.failure = ConnectionError("canary-secret")
        failed = await home.logged(events.EFFECT_FAILED)
        assert failed["effect"] == "read_transfer"
        table.failure = None
        assert home.ledger.accepted(phone.call_sid, request.request_id, 0, "CA9")
        await home.logged(events.HANDOFF_NEWS)
        assert "canary-secret" not in repr(home.lines)


async def test_a_visit_after_a_loss_goes_on_with_the_same_request() -> None:
    async with house(agent_file=PEOPLE_FILE) as home:
        async with home.phone() as phone:
            request = await rung(home, phone)
        await home.empty()
        token = stream.mint(phone.call_sid, 2, "m", AUTH_TOKEN)
        home.ledger.offer_stream(phone.call_sid, 2, nonce="m", digest=stream.digest(token), after_loss=True)
        async with home.dial(stream.MEDIA_PATH + token) as socket:
            again = Phone(socket, phone.call_sid)
            await again.start()
            await again.hear("media")
            opening = home.model.of("response.create")[-1]["response"]["instructions"]
            assert "interrupted" in opening
            assert "the billing team is being called now" in opening
            assert home.ledger.accepted(phone.call_sid, request.request_id, 0, "CA9")
            news = await home.logged(events.HANDOFF_NEWS)
            assert news["request_id"] == request.request_id
            await again.send("stop", stop={})
            await again.closed()
        assert len(home.queue.sent) == 1
