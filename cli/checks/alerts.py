"""What Twilio complained of, and what that means here: its debugger's codes, their cause, and the command that helps.

The codes and their meaning: https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from cli.checks.check import Check, Finding, good, warning
from cli.checks.neighbours import Neighbours
from cli.twilio_api import asking_twilio

_TOLD = 4
_MOST = 500


@dataclass(frozen=True, slots=True)
class Cause:
    """What a code means for this line, and what to do."""

    why: str
    command: str


_DOCTOR = "./patchthrough doctor"
_STATUS = "./patchthrough status"
_SHOW = "./patchthrough calls show CA…"
_SLOW_WEBHOOK = Cause("the webhook did not answer in time", f"{_STATUS}; docs/runbook.md, 'Webhook slow'")
_NO_ANSWER = Cause("the media socket could not be reached", f"{_STATUS}; docs/runbook.md, 'Tasks missing'")
_BAD_TWIML = Cause("a document was not TwiML", "roll back the last change of the webhook: make deploy")
_BAD_NUMBER = Cause("a destination's number cannot be dialled", "./patchthrough config validate")
_BAD_ADDRESS = Cause("the stream's URL is no wss address", "make deploy; then ./patchthrough number attach +1…")
_FRAMES = Cause("the relay and Twilio do not agree on the media protocol", f"{_SHOW}; see the changes of the relay")
CAUSES: Mapping[int, Cause] = {
    10004: Cause("more calls at once than the account may have", "ask Twilio for more; https://console.twilio.com"),
    11200: Cause("the webhook answered with an error", f"{_DOCTOR}; docs/runbook.md, 'Webhook failing'"),
    11203: _SLOW_WEBHOOK,
    11205: _SLOW_WEBHOOK,
    11210: Cause("the webhook's host name is unknown", "./patchthrough number attach +1…"),
    11215: Cause("a document redirected too often", f"{_SHOW}"),
    11237: Cause("the webhook's certificate is not accepted", "./patchthrough number attach +1…"),
    12100: _BAD_TWIML,
    12200: _BAD_TWIML,
    12300: _BAD_TWIML,
    13214: Cause("the caller ID of a transfer is not accepted", f"{_SHOW}"),
    13223: _BAD_NUMBER,
    13224: _BAD_NUMBER,
    13225: Cause("a destination's number may not be dialled", "./patchthrough config validate"),
    13227: Cause("Twilio may not dial the destination's country", f"{_DOCTOR} names where it is allowed"),
    20003: Cause("a credential was refused", "./patchthrough secrets set twilio"),
    20429: Cause("Twilio was asked too often", "docs/runbook.md, 'Transfers failing'"),
    21215: Cause("Twilio may not dial the destination's country", f"{_DOCTOR} names where it is allowed"),
    21220: Cause("a call was over before its transfer came; no harm", f"{_SHOW}"),
    31901: _NO_ANSWER,
    31902: _NO_ANSWER,
    31903: Cause(
        "a media socket broke in a call: a task died, or the network", f"{_SHOW}; docs/runbook.md, 'Streams lost'"
    ),
    31910: Cause("the media socket's certificate is not accepted", "make deploy; ./patchthrough doctor"),
    31920: Cause("the media socket was refused: full, a wrong token, or a wrong origin", f"{_SHOW}; {_DOCTOR}"),
    31921: Cause("the relay closed a stream, as it does after a goodbye", f"{_SHOW}"),
    31922: _BAD_ADDRESS,
    31923: _BAD_ADDRESS,
    31924: _FRAMES,
    31930: Cause("the relay reads too slowly; callers' words are lost", "docs/runbook.md, 'Tasks nearly full'"),
    31931: Cause("more than ten minutes of speech were queued", f"{_SHOW}"),
    31941: _BAD_TWIML,
    31950: _FRAMES,
    31951: _FRAMES,
}
_UNKNOWN = Cause("not one of those we know", "see https://www.twilio.com/docs/api/errors")


def alerts(neighbours: Neighbours) -> Finding:
    """The errors and warnings of the last 24 hours; those about other applications of the account are only counted."""
    since = neighbours.now() - timedelta(hours=24)
    with asking_twilio("Twilio's alerts"):
        every = neighbours.twilio().monitor.v1.alerts.list(start_date=since, limit=_MOST)
    hosts = {urlsplit(neighbours.outputs()[name]).netloc for name in ("PublicWebhookOrigin", "PublicMediaOrigin")}
    ours = [alert for alert in every if _is_ours(alert, hosts)]
    elsewhere = len(every) - len(ours)
    aside = f" ({elsewhere} about other applications)" if elsewhere else ""
    codes = Counter(_code(alert) for alert in ours)
    if not codes:
        return good(f"none in 24 hours{aside}", alerts=[], elsewhere=elsewhere)
    told = []
    for code, count in codes.most_common():
        cause = CAUSES.get(code, _UNKNOWN)
        last = max((str(alert.date_created) for alert in ours if _code(alert) == code), default="")
        told.append({"code": code, "count": count, "last": last, "cause": cause.why, "repair": cause.command})
    lines = [f"{one['count']} x {one['code']}: {one['cause']}" for one in told[:_TOLD]]
    more = f"; and {len(told) - _TOLD} codes more" if len(told) > _TOLD else ""
    return warning("; ".join(lines) + more + aside, str(told[0]["repair"]), alerts=told, elsewhere=elsewhere)


def _code(alert: Any) -> int:
    text = str(alert.error_code)
    return int(text) if text.isdigit() else 0


def _is_ours(alert: Any, hosts: set[str]) -> bool:
    """An alert without an address (a refused dial, say) may be anybody's, so it is ours."""
    url = str(alert.request_url or "")
    return not url or urlsplit(url).netloc in hosts


ALERTS = Check("Twilio's alerts", alerts, "see https://console.twilio.com", needs=("Twilio REST", "stack"), seconds=30)
