"""Whether our two public doors open to Twilio, and to nobody else."""

from __future__ import annotations

from twilio.request_validator import RequestValidator

from cli.checks.check import Check, Finding, bad, good, warning
from cli.checks.neighbours import Neighbours
from contracts.stream import MEDIA_PATH

# No call of Twilio's has this SID, so nothing that is done with it touches one.
DOCTORS_CALL = "CA" + "d0c70".ljust(32, "0")
# The one question whose answer is TwiML, needs the ledger, and changes nothing: how a dial ended in a call that has no
# row is answered by <Hangup/>. `incoming` would open a row, `stream-ended` would dial (and count) the default person.
ROUTE = "/voice/dial-ended"
SLOW_SECONDS = 2.0


def webhook(neighbours: Neighbours) -> Finding:
    """A question signed with the account's own token is answered with TwiML, in time."""
    url, form = _question(neighbours)
    signature = RequestValidator(neighbours.auth_tokens()[0]).compute_signature(url, form)
    times = []
    for _ in range(2):
        answer = neighbours.ask_webhook(url, form, signature)
        times.append(round(answer.seconds, 2))
        if answer.status == 403:
            fix = (
                "the account SID or auth token it knows is another: './patchthrough secrets set twilio', wait a minute"
            )
            return bad("a valid signature is refused (403)", fix, status=403)
        if (
            answer.status != 200
            or answer.media_type not in {"text/xml", "application/xml"}
            or "<Response" not in answer.body
        ):
            fix = "./patchthrough status; the reason is in the webhook's log"
            return bad(f"no TwiML: HTTP {answer.status}, {answer.media_type}", fix, status=answer.status)
        if answer.seconds < SLOW_SECONDS:
            break
    if len(times) == 1:
        return good(f"answers in {times[0]:g} s", seconds=times)
    text = f"answers in {times[0]:g} s, then in {times[1]:g} s; a caller hears that as ringing"
    fix = "docs/runbook.md, 'Webhook slow'"
    return warning(text, fix, seconds=times) if times[1] < SLOW_SECONDS else bad(text, fix, seconds=times)


def forgery(neighbours: Neighbours) -> Finding:
    """The same question with a signature of nobody's is refused."""
    url, form = _question(neighbours)
    forged = RequestValidator("not the account's token").compute_signature(url, form)
    answer = neighbours.ask_webhook(url, form, forged)
    if answer.status == 403:
        return good("a forged signature is refused", status=403)
    text = f"a forged signature is answered with HTTP {answer.status} instead of 403"
    return bad(text, f"make deploy STAGE={neighbours.stage}", status=answer.status)


def _question(neighbours: Neighbours) -> tuple[str, dict[str, str]]:
    form = {"CallSid": DOCTORS_CALL, "AccountSid": neighbours.account_sid(), "DialCallStatus": "completed"}
    return f"{neighbours.outputs()['PublicWebhookOrigin']}{ROUTE}", form


def media(neighbours: Neighbours) -> Finding:
    """A WebSocket without a signature is refused by the relay itself: it is reached, and guarded."""
    origin = neighbours.outputs()["PublicMediaOrigin"]
    answer = neighbours.ask_media(f"{origin}{MEDIA_PATH}{DOCTORS_CALL.removeprefix('CA')}-{'A' * 43}")
    tasks = "./patchthrough status; if tasks run, docs/runbook.md, 'Tasks missing'"
    if answer.status == 101:
        return bad("a stranger was let in", f"make deploy STAGE={neighbours.stage}", status=101)
    # CloudFront's and the load balancer's own refusals are pages of HTML; the relay's is an empty text.
    if answer.status == 403 and answer.media_type.startswith("text/plain"):
        return good("the relay answers, and refuses strangers", status=403)
    if answer.status in {502, 503, 504}:
        return bad(f"HTTP {answer.status}: no task of the relay is reached", tasks, status=answer.status)
    if answer.status == 404:
        return bad("HTTP 404: the load balancer knows no relay yet", tasks, status=404)
    text = f"HTTP {answer.status} ({answer.media_type or 'no type'}) does not come from the relay"
    return bad(text, tasks, status=answer.status)


_LOOK = "./patchthrough status"
CHECKS = (
    Check("webhook", webhook, _LOOK, needs=("secrets", "stack"), seconds=30),
    Check("forged webhook", forgery, _LOOK, needs=("secrets", "stack"), seconds=15),
    Check("media socket", media, _LOOK, needs=("stack",), seconds=15),
)
