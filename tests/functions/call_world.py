"""A world with a whole exchange in it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from contracts.transfer import Reason
from tests.functions.exchange import Exchange
from tests.functions.world import ORIGIN, World


class CallWorld(World):
    """A world with a whole exchange."""

    def __init__(self, rng: random.Random | None = None, *, max_lag: float = 3.0) -> None:
        self.reports_lost = False
        super().__init__(rng, max_lag=max_lag)

    def make_carrier(self) -> Any:
        self.exchange = Exchange(self, self)
        return self.exchange

    def leg_appears(self, sid: str, action: str) -> None:
        """Nothing: the exchange reports by itself."""

    def asks_for(self, destination: str, reason: Reason = Reason.CALLER_ASKED) -> str:
        """The caller asks, the agent agrees: the ledger and the queue are told."""
        request = replace(self.request(destination), reason=reason)
        self.ledger.ask_transfer(request)
        self.deliver(request.to_json())
        return request.request_id

    def stream_ends(self, after: float, visit: int = 1) -> None:
        """The relay is gone: Twilio asks what next."""

        def ask() -> None:
            if self.exchange.fate == "with the agent" and self.exchange.live:
                self.exchange.stream_ends(f"{ORIGIN}/voice/stream-ended?visit={visit}")

        self.timeline.at(after, ask)
