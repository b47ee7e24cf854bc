"""Twilio's REST API as far as a transfer needs it: a few requests, and what each failure means.

What decides here: whether a failed request may have been acted on. A 429 never was; a timeout, a broken connection and
a 5xx may have been (https://www.twilio.com/docs/api/errors/20429, https://www.twilio.com/docs/api/errors/20500).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol, TypeVar

import requests
from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from twilio.rest.api import Api  # noqa: F401 - the client imports it on first use: half a second of a caller's wait

from contracts.transfer import Outcome

Answer = TypeVar("Answer")
CALL_NOT_IN_PROGRESS = 21220
NOT_FOUND = 20404
TOO_MANY_REQUESTS = 20429
LISTED = 20
REMEMBERED = 20

_answers: ContextVar[tuple[str, ...]] = ContextVar("answers", default=())


def forget_answers() -> None:
    """From here on Twilio's answers, in this thread, are about something else."""
    _answers.set(())


def answer_ids() -> list[str]:
    """What Twilio called its latest answers since then, oldest first; its support finds each by that.

    No page of Twilio's describes the header `Twilio-Request-Id`, but every recorded answer has it.
    """
    return [*_answers.get()]


def _remember(response: requests.Response, *_: object, **__: object) -> None:
    if name := response.headers.get("Twilio-Request-Id"):
        _answers.set((*_answers.get(), name)[-REMEMBERED:])


class CarrierFailure(Exception):  # noqa: N818 - the base of what can happen, each named below
    """A request did not succeed; `status` and `code` are Twilio's, 0 where it gave none."""

    def __init__(self, status: int = 0, code: int = 0) -> None:
        super().__init__(f"status {status}, code {code}")
        self.status = status
        self.code = code


class CallGone(CarrierFailure):
    """The call is over: https://www.twilio.com/docs/api/errors/21220."""


class Throttled(CarrierFailure):
    """Never processed, safe to repeat."""


class Ambiguous(CarrierFailure):
    """Perhaps processed, perhaps not."""


class Refused(CarrierFailure):
    """Not processed, and a repetition will not help until somebody changes something."""

    @property
    def outcome(self) -> Outcome:
        """Whose fault it is: ours (credentials) or not."""
        return Outcome.NOT_CONFIGURED if self.status in {0, 401, 403} else Outcome.CARRIER_ERROR


class Carrier(Protocol):
    """What a transfer asks of Twilio; all raise `CarrierFailure`s. Times in seconds since the epoch."""

    def update(self, call_sid: str, twiml: str) -> None:
        """Make the live call run this document now."""

    def legs(self, call_sid: str) -> list[str]:
        """SIDs of the call's child legs, living and past."""

    def call(self, *, to: str, from_: str, url: str, status_url: str, seconds: int) -> str:
        """Ring `to` for so many seconds; whoever answers runs the document at `url`. Returns the call's SID."""

    def calls(self, *, to: str, from_: str, since: float) -> list[str]:
        """SIDs of the calls made by `call` to there, from there, since then; living and past."""

    def status(self, call_sid: str) -> str:
        """The call's status."""

    def hang_up(self, call_sid: str) -> None:
        """End the call, ringing or live."""

    def participants(self, room: str) -> list[str]:
        """SIDs of the calls that are in the conference of this name."""


class TwilioCarrier:
    """The carrier over HTTPS, 2 s a request, never repeating one by itself.

    Args:
        account_sid: the account that owns the calls.
        credentials: gives (username, password): an API key and its secret, or the account and its token.
        timeout: seconds to connect, and again to answer.
        base_url: another server that speaks the protocol.
    """

    def __init__(
        self, account_sid: str, credentials: Callable[[], tuple[str, str]], *, timeout: float, base_url: str | None
    ) -> None:
        self._account_sid = account_sid
        self._credentials = credentials
        self._base_url = base_url
        self._http = TwilioHttpClient(timeout=timeout)
        self._http.session.trust_env = False  # no proxy and no .netrc from the environment
        # They write the URLs of searches, which name numbers, at INFO and DEBUG; Lambda's JSON logs begin at INFO.
        for name in ("twilio.http_client", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._http.session.hooks["response"].append(_remember)

    def update(self, call_sid: str, twiml: str) -> None:
        """POST Calls/{sid}: https://www.twilio.com/docs/voice/api/call-resource#update-a-call-resource."""
        self._ask(lambda client: client.calls(call_sid).update(twiml=twiml))

    def legs(self, call_sid: str) -> list[str]:
        """GET Calls?ParentCallSid=: the child legs listed by now."""
        sids = self._ask(lambda client: [leg.sid for leg in client.calls.list(parent_call_sid=call_sid, limit=LISTED)])
        return [sid for sid in sids if sid]

    def call(self, *, to: str, from_: str, url: str, status_url: str, seconds: int) -> str:
        """POST Calls: https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource."""
        made = self._ask(
            lambda client: client.calls.create(
                to=to,
                from_=from_,
                url=url,
                timeout=seconds,
                status_callback=status_url,
                status_callback_event=["initiated", "ringing", "answered", "completed"],
            )
        )
        return str(made.sid or "")

    def calls(self, *, to: str, from_: str, since: float) -> list[str]:
        """GET Calls?To=&From=: by its creation, since one that still rings has no start time to ask for."""
        found = self._ask(lambda client: client.calls.list(to=to, from_=from_, limit=LISTED))
        young = [call for call in found if call.date_created is None or call.date_created.timestamp() >= int(since)]
        return [call.sid for call in young if call.sid and call.direction == "outbound-api"]

    def status(self, call_sid: str) -> str:
        """GET Calls/{sid}."""
        return str(self._ask(lambda client: client.calls(call_sid).fetch()).status)

    def hang_up(self, call_sid: str) -> None:
        """POST Calls/{sid} with Status=completed, which ends a ringing call too."""
        self._ask(lambda client: client.calls(call_sid).update(status="completed"))

    def participants(self, room: str) -> list[str]:
        """GET Conferences?FriendlyName=, then its participants.

        https://www.twilio.com/docs/voice/api/conference-resource
        """

        def ask(client: Client) -> list[str]:
            rooms = client.conferences.list(friendly_name=room, status="in-progress", limit=1)
            members = rooms[0].participants.list(limit=LISTED) if rooms else []
            return [member.call_sid for member in members if member.call_sid]

        return self._ask(ask)

    def _ask(self, request: Callable[[Client], Answer]) -> Answer:
        try:
            return request(self._client())
        except TwilioException as error:
            raise meaning(error) from None  # its text quotes numbers, and tracebacks are logged
        except (requests.RequestException, ValueError):  # ValueError: an answer that is not JSON
            raise Ambiguous from None  # the same: the URL of a search names both numbers

    def _client(self) -> Client:
        username, password = self._credentials()
        client = Client(username, password, self._account_sid, http_client=self._http)
        if self._base_url:
            client.api.base_url = self._base_url
        return client


def meaning(error: TwilioException) -> CarrierFailure:
    """What an error of Twilio's client says about the request; it has two kinds, with the same two attributes."""
    status, code = _number(error, "status"), _number(error, "code")
    if code in {CALL_NOT_IN_PROGRESS, NOT_FOUND}:
        return CallGone(status, code)
    if status == 429 or code == TOO_MANY_REQUESTS:
        return Throttled(status, code)
    if status >= 500:
        return Ambiguous(status, code)
    return Refused(status, code)


def _number(error: TwilioException, name: str) -> int:
    value = getattr(error, name, 0)
    return value if isinstance(value, int) else 0
