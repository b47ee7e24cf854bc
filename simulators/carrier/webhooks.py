"""Requests to a customer's application: signed, form-encoded, bounded in time, retried as the URL's fragment says.

https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides and https://www.twilio.com/docs/api/errors/11205:
15 s in all, TCP connections of 5 s tried twice; a 5xx or a slow answer is not tried again unless the fragment asks.
"""

from __future__ import annotations

import asyncio
import ssl
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qsl, urlencode

import aiohttp
from yarl import URL

from simulators.carrier.fronts import Fronts
from simulators.carrier.hosting import Hosting
from simulators.carrier.signing import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORM: Final = "application/x-www-form-urlencoded; charset=UTF-8"
_MAX_REDIRECTS: Final = 10
_POLICY: Final = frozenset({"ct"})


class Failed(Exception):  # noqa: N818  # an outcome, told apart by its code
    """A request that brought no usable answer; `code` is Twilio's, `kind` what a retry policy calls it."""

    def __init__(self, code: int, why: str, kind: Literal["4xx", "5xx", "ct", "rt", "other"] = "other") -> None:
        super().__init__(why)
        self.code = code
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the media type without its parameters, and the body."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Overrides:
    """The connection overrides of a URL's fragment; times in seconds."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    policy: frozenset[str] = _POLICY

    @classmethod
    def of(cls, url: str) -> Overrides:
        """Read them from `#rc=2&rp=ct,5xx`; what is missing or no number keeps its default."""
        given = dict(parse_qsl(url.partition("#")[2]))

        def number(key: str, least: int, most: int, default: float) -> float:
            text = given.get(key, "")
            return min(max(int(text), least), most) / (1 if key == "rc" else 1000) if text.isdecimal() else default

        policy = frozenset(given["rp"].split(",")) if "rp" in given else _POLICY
        return cls(
            connect=number("ct", 100, 10000, 5.0),
            read=number("rt", 100, 15000, 15.0),
            total=number("tt", 100, 15000, 15.0),
            retries=int(number("rc", 0, 5, 1)),
            policy=policy,
        )


class Webhooks:
    """The client all of a carrier's webhook requests go through; what Twilio hosts itself is not asked for outside."""

    def __init__(self, auth_token: str, fronts: Fronts | None = None, hosting: Hosting | None = None) -> None:
        self._auth_token = auth_token
        self._fronts = fronts or Fronts()
        self._hosting = hosting or Hosting()
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, url: str, parameters: Mapping[str, str], method: str = "POST") -> Answer:
        """Request `url` with `parameters` in the form (POST) or the query (GET).

        Raises:
            Failed: no 2xx answer in time, after the retries the URL asks for.
        """
        overrides = Overrides.of(url)
        token = str(uuid.uuid4())
        try:
            async with asyncio.timeout(overrides.total):
                for attempt in range(overrides.retries + 1):
                    try:
                        return await self._once(url.partition("#")[0], parameters, method, overrides, token)
                    except Failed as failure:
                        if attempt == overrides.retries or not overrides.policy & {failure.kind, "all"}:
                            raise
        except TimeoutError as error:
            raise Failed(11205, f"{url}: no answer within {overrides.total:g} s", "rt") from error
        raise AssertionError("the last attempt answers or raises")

    async def _once(
        self, url: str, parameters: Mapping[str, str], method: str, overrides: Overrides, token: str
    ) -> Answer:
        page = self._hosting.page(url, method)
        if page is not None:
            return _usable(url, page.status, Answer(page.content_type.partition(";")[0], page.body))
        if method == "GET" and parameters:
            url += ("&" if "?" in url else "?") + urlencode(parameters)
        form = parameters if method == "POST" else {}
        headers = {
            "X-Twilio-Signature": sign(self._auth_token, url, form),
            "I-Twilio-Idempotency-Token": token,
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
        }
        if method == "POST":
            headers["Content-Type"] = _FORM
        asked, address = self._fronts.resolve(url)
        target = URL(asked, encoded=True)
        if address:
            headers["Host"] = target.host_port_subcomponent or ""
            target = target.with_host(address[0]).with_port(address[1])
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=overrides.connect, sock_read=overrides.read)
        try:
            async with self._client().request(
                method,
                target,
                data=urlencode(form).encode() if method == "POST" else None,
                headers=headers,
                timeout=timeout,
                max_redirects=_MAX_REDIRECTS,
            ) as response:
                body = await response.read()
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            code = 11220 if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError) else 11205
            raise Failed(code, f"{url}: {error}", "ct") from error
        except TimeoutError as error:
            raise Failed(11205, f"{url}: {error}", "rt") from error
        except aiohttp.InvalidURL as error:
            raise Failed(11100, f"{url}: not a URL") from error
        except aiohttp.ClientError as error:
            raise Failed(11200, f"{url}: {error}") from error
        return _usable(url, response.status, Answer(response.content_type, body))

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _usable(url: str, status: int, answer: Answer) -> Answer:
    if not 200 <= status < 300:
        kind: Literal["4xx", "5xx"] = "5xx" if status >= 500 else "4xx"
        raise Failed(11200, f"{url}: answered {status}", kind)
    return answer
