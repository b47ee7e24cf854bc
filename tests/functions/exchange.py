"""A telephone exchange in simulated time: the caller's call, those who are rung for it, and every webhook.

It carries out documents as Twilio documents say, asks the real webhook (signed), takes the real transfer function's
REST requests, and remembers what the caller heard and who was rung for which ring.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from contracts import stream
from simulators.carrier.twiml import Document, Element, parse
from tests.functions.persons import LIVE, Leg, Persons
from tests.functions.world import ACCOUNT_SID, CALL_SID, Dialled


class Exchange(Persons):
    """Everything Twilio does with one caller."""

    # The caller's call.

    def execute(self, twiml: str) -> None:
        """Run a document on the caller's call, whatever it was doing."""
        self._begin(parse(twiml))

    def hangs_up(self) -> None:
        """The caller hangs up."""
        if self.fate == "gone" or not self.live:
            return
        self.live, self.fate = False, "gone"
        self.document += 1
        self._stop_waiting()
        self._clear_caller()
        self._post("/voice/call-status", CallStatus="completed")

    def stream_ends(self, question: str) -> None:
        """The agent's stream ends: this is asked next."""
        self._ask_caller(question, {}, self.document)

    def _begin(self, document: Document) -> None:
        self.document += 1
        self._clear_caller()
        self._perform(list(document.verbs), self.document)

    def _clear_caller(self) -> None:
        for leg in list(self.legs_by_sid.values()):
            if not leg.apart and leg.status in LIVE:
                self._end_leg(leg, "canceled" if leg.status != "in-progress" else "completed")
        for name, members in list(self.rooms.items()):
            if CALL_SID in members:
                members.discard(CALL_SID)
                self._close(name)

    def _perform(self, verbs: list[Element], document: int) -> None:
        if self.document != document or not self.live:
            return
        if not verbs:
            self._over("fell off the end")
            return
        verb, *rest = verbs
        carry_out: dict[str, Callable[[Element, list[Element], int], None]] = {
            "Say": self._say,
            "Pause": lambda verb, rest, document: self._after(verb.number("length", 1), rest, document),
            "Redirect": lambda verb, _, document: self._ask_caller(verb.text, {}, document),
            "Hangup": lambda *_: self._over("hung up on"),
            "Connect": self._connect,
            "Record": self._record,
            "Enqueue": self._enqueue,
            "Dial": lambda verb, _, document: self._dial(verb, document),
        }
        carry_out[verb.name](verb, rest, document)

    def _say(self, verb: Element, rest: list[Element], document: int) -> None:
        self.heard.append(verb.text)
        self._after(2.0, rest, document)

    def _connect(self, verb: Element, _: list[Element], document: int) -> None:
        self._stop_waiting()
        self.fate = "with the agent"
        self._later(0.1, lambda: self._visit(verb, document))

    def _record(self, verb: Element, _: list[Element], document: int) -> None:
        self._stop_waiting()
        self.fate = "leaving a message"
        self._later(5.0, lambda: self._recorded(verb, document))

    def _enqueue(self, verb: Element, _: list[Element], document: int) -> None:
        self._later(1.0, lambda: self._queued(verb, document))

    def _after(self, seconds: float, rest: list[Element], document: int) -> None:
        self._later(seconds, lambda: self._perform(rest, document))

    def _visit(self, verb: Element, document: int) -> None:
        if self.document != document:
            return
        token = verb.children[0].get("url").rpartition("/")[2]
        self.world.ledger.take_stream(CALL_SID, stream.digest(token))

    def _recorded(self, verb: Element, document: int) -> None:
        if self.document != document:
            return
        sid = f"RE{len(self.recorded):032x}"
        self.recorded.append(sid)
        url = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT_SID}/Recordings/{sid}"
        fields = {"RecordingSid": sid, "RecordingUrl": url, "RecordingDuration": "5"}
        self._later(1.0, lambda: self._post(verb.get("recordingStatusCallback"), RecordingStatus="completed", **fields))
        self._ask_caller(verb.get("action"), fields, document)

    def _queued(self, verb: Element, document: int) -> None:
        if self.document != document:
            return
        result = self.queue_result
        self.rung[("queue", _ring_of(verb.get("action")), verb.text)] += 1
        self.bridged += ["queue"] if result == "bridged" else []
        self._ask_caller(verb.get("action"), {"QueueResult": result, "QueueTime": "30"}, document)

    def _dial(self, verb: Element, document: int) -> None:
        self._start_waiting()
        self.fate = "ringing"
        nouns = [noun for noun in verb.children if noun.name != "Conference"]
        ring = _ring_of(verb.get("action"))
        if not nouns:
            room = verb.children[0].text
            self.rung[("join", ring, room)] += 1
            self._enter(room, CALL_SID)
            return
        self.dials.append(_dialled(verb, self.world.timeline.now))
        legs = []
        for noun in nouns:
            address = noun.text or next((child.text for child in noun.children if child.name == "Identity"), "")
            self.rung[("dial", ring, address)] += 1
            leg = self._new_leg(address.partition("?")[0], noun.get("statusCallback"), apart=False)
            self._legs.append((leg.sid, leg.visible_at))
            legs.append((leg, noun.get("url")))
        seconds = verb.number("timeout", 30)
        for leg, url in legs:
            over = partial(self._dial_over, verb, document, legs)
            answered = partial(self._screen, verb, document, leg, url, legs)
            self._later(0.0, partial(self._ring, leg, seconds, answered, over))

    def _dial_over(self, verb: Element, document: int, legs: list[tuple[Leg, str]], status: str) -> None:
        if self.document != document or any(leg.status in LIVE for leg, _ in legs):
            return
        self._ask_caller(verb.get("action"), {"DialCallStatus": status, "DialCallSid": legs[-1][0].sid}, document)

    def _screen(self, verb: Element, document: int, leg: Leg, url: str, legs: list[tuple[Leg, str]]) -> None:
        if self.document != document:
            return
        if url and not self._consents(leg, url):
            if leg.status in LIVE:
                self._end_leg(leg, "completed")
            self._dial_over(verb, document, legs, self.completed_bridges_report)
            return
        if self.document != document or leg.status not in LIVE:
            return
        self.bridged.append(leg.to)
        self._stop_waiting()
        self.fate = "with a person"
        for other, _ in legs:
            if other is not leg and other.status in LIVE:
                self._end_leg(other, "canceled")
        self.world.timeline.sleep(self.people[leg.to].talks)
        if self.document != document:
            return
        self._end_leg(leg, "completed")
        fields = {"DialCallStatus": "completed", "DialCallSid": leg.sid, "DialBridged": "true"}
        self._ask_caller(verb.get("action"), fields, document)

    # Questions.

    def _ask_caller(self, url: str, fields: dict[str, str], document: int) -> None:
        self._start_waiting()
        self._later(0.05, lambda: self._answer_caller(url, fields, document))

    def _answer_caller(self, url: str, fields: dict[str, str], document: int) -> None:
        if self.document != document or not self.live:
            return
        answer = self._post(url, **fields)
        if self.document != document or not self.live:
            return
        if answer is None:  # a retry: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
            self._later(1.0, lambda: self._answer_caller(url, fields, document))
            return
        self._begin(parse(answer, url=url))

    def _start_waiting(self) -> None:
        if self.waited_from is None:
            self.waited_from = self.world.timeline.now

    def _stop_waiting(self) -> None:
        if self.waited_from is not None:
            self.longest_wait = max(self.longest_wait, self.world.timeline.now - self.waited_from)
            self.waited_from = None

    def _over(self, fate: str) -> None:
        self.live = False
        self._stop_waiting()
        said = self.heard[-1] if self.heard else ""
        self.fate = f"{fate}: {said}"
        self._later(0.1, lambda: self._post("/voice/call-status", CallStatus="completed"))


def _ring_of(action: str) -> str:
    query = parse_qs(urlsplit(action).query)
    return f"{query.get('request', ['-'])[0]}/{query.get('hop', ['-'])[0]}"


def _dialled(verb: Element, now: float) -> Any:
    return Dialled(verb.children[0].text, verb.get("action"), now)
