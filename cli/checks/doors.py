"""Our public doors, knocked at from outside: HTTP and WebSocket requests that end with their first answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from cli.errors import CommandError

SECONDS = 8.0
_LARGEST = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_SOCKETS = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer's status, media type and body, and how long it took in seconds."""

    status: int
    media_type: str
    body: str
    seconds: float = 0.0


def parse_places(texts: Iterable[str]) -> Mapping[str, str]:
    """`HOST=http://ADDRESS:PORT` as {host: where it is asked instead}, for hosts that no name server knows (yet).

    Raises:
        CommandError: not of this form.
    """
    places = {}
    for text in texts:
        host, _, place = text.partition("=")
        if not host or urlsplit(place).scheme not in {"http", "https"} or not urlsplit(place).netloc:
            raise CommandError("--connect-to", f"'{text}' has not its form", "write HOST=http://127.0.0.1:4566")
        places[host] = place
    return places


def post(
    url: str, form: Mapping[str, str], signature: str, places: Mapping[str, str], clock: Callable[[], float]
) -> Answer:
    """POST a form with Twilio's signature.

    Raises:
        CommandError: there is no answer.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return _request("POST", url, places, clock, body=urlencode(form), headers=headers)


def read(method: str, url: str, places: Mapping[str, str], clock: Callable[[], float]) -> Answer:
    """Ask for a document; a redirect is an answer, not an order.

    Raises:
        CommandError: there is no answer.
    """
    return _request(method, url, places, clock, body=None, headers={})


def upgrade(url: str, places: Mapping[str, str]) -> Answer:
    """Ask for a WebSocket; 101 is closed at once.

    Raises:
        CommandError: there is no answer.
    """
    host = urlsplit(url).netloc
    moved = urlsplit(places[host]) if host in places else None
    there: dict[str, Any] = {}
    if moved:
        # The connection goes there, and the URL still names the server.
        there = {"address": (moved.hostname, moved.port or _PORTS[moved.scheme]), "proxy": None}
        url = urlsplit(url)._replace(scheme=_SOCKETS[moved.scheme]).geturl()
    try:
        with connect(url, open_timeout=SECONDS, close_timeout=1, compression=None, **there):
            return Answer(101, "", "")
    except InvalidStatus as refused:
        response = refused.response
        body = bytes(response.body or b"")[:_LARGEST].decode(errors="replace")
        return Answer(response.status_code, response.headers.get("Content-Type", ""), body)
    except (OSError, WebSocketException) as error:
        raise _unreachable(url, error) from None


def _request(
    method: str,
    url: str,
    places: Mapping[str, str],
    clock: Callable[[], float],
    *,
    body: str | None,
    headers: Mapping[str, str],
) -> Answer:
    parts = urlsplit(url)
    place = urlsplit(places.get(parts.netloc, url))
    if place.scheme not in {"http", "https"} or not place.hostname:
        raise CommandError(url, "it is no http or https address", "correct it")
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    connection = kind(place.hostname, place.port, timeout=SECONDS)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    began = clock()
    try:
        connection.request(method, target, body=body, headers={"Host": parts.netloc, **headers})
        response = connection.getresponse()
        text = response.read(_LARGEST).decode(errors="replace")
        return Answer(response.status, response.headers.get_content_type(), text, clock() - began)
    except (OSError, HTTPException) as error:
        raise _unreachable(url, error) from None
    finally:
        connection.close()


def _unreachable(url: str, error: Exception) -> CommandError:
    where = urlsplit(url).netloc
    why = (
        f"no answer within {SECONDS:g} s" if isinstance(error, TimeoutError) else f"no answer ({type(error).__name__})"
    )
    return CommandError(where, why, f"check the network and that {where} is deployed")
