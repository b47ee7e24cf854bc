"""REST about the account itself: its standing, its numbers, its error log, the countries it may dial.

https://www.twilio.com/docs/iam/api/account, https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource,
https://www.twilio.com/docs/usage/monitor-alert, https://www.twilio.com/docs/voice/api/dialingpermissions-country-resource.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from simulators.carrier.account import COUNTRIES, Account
from simulators.carrier.api import ACCOUNT_PATH, ApiError, form_of, not_found, page_2010, page_v1
from simulators.carrier.debugger import Debugger
from simulators.carrier.numbers import IncomingPhoneNumber, Numbers

_NUMBERS: Final = ACCOUNT_PATH + "/IncomingPhoneNumbers"
_COUNTRIES: Final = "/v1/DialingPermissions/Countries"
_LEVELS: Final = frozenset({"error", "warning", "notice", "debug"})


class AccountApi:
    """Routes to one account."""

    def __init__(self, account: Account, numbers: Numbers, debugger: Debugger) -> None:
        self._account = account
        self._numbers = numbers
        self._debugger = debugger

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve it."""
        router.add_get(ACCOUNT_PATH + ".json", self._fetch_account)
        router.add_get(_NUMBERS + ".json", self._list_numbers)
        router.add_get(_NUMBERS + "/{number}.json", self._fetch_number)
        router.add_post(_NUMBERS + "/{number}.json", self._update_number)
        router.add_get("/v1/Alerts", self._list_alerts)
        router.add_get("/v1/Alerts/{alert}", self._fetch_alert)
        router.add_get(_COUNTRIES, self._list_countries)
        router.add_get(_COUNTRIES + "/{country}", self._fetch_country)

    async def _fetch_account(self, request: web.Request) -> web.Response:
        if request.match_info["account"] != self._account.sid:
            raise not_found(request)
        return web.json_response(self._account.as_json())

    def _number(self, request: web.Request) -> IncomingPhoneNumber:
        owned = self._numbers.with_sid(request.match_info["number"])
        if owned is None:
            raise not_found(request)
        return owned

    async def _fetch_number(self, request: web.Request) -> web.Response:
        return web.json_response(self._number(request).as_json())

    async def _update_number(self, request: web.Request) -> web.Response:
        owned = self._number(request)
        self._numbers.configure(owned, await form_of(request))
        return web.json_response(owned.as_json())

    async def _list_numbers(self, request: web.Request) -> web.Response:
        query = request.query
        found = self._numbers.matching(phone_number=query.get("PhoneNumber"), friendly_name=query.get("FriendlyName"))
        if query.get("Origin", "twilio") != "twilio":
            found = []
        return page_2010(request, "incoming_phone_numbers", [owned.as_json() for owned in found])

    async def _list_alerts(self, request: web.Request) -> web.Response:
        query = request.query
        level = query.get("LogLevel")
        if level not in {None, *_LEVELS}:
            raise ApiError(400, 20001, f"LogLevel is not valid: {level}")
        since, until = _moment(query.get("StartDate")), _moment(query.get("EndDate"), end=True)
        found = [
            entry.as_alert(self._account.sid)
            for entry in reversed(self._debugger.entries)
            if level in {None, entry.severity}
            and (since is None or entry.at >= since)
            and (until is None or entry.at <= until)
        ]
        return page_v1(request, "alerts", found)

    async def _fetch_alert(self, request: web.Request) -> web.Response:
        for entry in self._debugger.entries:
            if entry.sid == request.match_info["alert"]:
                unknown: dict[str, Any] = dict.fromkeys(
                    ("request_headers", "request_variables", "response_headers", "response_body")
                )
                return web.json_response(entry.as_alert(self._account.sid) | unknown)
        raise not_found(request)

    async def _list_countries(self, request: web.Request) -> web.Response:
        query = request.query
        found = [
            country
            for country in map(self._account.country, COUNTRIES)
            if query.get("IsoCode") in {None, country["iso_code"]}
            and query.get("Continent") in {None, country["continent"]}
            and query.get("LowRiskNumbersEnabled") in {None, str(country["low_risk_numbers_enabled"]).lower()}
            and ("CountryCode" not in query or query["CountryCode"].strip("+ ") in country["country_codes"])
        ]
        return page_v1(request, "content", found)

    async def _fetch_country(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self._account.country(request.match_info["country"]))
        except KeyError:
            raise not_found(request) from None


def _moment(text: str | None, *, end: bool = False) -> datetime | None:
    """YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ; a day without a time ends with its last moment, a second likewise."""
    if not text:
        return None
    for form, span in (("%Y-%m-%d", timedelta(days=1)), ("%Y-%m-%dT%H:%M:%SZ", timedelta(seconds=1))):
        try:
            moment = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return moment + span - timedelta(microseconds=1) if end else moment
    raise ApiError(400, 20001, f"not a date: {text}")
