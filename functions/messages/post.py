"""One HTTPS request to one configured URL, over in five seconds whatever the other side does."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import urlsplit

SECONDS = 5.0

Post = Callable[[str, bytes, Mapping[str, str]], int]


class NotPosted(RuntimeError):  # noqa: N818 - it names what became of the request
    """No answer came; the text says why and never holds the URL's path or query, which may be secrets."""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float = SECONDS,
    context: ssl.SSLContext | None = None,
) -> int:
    """POST and return the status; redirects are not followed, the answer's body is not read.

    The limit holds for the whole, also if a name is not resolved or an answer comes one octet a second: so the request
    has a thread of its own, which ends with its socket's own time limit.

    Raises:
        NotPosted: no connection, no valid certificate, no answer, not in time, or no https URL.
    """
    outcome: SimpleQueue[int | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            outcome.put(_ask(url, body, headers, seconds, context or ssl.create_default_context()))
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: no URL after all
            outcome.put(error)

    Thread(target=ask, name="post", daemon=True).start()
    answer: int | Exception
    try:
        answer = outcome.get(timeout=seconds)
    except Empty:
        answer = TimeoutError()
    if isinstance(answer, TimeoutError):  # ours, or the socket's own, which ends at the same moment
        raise NotPosted(f"no answer within {seconds:g} s") from answer
    if isinstance(answer, Exception):
        raise NotPosted(type(answer).__name__) from answer
    return answer


def _ask(url: str, body: bytes, headers: Mapping[str, str], seconds: float, context: ssl.SSLContext) -> int:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("only https URLs are posted to")
    connection = http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=seconds, context=context)
    try:
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        connection.request("POST", target, body, dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()
