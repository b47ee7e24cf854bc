"""A strict stand-in for Twilio: calls, TwiML, Media Streams, the REST API, signatures, and a debugger's log."""

from __future__ import annotations

from simulators.carrier.account import Account
from simulators.carrier.call import Call, Number
from simulators.carrier.callees import Callee
from simulators.carrier.callers import (
    BadScript,
    HangsUp,
    Hears,
    Interrupts,
    Listens,
    MeetsPerson,
    Presses,
    Says,
    ScriptedCaller,
    Waits,
)
from simulators.carrier.carrier import Carrier
from simulators.carrier.faults import Fault, Request
from simulators.carrier.line import Line, LineDropped
from simulators.carrier.numbers import Numbers
from simulators.carrier.variants import Variants

__all__ = [
    "Account",
    "BadScript",
    "Call",
    "Callee",
    "Carrier",
    "Fault",
    "HangsUp",
    "Hears",
    "Interrupts",
    "Line",
    "LineDropped",
    "Listens",
    "MeetsPerson",
    "Number",
    "Numbers",
    "Presses",
    "Request",
    "Says",
    "ScriptedCaller",
    "Variants",
    "Waits",
]
