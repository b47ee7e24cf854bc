from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from simulators.cloud.context import Function
from simulators.cloud.gateway import Gateway, HttpRequest, as_event, as_response

FORM = "application/x-www-form-urlencoded"
Opener = Callable[..., Awaitable[str]]


@pytest.fixture
async def open_gateway() -> AsyncIterator[Opener]:
    gateways: list[Gateway] = []

    async def open_(handler: Any, **options: Any) -> str:
        gateway = Gateway(Function(name="webhook", handler=handler), **options)
        gateways.append(gateway)
        return f"http://127.0.0.1:{await gateway.start()}"

    yield open_
    for gateway in gateways:
        await gateway.stop()


class Seen:
    """A handler that remembers its events."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.events: list[dict[str, Any]] = []
        self.remaining: list[int] = []

    def __call__(self, event: dict[str, Any], context: Any) -> Any:
        self.events.append(event)
        self.remaining.append(context.get_remaining_time_in_millis())
        return self.answer


async def test_a_form_arrives_in_base64_with_path_and_query_as_they_were_sent(open_gateway: Opener) -> None:
    handler = Seen({"statusCode": 200, "headers": {"Content-Type": "text/xml"}, "body": "<Response/>"})
    origin = await open_gateway(handler)
    async with (
        aiohttp.ClientSession() as client,
        client.post(
            URL(f"{origin}/voice/incoming?b=2&a=%2F&empty=", encoded=True),
            data=b"CallSid=CA1&Empty=&Plus=a+b",
            headers=CIMultiDict([("Content-Type", FORM), ("X-Twice", "1"), ("X-Twice", "2"), ("Cookie", "a=1; b=2")]),
        ) as answer,
    ):
        assert (answer.status, answer.headers["content-type"], await answer.text()) == (200, "text/xml", "<Response/>")
    (event,) = handler.events
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == (
        "2.0",
        "/voice/incoming",
        "b=2&a=%2F&empty=",
    )
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"CallSid=CA1&Empty=&Plus=a+b"
    assert event["headers"]["x-twice"] == "1,2"
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["queryStringParameters"] == {"b": "2", "a": "/", "empty": ""}
    assert 0 < handler.remaining[0] <= 10_000


async def test_a_204_has_no_body_and_a_base64_answer_is_decoded(open_gateway: Opener) -> None:
    silent = await open_gateway(Seen({"statusCode": 204}))
    binary = await open_gateway(
        Seen({"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(b"\x00\xff").decode()})
    )
    async with aiohttp.ClientSession() as client:
        async with client.post(silent, data=b"") as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        async with client.get(binary) as answer:
            assert await answer.read() == b"\x00\xff"


async def test_a_handler_that_raises_is_a_500_that_says_nothing_and_the_next_request_is_served(
    open_gateway: Opener,
) -> None:
    def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
        if event["rawPath"] == "/raise":
            raise RuntimeError("the secret reason")
        if event["rawPath"] == "/timeout":
            raise TimeoutError("somebody else's")
        return {"statusCode": 200, "body": "ok"}

    origin = await open_gateway(handler)
    async with aiohttp.ClientSession() as client:
        for path in ("/raise", "/timeout"):
            async with client.get(origin + path) as answer:
                assert (answer.status, await answer.json()) == (500, {"message": "Internal Server Error"})
        async with client.get(origin + "/fine") as answer:
            assert await answer.text() == "ok"


async def test_a_body_over_ten_megabytes_is_a_413_and_never_reaches_the_handler(open_gateway: Opener) -> None:
    handler = Seen({"statusCode": 200})
    origin = await open_gateway(handler)
    async with aiohttp.ClientSession() as client, client.post(origin, data=b"x" * (10 * 1024 * 1024 + 1)) as answer:
        assert answer.status == 413
    assert handler.events == []


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_a_400_and_one_line_in_the_log(
    sent: bytes, open_gateway: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    url = URL(await open_gateway(Seen({"statusCode": 204})))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(sent)
    async with asyncio.timeout(10):
        status = await reader.readline()
    writer.close()
    assert b" 400 " in status
    (record,) = caplog.records
    assert record.exc_info is None
    assert "Error handling request" in record.getMessage()


async def test_a_function_slower_than_the_integration_is_a_503(open_gateway: Opener) -> None:
    release = threading.Event()
    origin = await open_gateway(lambda *_: release.wait(10), integration_seconds=0.05)
    try:
        async with aiohttp.ClientSession() as client, client.get(origin) as answer:
            assert (answer.status, await answer.json()) == (503, {"message": "Service Unavailable"})
    finally:
        release.set()


async def test_requests_are_handled_side_by_side(open_gateway: Opener) -> None:
    together = threading.Barrier(2)

    def handler(*_: Any) -> dict[str, Any]:
        together.wait(10)
        return {"statusCode": 204}

    origin = await open_gateway(handler)
    async with aiohttp.ClientSession() as client:
        answers = await asyncio.gather(client.get(origin), client.get(origin))
    assert [answer.status for answer in answers] == [204, 204]


async def test_no_thread_or_socket_is_left_after_stop() -> None:
    before = set(threading.enumerate())
    gateway = Gateway(Function(name="webhook", handler=Seen({"statusCode": 204})))
    port = await gateway.start()
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}") as answer:
        assert answer.status == 204
    await gateway.stop()
    assert {one.name for one in set(threading.enumerate()) - before if one.name.startswith("lambda-")} == set()
    again = Gateway(Function(name="webhook", handler=Seen({"statusCode": 204})))
    assert await again.start(port) == port
    await again.stop()


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "many"},
        {"statusCode": 99},
        {"statusCode": 200, "body": "!", "isBase64Encoded": True},
        {"statusCode": 200, "headers": 7},
        {"statusCode": None},
    ],
)
def test_a_malformed_response_is_a_500(result: Any) -> None:
    assert as_response(result).status == 500


@pytest.mark.parametrize("result", [None, "text", {"hello": 1}, [1]])
def test_a_result_without_a_status_is_the_json_body_of_a_200(result: Any) -> None:
    response = as_response(result)
    assert (response.status, json.loads(response.body)) == (200, result)


def test_each_cookie_of_a_response_becomes_a_header() -> None:
    response = as_response({"statusCode": 200, "cookies": ["a=1", "b=2"]})
    assert response.headers.getall("set-cookie") == ["a=1", "b=2"]


@given(
    body=st.binary(max_size=200),
    content_type=st.sampled_from([FORM, "application/json", "text/plain; charset=utf-8", "", "image/png"]),
    query=st.lists(st.tuples(st.text("ab", min_size=1, max_size=2), st.text("cd ", max_size=2)), max_size=4),
)
def test_whatever_is_sent_can_be_read_back_from_the_event(
    body: bytes, content_type: str, query: list[tuple[str, str]]
) -> None:
    raw_query = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in query)
    event = as_event(
        HttpRequest(
            method="POST",
            raw_path="/x",
            raw_query=raw_query,
            headers=CIMultiDict({"Content-Type": content_type}),
            body=body,
        ),
        now=0.0,
    )
    text = event.get("body", "")
    assert (base64.b64decode(text) if event["isBase64Encoded"] else text.encode()) == body
    assert parse_qsl(event["rawQueryString"], keep_blank_values=True) == query
    assert json.loads(json.dumps(event)) == event
