"""API Gateway's HTTP API in front of a Lambda function: HTTP requests become payload 2.0 events and back.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html; one
`$default` route and stage, so the public path is the handler's path.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from simulators.cloud.context import ACCOUNT_ID, Function

_log = logging.getLogger(__name__)

MAX_BODY = 10 * 1024 * 1024
INTEGRATION_SECONDS = 30.0
_TEXT_TYPES = ("application/json", "application/xml", "application/javascript")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """An HTTP request, free of any server framework. `raw_path` and `raw_query` are as they stood on the wire."""

    method: str
    raw_path: str
    raw_query: str = ""
    headers: CIMultiDictProxy[str] | CIMultiDict[str] = field(default_factory=CIMultiDict[str])
    body: bytes = b""
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What goes back to the client."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


def as_event(request: HttpRequest, *, now: float) -> dict[str, Any]:
    """The payload 2.0 event of a request. `now` is in seconds since the epoch.

    Header names are lower-case, values of a repeated header are joined by commas, cookies stand apart, and only text
    bodies stay text: a form arrives in base64.
    """
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in request.headers.items():
        lower = name.lower()
        if lower == "cookie":
            cookies += [cookie.strip() for cookie in value.split(";") if cookie.strip()]
        else:
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {request.source_ip}" if forwarded else request.source_ip
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.raw_path,
        "rawQueryString": request.raw_query,
        "headers": headers,
        "requestContext": _context(request, headers, now),
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if request.raw_query:
        joined: dict[str, str] = {}
        for name, value in parse_qsl(request.raw_query, keep_blank_values=True):
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        event["queryStringParameters"] = joined
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request.body, headers.get("content-type", ""))
    return event


def _context(request: HttpRequest, headers: dict[str, str], now: float) -> dict[str, Any]:
    domain = headers.get("host", "localhost").rsplit(":", 1)[0]
    return {
        "accountId": ACCOUNT_ID,
        "apiId": "local",
        "domainName": domain,
        "domainPrefix": domain.split(".")[0],
        "http": {
            "method": request.method,
            "path": request.raw_path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": "$default",
        "stage": "$default",
        "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now * 1000),
    }


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    media_type = content_type.split(";", maxsplit=1)[0].strip().lower()
    if media_type.startswith("text/") or media_type in _TEXT_TYPES:
        try:
            return body.decode("utf-8"), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True


def _message(status: int, text: str) -> HttpResponse:
    body = json.dumps({"message": text}).encode()
    return HttpResponse(status, CIMultiDict({"content-type": "application/json"}), body)


def internal_error() -> HttpResponse:
    """The answer to a client whose function raised, or answered with something that is no response."""
    return _message(500, "Internal Server Error")


def as_response(result: Any) -> HttpResponse:
    """A handler's return value as an HTTP response.

    Anything without a `statusCode` is taken as the JSON body of a 200; a malformed response is a 500.
    """
    if not isinstance(result, dict) or "statusCode" not in result:
        return HttpResponse(200, CIMultiDict({"content-type": "application/json"}), json.dumps(result).encode())
    try:
        status = int(result["statusCode"])
        body = result.get("body") or ""
        raw = base64.b64decode(body, validate=True) if result.get("isBase64Encoded") else str(body).encode("utf-8")
        headers = CIMultiDict({str(name): str(value) for name, value in (result.get("headers") or {}).items()})
    except (TypeError, ValueError, AttributeError, binascii.Error):
        return internal_error()
    for cookie in result.get("cookies") or []:
        headers.add("set-cookie", str(cookie))
    if not 100 <= status <= 599:
        return internal_error()
    headers.setdefault("content-type", "text/plain; charset=utf-8")
    return HttpResponse(status, headers, raw)


class _OneLine(logging.Filter):
    """A peer that does not speak HTTP gets its 400, and the log one line in place of a stack trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, without the trace of an error that is the peer's."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError):
            record.msg, record.args, record.exc_info = f"{record.getMessage()}: {type(error).__name__}", (), None
        return True


_http_log = logging.getLogger(f"{__name__}.http")
_http_log.addFilter(_OneLine())


class Gateway:
    """An HTTP server on the loopback interface that hands every request to one function."""

    def __init__(
        self, function: Function, *, max_concurrency: int = 32, integration_seconds: float = INTEGRATION_SECONDS
    ) -> None:
        """Make a gateway; nothing listens before `start`.

        Args:
            function: invoked in a thread for each request.
            max_concurrency: invocations at once; further requests wait.
            integration_seconds: after which the client gets a 503, whatever the function is doing.
        """
        self._function = function
        self._pool = ThreadPoolExecutor(max_concurrency, thread_name_prefix=f"lambda-{function.name}")
        self._integration_seconds = integration_seconds
        self._runner: web.ServerRunner | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on 127.0.0.1; returns the port.

        Raises:
            OSError: the port is taken.
        """
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None, logger=_http_log), shutdown_timeout=2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        bound: tuple[str, int] = self._runner.addresses[0]
        return bound[1]

    async def stop(self) -> None:
        """Stop listening, finish what is under way, return when no thread is left."""
        if self._runner:
            await self._runner.cleanup()
        await asyncio.to_thread(self._pool.shutdown)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await _read(request)
        if body is None:
            response = _message(413, "Request Entity Too Large")
        else:
            path, _, query = request.raw_path.partition("?")
            response = await self.answer(
                HttpRequest(
                    method=request.method,
                    raw_path=path,
                    raw_query=query,
                    headers=request.headers,
                    body=body,
                    source_ip=request.remote or "127.0.0.1",
                )
            )
        return web.Response(status=response.status, headers=response.headers, body=response.body)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Invoke the function for a request; every failure becomes the status a client of API Gateway would see."""
        event = as_event(request, now=time.time())
        running = asyncio.get_running_loop().run_in_executor(self._pool, self._function.invoke, event)
        done, _ = await asyncio.wait({running}, timeout=self._integration_seconds)
        if not done:
            return _message(503, "Service Unavailable")
        try:
            return as_response(running.result())
        except Exception:  # noqa: BLE001 - the process edge of a Lambda: the client learns nothing of the error
            _log.exception("%s failed", self._function.name)
            return internal_error()


async def _read(request: web.BaseRequest) -> bytes | None:
    """The body, or None if it is larger than API Gateway takes."""
    chunks, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
