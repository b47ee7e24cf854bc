from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from simulators.cloud.context import Function
from simulators.cloud.emulator import Emulator, Resources, Secrets, provision
from simulators.cloud.event_source import EventSource, failed_ids

SECRETS = Secrets(account_sid="AC" + "0" * 32, auth_token="token", openai_api_key="sk-test")
GUARD = 20


class Cloud:
    """An emulator with the stack's resources and a boto3 session for it."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.session = boto3.Session("local", "local", region_name="us-east-1")
        self.endpoint = endpoint
        self.resources: Resources = provision(self.session, endpoint, SECRETS, prefix=name)
        self.sqs = self.session.client("sqs", endpoint_url=endpoint)

    def left(self, queue_url: str) -> tuple[int, int]:
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer: Any = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
        return int(answer["Attributes"][names[0]]), int(answer["Attributes"][names[1]])


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    emulator = Emulator()
    yield emulator.start()
    emulator.stop()


@pytest.fixture
def cloud(endpoint: str, request: pytest.FixtureRequest) -> Cloud:
    return Cloud(endpoint, f"t{abs(hash(request.node.name)) % 10**9}")


class Inbox:
    """A handler that remembers its records, answers as told and can be waited for."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.records: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __call__(self, event: dict[str, Any], _: Any) -> Any:
        with self._changed:
            self.records += event["Records"]
            answer = self.answers.pop(0) if self.answers else {"batchItemFailures": []}
            self._changed.notify_all()
        if isinstance(answer, Exception):
            raise answer
        return next(answer(record) for record in event["Records"]) if callable(answer) else answer

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.records) >= count, GUARD), f"{len(self.records)} of {count}"


def fail(record: dict[str, Any]) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}


def source(cloud: Cloud, inbox: Inbox, queue_url: str = "", **options: Any) -> EventSource:
    function = Function(name="transfer", handler=inbox)
    return EventSource(client=cloud.sqs, queue_url=queue_url or cloud.resources.queue_url, function=function, **options)


def test_a_message_arrives_in_the_shape_of_lambda_and_is_deleted_once_handled(cloud: Cloud) -> None:
    inbox = Inbox()
    running = source(cloud, inbox)
    running.start()
    cloud.sqs.send_message(
        QueueUrl=cloud.resources.queue_url,
        MessageBody='{"version": 1}',
        MessageAttributes={"call_sid": {"DataType": "String", "StringValue": "CA1"}},
    )
    inbox.wait_for(1)
    running.stop()
    (record,) = inbox.records
    assert record["body"] == '{"version": 1}'
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "ApproximateFirstReceiveTimestamp", "SenderId"} <= record["attributes"].keys()
    assert record["messageAttributes"]["call_sid"]["stringValue"] == "CA1"
    assert record["messageAttributes"]["call_sid"]["dataType"] == "String"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith("-transfers")
    assert cloud.left(cloud.resources.queue_url) == (0, 0)


@pytest.mark.parametrize("answer", [fail, RuntimeError("no"), {"batchItemFailures": [{"itemIdentifier": ""}]}, "?"])
def test_what_failed_stays_and_comes_back_counted_when_it_becomes_visible(cloud: Cloud, answer: Any) -> None:
    inbox = Inbox(answer)
    running = source(cloud, inbox)
    running.start()
    cloud.sqs.send_message(QueueUrl=cloud.resources.queue_url, MessageBody="again")
    inbox.wait_for(1)
    handle = inbox.records[0]["receiptHandle"]
    cloud.sqs.change_message_visibility(QueueUrl=cloud.resources.queue_url, ReceiptHandle=handle, VisibilityTimeout=0)
    inbox.wait_for(2)
    running.stop()
    assert [record["attributes"]["ApproximateReceiveCount"] for record in inbox.records] == ["1", "2"]
    assert cloud.left(cloud.resources.queue_url) == (0, 0)


def test_R20_only_the_failed_message_of_a_batch_stays(cloud: Cloud) -> None:
    for body in ("good", "poison", "fine"):
        cloud.sqs.send_message(QueueUrl=cloud.resources.queue_url, MessageBody=body)

    def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
        bad = [record["messageId"] for record in event["Records"] if record["body"] == "poison"]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in bad]}

    mapping = EventSource(
        client=cloud.sqs,
        queue_url=cloud.resources.queue_url,
        function=Function(name="transfer", handler=handler),
        batch_size=10,
    )
    messages = cloud.sqs.receive_message(QueueUrl=cloud.resources.queue_url, MaxNumberOfMessages=10)["Messages"]
    mapping.deliver(messages)
    mapping.stop()
    assert cloud.left(cloud.resources.queue_url) == (0, 1)


def test_R20_a_message_that_never_succeeds_reaches_the_last_resort_through_the_dead_letter_queue(cloud: Cloud) -> None:
    first, last = Inbox(*[fail] * 20), Inbox()
    cloud.sqs.set_queue_attributes(QueueUrl=cloud.resources.queue_url, Attributes={"VisibilityTimeout": "0"})
    running = [source(cloud, first, max_concurrency=1), source(cloud, last, cloud.resources.dead_letter_url)]
    for one in running:
        one.start()
    cloud.sqs.send_message(QueueUrl=cloud.resources.queue_url, MessageBody="poison")
    last.wait_for(1)
    for one in running:
        one.stop()
    assert last.records[0]["body"] == "poison"
    assert [record["attributes"]["ApproximateReceiveCount"] for record in first.records] == [
        str(count) for count in range(1, 11)
    ]


def test_no_more_invocations_run_at_once_than_allowed(cloud: Cloud) -> None:
    running, most, guard, handled = 0, 0, threading.Lock(), threading.Semaphore(0)
    together = threading.Barrier(2)

    def handler(*_: Any) -> None:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        together.wait(GUARD)
        with guard:
            running -= 1
        handled.release()

    mapping = EventSource(
        client=cloud.sqs,
        queue_url=cloud.resources.queue_url,
        function=Function(name="transfer", handler=handler),
        max_concurrency=2,
    )
    for _ in range(4):
        cloud.sqs.send_message(QueueUrl=cloud.resources.queue_url, MessageBody="{}")
    mapping.start()
    assert all(handled.acquire(timeout=GUARD) for _ in range(4))
    mapping.stop()
    assert most == 2


def test_stop_leaves_no_thread_and_takes_nothing_more(cloud: Cloud) -> None:
    before = set(threading.enumerate())
    inbox = Inbox()
    running = source(cloud, inbox)
    running.start()
    running.stop()
    cloud.sqs.send_message(QueueUrl=cloud.resources.queue_url, MessageBody="late")
    names = {one.name for one in set(threading.enumerate()) - before}
    assert not {name for name in names if name.startswith(("lambda-", "event-source-"))}
    assert cloud.left(cloud.resources.queue_url) == (1, 0)


def test_a_queue_that_does_not_exist_stops_the_start(cloud: Cloud) -> None:
    running = source(cloud, Inbox(), cloud.resources.queue_url + "-absent")
    with pytest.raises(ClientError):
        running.start()
    running.stop()


def test_what_exists_is_kept_and_secrets_are_renewed(cloud: Cloud) -> None:
    prefix = cloud.resources.ledger_table.removesuffix("-ledger")
    renewed = Secrets(account_sid=SECRETS.account_sid, auth_token="next", openai_api_key="sk-next")
    assert provision(cloud.session, cloud.endpoint, renewed, prefix=prefix) == cloud.resources
    manager = cloud.session.client("secretsmanager", endpoint_url=cloud.endpoint)
    value = manager.get_secret_value(SecretId=cloud.resources.auth_token_secret)["SecretString"]
    assert json.loads(value) == {"current": "next"}
    assert manager.get_secret_value(SecretId=cloud.resources.openai_secret)["SecretString"] == "sk-next"


def test_of_a_hundred_conditional_writes_at_once_exactly_one_wins(cloud: Cloud) -> None:
    dynamodb = cloud.session.client("dynamodb", endpoint_url=cloud.endpoint)

    def put(owner: int) -> bool:
        try:
            dynamodb.put_item(
                TableName=cloud.resources.ledger_table,
                Item={"call_sid": {"S": "CA1"}, "owner": {"N": str(owner)}},
                ConditionExpression="attribute_not_exists(call_sid)",
            )
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(put, range(100))) == 1


def test_an_emulator_leaves_neither_thread_nor_socket() -> None:
    emulator = Emulator()
    emulator.start()
    assert "aws-emulator" in {one.name for one in threading.enumerate()}
    count = sum(one.name == "aws-emulator" for one in threading.enumerate())
    emulator.stop()
    emulator.stop()
    assert sum(one.name == "aws-emulator" for one in threading.enumerate()) == count - 1


@given(
    response=st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["batchItemFailures", "itemIdentifier", "x"]), inner, max_size=2)
        ),
    )
)
def test_no_response_of_a_handler_deletes_a_message_it_did_not_clear(response: Any) -> None:
    failed = failed_ids(response, ["a", "b"])
    assert failed <= {"a", "b"}
    if response not in (None, {}) and not isinstance(response, dict):
        assert failed == {"a", "b"}


@pytest.mark.parametrize(
    ("response", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "b"}]}, {"b"}),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ({"batchItemFailures": [{"item": "b"}]}, {"a", "b"}),
        ({"failures": []}, {"a", "b"}),
    ],
)
def test_a_response_counts_as_lambda_counts_it(response: Any, failed: set[str]) -> None:
    assert failed_ids(response, ["a", "b"]) == failed
