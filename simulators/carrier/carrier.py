"""The stand-in carrier: place calls against an application, be its REST API, and remember everything.

carrier = Carrier(account_sid="AC…", auth_token="…")
await carrier.start()
carrier.numbers["+15550100000"] = Number(voice_url="http://127.0.0.1:8080/voice/incoming")
call = carrier.place_call(from_="+15550109999", to="+15550100000", caller=ScriptedCaller([Listens(), HangsUp()]))
await call.ended
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simulators.carrier.account import Account
from simulators.carrier.call import Call, Fetch, Inline, Number, new_call
from simulators.carrier.callees import Callee
from simulators.carrier.callers import Caller, live
from simulators.carrier.debugger import Debugger
from simulators.carrier.dialling import Leg, ringing
from simulators.carrier.engine import perform
from simulators.carrier.exchange import Exchange, speak_with_voices
from simulators.carrier.fronts import Fronts
from simulators.carrier.hosting import Hosting
from simulators.carrier.line import Line
from simulators.carrier.numbers import Numbers
from simulators.carrier.rest import Rest
from simulators.carrier.twiml import Malformed, parse
from simulators.carrier.variants import Variants
from simulators.carrier.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.carrier.faults import Fault, Faults, Request

_PATIENCE: float = 300.0


class Carrier:
    """Everything between a caller's ear and an application.

    Attributes:
        account: Whose carrier this is: its standing, and the countries it may dial.
        numbers: What each telephone number of the account has configured; REST may change it.
        hosting: The static files Twilio serves for the account.
        callees: Who is behind each number (or `client:…`, `sip:…`) that may be dialled; anybody else is "failed".
        credentials: User names and passwords of the REST API: the account's own, and API keys as you add them.
        faults: What goes wrong with REST requests: a list used up by updates, or a callable asked about each request.
        fronts: Public host names whose requests are taken elsewhere, as CloudFront and API Gateway do.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        variants: Variants | None = None,
        speak: Callable[[str, str], bytes] = speak_with_voices,
        allow_ws: bool = False,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.account = Account(sid=account_sid, auth_token=auth_token)
        self.numbers = Numbers(account_sid)
        self.hosting = Hosting()
        self.callees: dict[str, Callee] = {}
        self.credentials = {account_sid: auth_token}
        self.faults: Faults = []
        self.fronts = Fronts()
        self.exchange = Exchange(
            account_sid=account_sid,
            auth_token=auth_token,
            variants=variants or Variants(),
            debugger=Debugger(),
            webhooks=Webhooks(auth_token, self.fronts, self.hosting),
            numbers=self.numbers,
            callees=self.callees,
            speak=speak,
            allow_ws=allow_ws,
            on_event=on_event or (lambda _event: None),
            fronts=self.fronts,
            clock=clock,
        )
        self._rest = Rest(self)

    @property
    def account_sid(self) -> str:
        """The account all calls belong to."""
        return self.exchange.account_sid

    @property
    def api_base_url(self) -> str:
        """Where the REST API is, without a path; "" before `start`."""
        return self._rest.base_url

    @property
    def answered(self) -> dict[str, str]:
        """What the API was asked: paths, by the Twilio-Request-Id of the answer."""
        return self._rest.answered

    @property
    def debugger(self) -> Debugger:
        """What went wrong."""
        return self.exchange.debugger

    @property
    def calls(self) -> dict[str, Call]:
        """All calls by SID, dialled legs included, oldest first."""
        return self.exchange.calls

    @property
    def legs(self) -> list[Call]:
        """All dialled legs, oldest first."""
        return [call for call in self.calls.values() if call.resource.parent_call_sid]

    def updates(self, call_sid: str) -> int:
        """How many REST updates the call has accepted."""
        return self.calls[call_sid].updates

    def dials(self, call_sid: str) -> int:
        """How many `<Dial>`s the call has carried out."""
        return self.calls[call_sid].dials

    async def start(self, port: int = 0) -> None:
        """Serve the REST API on 127.0.0.1.

        Raises:
            OSError: the port is taken.
        """
        await self._rest.start(port)

    async def stop(self) -> None:
        """End every call, then every task and socket."""
        for call in list(self.calls.values()):
            if not call.resource.ended:
                call.hang_up("carrier")
        # Callbacks and closing handshakes get a moment, not for ever.
        if self.exchange.tasks:
            await asyncio.wait(set(self.exchange.tasks), timeout=1.0)
        for task in set(self.exchange.tasks):
            task.cancel()
        await asyncio.gather(*self.exchange.tasks, return_exceptions=True)
        await self._rest.stop()
        await self.exchange.webhooks.close()

    def place_call(self, *, from_: str, to: str, caller: Caller, patience: float = _PATIENCE) -> Call:
        """Let somebody call one of the account's numbers; hangs up after `patience` seconds at the latest.

        Raises:
            KeyError: no such number.
        """
        number = self.numbers[to]
        line = Line(dtmf_audible=self.exchange.variants.dtmf_audible)
        call = new_call(self.exchange, from_=from_, to=to, direction="inbound", number=number, line=line)
        line.hung_up = lambda: call.hang_up("caller")
        call.set_status("ringing")
        call.open()
        self.exchange.spawn(self._be_called(call, Fetch(number.voice_url, number.voice_method)))
        self.exchange.spawn(self._live(call, caller, patience))
        return call

    async def _be_called(self, call: Call, first: Fetch) -> None:
        ring = ringing()
        with call.open_line.connect(source=lambda: ring() if call.status == "ringing" else b"", counts=False):
            await call.run(first, perform)

    async def _live(self, call: Call, caller: Caller, patience: float) -> None:
        try:
            why = await live(caller, call.open_line, patience)
            if why:
                call.note("caller", why)
        finally:
            call.hang_up("caller")  # out of patience, or the caller's own code has failed

    def add_live_call(self, call_sid: str = "", *, from_: str = "+15550109999", to: str = "+15550100000") -> Call:
        """A call in progress without media: REST can update it, a `<Dial>` makes its legs appear, nothing is heard."""
        call = new_call(
            self.exchange, from_=from_, to=to, direction="inbound", number=Number(), line=None, sid=call_sid
        )
        call.set_status("in-progress")
        return call

    # What REST asks for.

    def fault_of(self, request: Request) -> Fault | None:
        """The fault, if any, that befalls a request."""
        if callable(self.faults):
            return self.faults(request)
        if request.method == "POST" and request.call_sid and self.faults:
            return self.faults.pop(0)
        return None

    def configure(self, call: Call, form: dict[str, str]) -> None:
        """Take over the URLs an update brings."""
        call.number = replace(
            call.number,
            fallback_url=form.get("FallbackUrl", call.number.fallback_url),
            fallback_method=form.get("FallbackMethod", call.number.fallback_method),
            status_callback=form.get("StatusCallback", call.number.status_callback),
            status_callback_method=form.get("StatusCallbackMethod", call.number.status_callback_method),
        )

    def redirect(self, call: Call, step: Fetch | Inline) -> None:
        """Give a live call its new document."""
        call.redirect(step)
        if call.line is not None or not isinstance(step, Inline):
            return
        try:
            document = parse(step.twiml)
        except Malformed as malformed:
            call.error(malformed.code, str(malformed))
            return
        for verb in document.verbs:
            if verb.name == "Dial":
                call.dials += 1
                for to in [noun.text for noun in verb.children] or [verb.text]:
                    self._silent_leg(call, to)

    def _silent_leg(self, call: Call, to: str) -> None:
        leg = new_call(
            self.exchange,
            from_=call.resource.from_,
            to=to,
            direction="outbound-dial",
            number=Number(),
            line=None,
            parent=call,
            visible_after=self.exchange.variants.child_visibility_seconds,
        )
        leg.set_status("ringing")

    def dial_out(self, form: dict[str, str], step: Fetch | Inline, seconds: float) -> Call:
        """A call made by REST: ring the callee for so long, then carry out the document on that line."""
        number = Number(
            fallback_url=form.get("FallbackUrl"),
            fallback_method=form.get("FallbackMethod", "POST"),
            status_callback=form.get("StatusCallback"),
            status_callback_method=form.get("StatusCallbackMethod", "POST"),
            status_callback_events=frozenset(form.get("StatusCallbackEvent", "completed").split()),
        )
        call = new_call(
            self.exchange, from_=form["From"], to=form["To"], direction="outbound-api", number=number, line=Line()
        )
        callee = self.exchange.callee(form["To"], form["From"]) or Callee(answer="failed", after=0.0)
        self.exchange.spawn(self._ring_out(Leg(call, callee, None), step, seconds))
        return call

    async def _ring_out(self, leg: Leg, step: Fetch | Inline, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                answered = await leg.ring()
        except TimeoutError:
            leg.call.finish("no-answer", by="carrier")
            return
        if answered:
            # Whoever has a key to press talks to people only, and meets them in a conference.
            leg.call.open_line.bridged = not (leg.callee.presses or leg.callee.leaves_whisper)
            await leg.call.run(step, perform)
