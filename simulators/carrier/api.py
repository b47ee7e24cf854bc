"""What every resource of the REST API shares: errors in Twilio's words, form fields, and lists in pages.

Lists of 2010-04-01 carry their paging beside the records, those of v1 in `meta`
(https://www.twilio.com/docs/usage/twilios-response#pagination).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from simulators.carrier.resource import API_VERSION

ACCOUNT_PATH: Final = f"/{API_VERSION}/Accounts/{{account}}"
METHODS: Final = frozenset({"GET", "POST"})
_PAGING: Final = frozenset({"Page", "PageToken", "PageSize"})


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


def not_found(request: web.Request) -> ApiError:
    """The path names nothing that exists."""
    return ApiError(404, 20404, f"The requested resource {request.path} was not found")


async def form_of(request: web.Request) -> dict[str, str]:
    """The form; a field given more than once, as StatusCallbackEvent is, becomes a list of words."""
    fields = await request.post()
    return {name: " ".join(str(value) for value in fields.getall(name)) for name in fields}


def required(form: Mapping[str, str], name: str, longest: int) -> str:
    """A field that must be there.

    Raises:
        ApiError: 20001; it is missing, empty or longer than that.
    """
    value = form.get(name, "")
    if not value:
        raise ApiError(400, 20001, f"Missing required parameter {name} in the post body")
    if len(value) > longest:
        raise ApiError(400, 20001, f"{name} must be at most {longest} characters long")
    return value


def whole(text: str) -> int:
    """A number in a form or query.

    Raises:
        ApiError: 20001; it is none.
    """
    if not (text.isascii() and text.isdecimal()):
        raise ApiError(400, 20001, f"not a number: {text}")
    return int(text)


def iso8601(moment: datetime) -> str:
    """A time the way v1 resources write it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _page(request: web.Request) -> tuple[int, int]:
    query = request.query
    return whole(query.get("Page", "0")), min(max(whole(query.get("PageSize", "50")), 1), 1000)


def _address(request: web.Request, number: int, size: int) -> str:
    kept = {name: value for name, value in request.query.items() if name not in _PAGING}
    return f"{request.path}?{urlencode(kept | {'PageSize': size, 'Page': number})}"


def page_2010(request: web.Request, key: str, records: Sequence[Mapping[str, Any]]) -> web.Response:
    """One page of a list of 2010-04-01."""
    page, size = _page(request)
    start = page * size
    body = {
        key: records[start : start + size],
        "page": page,
        "page_size": size,
        "start": start,
        "end": max(start, min(start + size, len(records)) - 1),
        "uri": request.path_qs,
        "first_page_uri": _address(request, 0, size),
        "previous_page_uri": _address(request, page - 1, size) if page else None,
        "next_page_uri": _address(request, page + 1, size) if start + size < len(records) else None,
    }
    return web.json_response(body)


def page_v1(request: web.Request, key: str, records: Sequence[Mapping[str, Any]]) -> web.Response:
    """One page of a list of v1.

    Its addresses are absolute and name the host that was asked, so that a client sent here by a base URL stays here.
    """
    page, size = _page(request)
    pages = math.ceil(len(records) / size)

    def url(number: int) -> str:
        return f"{request.url.origin()}{_address(request, number, size)}"

    meta = {
        "page": page,
        "page_size": size,
        "first_page_url": url(0),
        "previous_page_url": url(page - 1) if page else None,
        "url": url(page),
        "next_page_url": url(page + 1) if page + 1 < pages else None,
        "key": key,
    }
    return web.json_response({key: records[page * size : (page + 1) * size], "meta": meta})
