"""Acceptance 4, 5 and the update: what the deployed stack survives. The tests share one stack, in this order."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from contracts import events
from contracts.agent_file import load
from simulators.carrier import Callee, Line
from simulators.carrier.webhooks import Failed, Webhooks
from simulators.deployed import BLOCKED
from simulators.deployed.cloud_logs import read
from simulators.deployed.deployment import leftovers
from simulators.deployed.program import GREETING, MAX_CALL_MINUTES
from tests.deployed.conftest import BUSY, PERSON, SALES, World, ask_for_a_person, texts, to_a_person

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


async def test_a_call_reaches_a_person_and_every_part_logs_it_where_it_was_deployed_to(world: World) -> None:
    call = world.call(to_a_person)
    await world.ended(call)
    await world.event(call.sid, events.CALL_ENDED)
    assert (call.status, world.made.carrier.dials(call.sid), len(call.legs)) == ("completed", 1, 1)
    await world.event(call.sid, events.TRANSFER_DIALLED, by="transfer", destination="reception")
    logs = world.made.emulator.client("logs")
    first = {"webhook": events.CALL_RECEIVED, "transfer": events.TRANSFER_SENT, "relay": events.MEDIA_ACCEPTED}
    groups = {group.rpartition("/")[2]: group for group in world.made.outputs["LogGroups"].split(",")}
    assert groups.keys() - first.keys() == {"messages"}  # this caller leaves none
    for part, event in first.items():
        group = groups[part]
        assert any(call.sid in line["message"] and event.name in line["message"] for line in read(logs, group)), group


async def test_R31_the_task_is_protected_before_its_socket_is_answered_and_no_longer_after_its_last_call(
    world: World,
) -> None:
    agent, order = world.made.tasks.current.agent, []
    agent.told = lambda asked: order.append("protected" if asked.enabled else "released")

    async def caller(line: Line) -> None:
        await line.hears(200)
        order.append("answered")
        assert agent.protected
        await line.hang_up()

    call = world.call(caller)
    await world.ended(call)
    accepted = await world.event(call.sid, events.MEDIA_ACCEPTED)
    await world.event(call.sid, events.CALL_ENDED)
    assert order == ["protected", "answered", "released"], accepted
    assert agent.asked[-2].minutes == world.made.settings.timing.protection_minutes
    assert agent.bad_requests == 0


async def test_a_deployment_that_blocks_protection_refuses_no_caller(world: World) -> None:
    world.made.tasks.current.agent.refusals.append(BLOCKED)
    call = world.call(to_a_person)
    await world.ended(call)
    assert [leg.status for leg in call.legs] == ["completed"]
    await world.event("", events.EFFECT_FAILED, effect="task_protection", error=BLOCKED)


async def test_S11_the_task_may_do_in_its_role_what_it_does_and_nothing_else(world: World) -> None:
    made, outputs = world.made, world.made.outputs
    acting = made.emulator.environ_as(made.tasks.current.definition.role)
    session = boto3.Session(
        aws_access_key_id=acting["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=acting["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=acting["AWS_SESSION_TOKEN"],
        region_name=acting["AWS_REGION"],
    )
    make: Any = partial(session.client, endpoint_url=made.emulator.endpoint)
    secret, queue, rows = make("secretsmanager"), make("sqs"), make("dynamodb")
    transfers, dead, table = (outputs[name] for name in ("TransferQueueUrl", "DeadLetterQueueUrl", "LedgerTable"))
    row = {"call_sid": {"S": "CA"}}
    asked: dict[str, Callable[[], object]] = {
        "read the auth token": lambda: secret.get_secret_value(SecretId=made.settings.auth_token_secret),
        "read the model's key": lambda: secret.get_secret_value(SecretId=made.settings.openai_secret),
        "read a row": lambda: rows.get_item(TableName=table, Key=row),
        "read the REST credential": lambda: secret.get_secret_value(SecretId=made.settings.rest_secret),
        "receive a transfer": lambda: queue.receive_message(QueueUrl=transfers),
        "send to the dead letters": lambda: queue.send_message(QueueUrl=dead, MessageBody="{}"),
        "make a row": lambda: rows.put_item(TableName=table, Item=row),
        "read all rows": lambda: rows.scan(TableName=table),
    }
    answers = dict(
        zip(asked, await asyncio.gather(*map(asyncio.to_thread, asked.values()), return_exceptions=True), strict=True)
    )
    denied = {what: answer for what, answer in answers.items() if isinstance(answer, BaseException)}
    assert [*denied] == [*asked][3:]
    assert all("is not authorized to perform" in str(answer) for answer in denied.values()), denied


async def test_S4_a_webhook_that_comes_again_gets_the_same_answer_and_starts_no_second_session(world: World) -> None:
    sid = f"CA{secrets.token_hex(16)}"
    first, *more = await asyncio.gather(*(world.ask("incoming", CallSid=sid) for _ in range(5)))
    assert "<Stream" in first
    assert set(more) == {first}

    async def caller(line: Line) -> None:
        await line.hears(200)
        # The token is spent: what is offered now is a person.
        assert "<Stream" not in await world.ask("incoming", CallSid=call.sid)
        await line.hang_up()

    sessions = len(world.made.model.sessions)
    call = world.call(caller)
    await world.ended(call)
    await world.event(call.sid, events.CALL_ENDED)
    assert world.events(call.sid).count(events.MEDIA_ACCEPTED.name) == 1
    assert len(world.made.model.sessions) == sessions + 1


async def test_S1_a_forged_webhook_is_refused_and_starts_nothing(world: World) -> None:
    sid, url = f"CA{secrets.token_hex(16)}", world.made.outputs["VoiceWebhookUrl"]
    forger = Webhooks("f" * 32, world.made.carrier.fronts)
    sessions = len(world.made.model.sessions)
    try:
        with pytest.raises(Failed, match="answered 403"):
            await forger.ask(url, world.form(CallSid=sid))
    finally:
        await forger.close()
    assert await asyncio.to_thread(world.made.ledger().read, sid) is None
    assert len(world.made.model.sessions) == sessions
    assert "<Stream" in await world.ask("incoming", CallSid=sid), "the same form, signed by Twilio, is let in"


async def test_R15_callers_of_a_task_that_is_killed_are_back_with_the_agent_and_reach_a_person(world: World) -> None:
    old = await world.replace_task()

    async def caller(line: Line) -> None:
        await line.hears(300)
        os.kill(old.relay.pid, signal.SIGKILL)
        await world.event(call.sid, events.MEDIA_ACCEPTED, visit=2)
        await to_a_person(line)

    # The call is on the task that is going to be killed.
    front = world.made.carrier.fronts.behind
    now = dict(front)
    front.update({host: ("127.0.0.1", old.port) for host in front if host.endswith(".cloudfront.net")})
    call = world.call(caller)
    await world.event(call.sid, events.STREAM_STARTED)
    front.update(now)
    await world.ended(call)
    assert world.events(call.sid).count(events.MEDIA_ACCEPTED.name) == 2
    assert [leg.status for leg in call.legs] == ["completed"]


async def test_R14_a_task_that_must_leave_keeps_its_call_and_at_the_end_of_its_time_sends_it_on(world: World) -> None:
    async def caller(line: Line) -> None:
        await line.hears(300)
        old = await world.replace_task()
        os.kill(old.relay.pid, signal.SIGTERM)
        await world.log.first(lambda line: line["event"] == events.RELAY_DRAINING.name, 10)
        await line.hears(300)  # still with the agent
        assert world.events(call.sid).count(events.MEDIA_ACCEPTED.name) == 1
        os.kill(old.relay.pid, signal.SIGTERM)  # a second signal is the end of its time
        await world.event(call.sid, events.MEDIA_ACCEPTED, visit=2)
        await to_a_person(line)

    call = world.call(caller)
    await world.ended(call)
    assert [leg.status for leg in call.legs] == ["completed"]


async def test_a_poisoned_message_ends_in_the_dead_letters_and_its_live_caller_with_a_person(world: World) -> None:
    sqs, outputs = world.made.emulator.client("sqs"), world.made.outputs

    async def caller(line: Line) -> None:
        await line.hears(300)
        await asyncio.to_thread(
            sqs.send_message,
            QueueUrl=outputs["TransferQueueUrl"],
            MessageBody='{"version": 1, "call_sid": ',
            MessageAttributes={"call_sid": {"DataType": "String", "StringValue": call.sid}},
        )
        await line.connected_to_person()
        await line.hears(400)
        await line.hang_up()

    call = world.call(caller)
    await world.ended(call)
    await world.event(call.sid, events.TRANSFER_DIALLED, by="last_resort", destination="reception")
    malformed = world.events(call.sid).count(events.TRANSFER_MALFORMED.name)
    assert malformed == world.made.settings.timing.receives + 1
    assert (world.made.carrier.dials(call.sid), [leg.status for leg in call.legs]) == (1, ["completed"])


async def test_an_update_is_deployed_under_a_live_call_which_goes_on_and_the_next_one_has_the_new_agent(
    world: World,
) -> None:
    made = world.made
    old = made.tasks.current
    await world.update

    async def caller(line: Line) -> None:
        await line.hears(300)
        await made.deploy(world.changed)
        await made.start_task()
        leaving.append(asyncio.create_task(old.stop()))
        await ask_for_a_person(line)

    leaving: list[asyncio.Task[None]] = []
    call = world.call(caller)
    await world.ended(call)
    assert world.events(call.sid).count(events.MEDIA_ACCEPTED.name) == 1, "the old task kept it"
    assert [leg.status for leg in call.legs] == ["completed"]
    async with asyncio.timeout(10):
        await asyncio.gather(*leaving)
    told = made.tasks.current.definition.environment
    assert told["TASK_PROTECTION_MINUTES"] == str(MAX_CALL_MINUTES + 2)
    assert old.definition.environment["TASK_PROTECTION_MINUTES"] != told["TASK_PROTECTION_MINUTES"]
    await world.ended(world.call(to_a_person))
    assert GREETING in json.dumps(made.model.sessions[-1].received)
    assert load(made.agent_file).greeting == GREETING


async def test_screened_attended_and_hunted_callers_reach_their_person_once(world: World) -> None:
    made = world.made
    for number in ("+15550100001", "+15550100002"):
        made.carrier.callees[number] = Callee(after=0.2, says=PERSON, presses="1")
    made.carrier.callees[SALES] = Callee(after=0.2, says=PERSON)
    made.carrier.callees[BUSY] = Callee(answer="busy", after=0.2)
    calls = {key: world.call(partial(to_a_person, key=key)) for key in "123"}
    for call in calls.values():
        await world.ended(call)
        await world.event(call.sid, events.CALL_ENDED)
    await world.event(calls["1"].sid, events.TRANSFER_ACCEPTED, destination="billing")
    await world.event(calls["2"].sid, events.TRANSFER_DIALLED, destination="support", mode="attended")
    await world.event(calls["2"].sid, events.TRANSFER_ACCEPTED, destination="support")
    await world.event(calls["3"].sid, events.TRANSFER_ADVANCED, outcome="busy")
    assert [leg.status for leg in calls["1"].legs] == ["completed"]
    assert [leg.status for leg in calls["3"].legs] == ["busy", "completed"]
    for call in calls.values():
        assert world.events(call.sid).count(events.TRANSFER_BRIDGED.name) == 1


async def test_S12_no_secret_of_the_run_is_in_any_log_template_variable_or_file(world: World) -> None:
    made = world.made
    client = made.emulator.client
    groups = [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]]
    ecs = client("ecs").describe_task_definition(taskDefinition=made.tasks.current.definition.arn)
    found = {
        **texts(made.emulator.folder),
        **{group: json.dumps(read(client("logs"), group), default=str) for group in groups},
        "events": json.dumps(world.log.events, default=str),
        "functions": json.dumps(client("lambda").list_functions()["Functions"], default=str),
        "task": json.dumps(ecs, default=str),
        "template": json.dumps(client("cloudformation").get_template(StackName=made.settings.stack_name), default=str),
        "rows": json.dumps(client("dynamodb").scan(TableName=made.outputs["LedgerTable"])["Items"], default=str),
        "errors seen by Twilio": str(made.carrier.debugger.entries),
    }
    for canary in made.keys.canaries:
        assert [name for name, text in found.items() if canary in text] == []
    # The same look finds what is no secret: it does look there.
    assert {"functions", "task"} <= {name for name, text in found.items() if made.keys.account_sid in text}
    assert set(groups) >= set(made.outputs["LogGroups"].split(","))
    assert any(Path(name).name == "Patchthrough.template.json" for name in found)


async def test_nothing_is_left_of_a_destroyed_stack(world: World) -> None:
    assert leftovers(world.made.emulator), "there is something to be left"
    await world.made.destroy()
    assert leftovers(world.made.emulator) == []
