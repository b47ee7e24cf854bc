"""Twilio's REST API: one server for all its sub-domains, whose paths do not collide; who may ask, and what goes wrong.

Here are calls (https://www.twilio.com/docs/voice/api/call-resource): create, fetch, list, update; `account_api` and
`hosting_api` have the rest. Basic authentication, form bodies, JSON answers, and the errors a caller has to tell apart.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from simulators.carrier.account_api import AccountApi
from simulators.carrier.api import ACCOUNT_PATH, ApiError, form_of, not_found, page_2010, whole
from simulators.carrier.call import Fetch, Inline
from simulators.carrier.exchange import new_sid
from simulators.carrier.faults import Fault, Request
from simulators.carrier.hosting import DOMAIN
from simulators.carrier.hosting_api import CONTENT_LIMIT, HostingApi

if TYPE_CHECKING:
    from simulators.carrier.call import Call
    from simulators.carrier.carrier import Carrier

# https://www.twilio.com/docs/voice/api/call-resource: 4,000 characters when creating; taken to hold for updates.
TWIML_LIMIT: Final = 4000
# Of a whole upload: the file, and room for the other fields.
_BODY_LIMIT: Final = CONTENT_LIMIT + 64 * 1024


class Rest:
    """The API of one carrier."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._runner: web.AppRunner | None = None
        self.base_url = ""
        self.answered: dict[str, str] = {}  # paths, by Twilio-Request-Id

    async def start(self, port: int) -> None:
        """Serve on 127.0.0.1.

        Raises:
            OSError: the port is taken.
        """
        carrier = self._carrier
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_post(ACCOUNT_PATH + "/Calls.json", self._create)
        app.router.add_get(ACCOUNT_PATH + "/Calls.json", self._list)
        app.router.add_get(ACCOUNT_PATH + "/Calls/{sid}.json", self._fetch)
        app.router.add_post(ACCOUNT_PATH + "/Calls/{sid}.json", self._update)
        app.router.add_get(ACCOUNT_PATH + "/Conferences.json", self._conferences)
        app.router.add_get(ACCOUNT_PATH + "/Conferences/{conference}/Participants.json", self._participants)
        AccountApi(carrier.account, carrier.numbers, carrier.debugger).add_routes(app.router)
        HostingApi(carrier.hosting, carrier.account_sid).add_routes(app.router)
        app.middlewares.append(self._guard)
        app.on_response_prepare.append(self._name)
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
        """Credentials, then bad luck, then the request itself; asked by the name of a hosted domain, what is there."""
        if request.host.partition(":")[0].endswith(DOMAIN):
            return self._hosted(request)
        try:
            self._authenticate(request)
            form = await form_of(request)
            seen = Request(request.method, request.path, request.match_info.get("sid", ""), form)
            fault = self._carrier.fault_of(seen)
            return await self._unlucky(request, handler, fault) if fault else await handler(request)
        except ApiError as error:
            return error.response()
        except web.HTTPNotFound:
            return not_found(request).response()
        except web.HTTPMethodNotAllowed:
            return ApiError(405, 20004, "Method not allowed").response()
        except web.HTTPRequestEntityTooLarge:
            return ApiError(413, 20413, "Request entity too large").response()

    async def _name(self, request: web.Request, response: web.StreamResponse) -> None:
        """Every recorded answer of Twilio's has a name, errors too."""
        name = response.headers["Twilio-Request-Id"] = new_sid("RQ")
        self.answered[name] = request.path

    def _hosted(self, request: web.Request) -> web.Response:
        domain = request.host.partition(":")[0]
        page = self._carrier.hosting.page(f"https://{domain}{request.path_qs}", request.method, is_twilio=False)
        assert page is not None, "the domain is one of those that are hosted"
        return web.Response(status=page.status, body=page.body, headers={"Content-Type": page.content_type})

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
        about_account = request.path.endswith((f"/Accounts/{self._carrier.account_sid}.json", "/Keys.json"))
        # https://www.twilio.com/docs/iam/api-keys: a standard key may do everything but accounts and keys.
        if user.startswith("SK") and about_account:
            raise ApiError(401, 20003, "Authentication Error - invalid username")
        # https://www.twilio.com/docs/api/errors/20003
        if self._carrier.account.status != "active" and not about_account:
            raise ApiError(401, 20003, f"Authenticate: the account is {self._carrier.account.status}")
        if request.match_info.get("account", self._carrier.account_sid) != self._carrier.account_sid:
            raise not_found(request)

    def _call(self, request: web.Request) -> Call:
        call = self._carrier.calls.get(request.match_info["sid"])
        if call is None:
            raise not_found(request)
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
        return page_2010(request, "calls", [resource.as_json() for resource in found])

    async def _conferences(self, request: web.Request) -> web.Response:
        """https://www.twilio.com/docs/voice/api/conference-resource; only those in progress are remembered."""
        query = request.query
        rooms = self._carrier.exchange.conferences.values() if query.get("Status", "") in {"", "in-progress"} else ()
        account, base = self._carrier.account_sid, f"/2010-04-01/Accounts/{self._carrier.account_sid}/Conferences"
        records = [
            {
                "sid": room.sid,
                "account_sid": account,
                "friendly_name": room.name,
                "status": "in-progress",
                "uri": f"{base}/{room.sid}.json",
                "subresource_uris": {"participants": f"{base}/{room.sid}/Participants.json"},
            }
            for room in rooms
            if query.get("FriendlyName", room.name) == room.name
        ]
        return page_2010(request, "conferences", records)

    async def _participants(self, request: web.Request) -> web.Response:
        """https://www.twilio.com/docs/voice/api/conference-participant-resource."""
        sid = request.match_info["conference"]
        room = next((one for one in self._carrier.exchange.conferences.values() if one.sid == sid), None)
        if room is None:
            raise not_found(request)
        shared = {"account_sid": self._carrier.account_sid, "conference_sid": sid, "status": "connected"}
        records = [{**shared, "call_sid": call.sid} for call in room.members.values()]
        return page_2010(request, "participants", records)

    async def _create(self, request: web.Request) -> web.Response:
        form = await form_of(request)
        for field, code in (("To", 21201), ("From", 21213)):
            if not form.get(field):
                raise ApiError(400, code, f"No '{field}' number is specified")
        step = _step(form)
        if step is None:
            raise ApiError(400, 21205, "Url parameter is required.")
        call = self._carrier.dial_out(form, step, whole(form.get("Timeout", "60")))
        return web.json_response(call.resource.as_json(), status=201)

    async def _update(self, request: web.Request) -> web.Response:
        call = self._call(request)
        form = await form_of(request)
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
