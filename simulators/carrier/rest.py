"""Twilio's REST API for calls (https://www.twilio.com/docs/voice/api/call-resource): create, fetch, list, update.

Basic authentication, form bodies, JSON answers, and the errors a caller has to tell apart: 20003, 20404, 20429, 21220.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from aiohttp import web

from simulators.carrier.call import Fetch, Inline
from simulators.carrier.faults import Fault, Request
from simulators.carrier.resource import API_VERSION

if TYPE_CHECKING:
    from simulators.carrier.call import Call
    from simulators.carrier.carrier import Carrier

# https://www.twilio.com/docs/voice/api/call-resource: 4,000 characters when creating; taken to hold for updates.
TWIML_LIMIT: Final = 4000
_BASE: Final = f"/{API_VERSION}/Accounts/{{account}}"


class ApiError(Exception):
    """An error with Twilio's code and HTTP status."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> web.Response:
        """The error as Twilio words it."""
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        body = {"code": self.code, "message": str(self), "more_info": more, "status": self.status}
        return web.json_response(body, status=self.status)


class Rest:
    """The API of one carrier."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    async def start(self, port: int) -> None:
        """Serve on 127.0.0.1.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application()
        app.router.add_post(_BASE + "/Calls.json", self._create)
        app.router.add_get(_BASE + "/Calls.json", self._list)
        app.router.add_get(_BASE + "/Calls/{sid}.json", self._fetch)
        app.router.add_post(_BASE + "/Calls/{sid}.json", self._update)
        app.middlewares.append(self._guard)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.base_url = "http://{}:{}".format(*self._runner.addresses[0])

    async def stop(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Credentials, then bad luck, then the request itself."""
        try:
            self._authenticate(request)
            form = await _form(request)
            seen = Request(request.method, request.path, request.match_info.get("sid", ""), form)
            fault = self._carrier.fault_of(seen)
            return await self._unlucky(request, handler, fault) if fault else await handler(request)
        except ApiError as error:
            return error.response()
        except web.HTTPNotFound:
            message = f"The requested resource {request.path} was not found"
            return ApiError(404, 20404, message).response()

    async def _unlucky(self, request: web.Request, handler: Any, fault: Fault) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        if fault.acts:
            try:
                response = await handler(request)
            except ApiError as error:
                response = error.response()
        await asyncio.sleep(fault.wait)
        if fault.hangs_up and request.transport is not None:
            request.transport.abort()
        if fault.status or response is None:
            raise ApiError(fault.status or 500, fault.code, "Too Many Requests" if fault.status == 429 else "fault")
        return response

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
        if scheme.lower() != "basic" or not password or self._carrier.credentials.get(user) != password:
            raise ApiError(401, 20003, "Authenticate")
        if request.match_info.get("account", self._carrier.account_sid) != self._carrier.account_sid:
            raise ApiError(404, 20404, f"The requested resource {request.path} was not found")

    def _call(self, request: web.Request) -> Call:
        call = self._carrier.calls.get(request.match_info["sid"])
        if call is None:
            raise ApiError(404, 20404, f"The requested resource {request.path} was not found")
        return call

    async def _fetch(self, request: web.Request) -> web.Response:
        return web.json_response(self._call(request).resource.as_json())

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        now = self._carrier.exchange.clock()
        wanted = {"ParentCallSid": "parent_call_sid", "Status": "status", "To": "to", "From": "from_"}
        parent = self._carrier.calls.get(query.get("ParentCallSid", ""))
        among = parent.legs if parent else list(self._carrier.calls.values())
        found = [
            call.resource
            for call in reversed(among)
            if call.resource.visible_from <= now
            and all(getattr(call.resource, field) == query[name] for name, field in wanted.items() if name in query)
        ]
        page, size = _whole(query.get("Page", "0")), min(max(_whole(query.get("PageSize", "50")), 1), 1000)
        start = page * size
        kept = {name: value for name, value in query.items() if name not in {"Page", "PageToken", "PageSize"}}

        def uri(number: int) -> str:
            return f"{request.path}?{urlencode(kept | {'PageSize': size, 'Page': number})}"

        return web.json_response(
            {
                "calls": [resource.as_json() for resource in found[start : start + size]],
                "page": page,
                "page_size": size,
                "start": start,
                "end": max(start, min(start + size, len(found)) - 1),
                "uri": request.path_qs,
                "first_page_uri": uri(0),
                "previous_page_uri": uri(page - 1) if page else None,
                "next_page_uri": uri(page + 1) if start + size < len(found) else None,
            }
        )

    async def _create(self, request: web.Request) -> web.Response:
        form = await _form(request)
        for field, code in (("To", 21201), ("From", 21213)):
            if not form.get(field):
                raise ApiError(400, code, f"No '{field}' number is specified")
        step = _step(form)
        if step is None:
            raise ApiError(400, 21205, "Url parameter is required.")
        call = self._carrier.dial_out(form, step, _whole(form.get("Timeout", "60")))
        return web.json_response(call.resource.as_json(), status=201)

    async def _update(self, request: web.Request) -> web.Response:
        call = self._call(request)
        form = await _form(request)
        step = _step(form)
        status = form.get("Status")
        if status not in {None, "completed", "canceled"}:
            raise ApiError(400, 21218, f"Invalid Status: {status}")
        if call.resource.ended or (step is not None and call.status != "in-progress"):
            raise ApiError(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status == "canceled" and call.status == "in-progress":
            raise ApiError(400, 21220, "Call is in-progress. Cannot cancel.")
        if step is not None and call.resource.parent_call_sid and call.line is not None:
            raise ApiError(400, 20001, "This stand-in does not redirect dialled legs.")
        self._carrier.configure(call, form)
        if status is not None:
            call.hang_up("rest")
        elif step is not None:
            self._carrier.redirect(call, step)
        return web.json_response(call.resource.as_json())


async def _form(request: web.Request) -> dict[str, str]:
    """The form; a field given more than once, as StatusCallbackEvent is, becomes a list of words."""
    fields = await request.post()
    return {name: " ".join(str(value) for value in fields.getall(name)) for name in fields}


def _step(form: dict[str, str]) -> Fetch | Inline | None:
    twiml, url = form.get("Twiml"), form.get("Url")
    if twiml is not None and url is not None:
        raise ApiError(400, 20001, "Twiml and Url are mutually exclusive.")
    if twiml is not None:
        if len(twiml) > TWIML_LIMIT:
            raise ApiError(400, 32018, f"Twiml is longer than {TWIML_LIMIT} characters.")
        return Inline(twiml)
    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise ApiError(400, 21205, f"Url is not a valid URL: {url}")
        return Fetch(url, form.get("Method", "POST"))
    return None


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ApiError(400, 20001, f"not a number: {text}")
    return int(text)
