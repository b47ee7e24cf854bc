"""How long a claim on a dial holds, derived from what can be in flight under it.

A lease must outlive a REST request that was sent and the time Twilio may take to list its child leg; a shorter one
dials twice (see docs/decisions). The real lag can only be measured on live calls, so it is a setting.
"""

from __future__ import annotations

REST_TIMEOUT_SECONDS = 2.0
POLL_SECONDS = 0.5
VISIBILITY_LAG_SECONDS = 4.0
MARGIN_SECONDS = 2.0


def lease_seconds(lag: float = VISIBILITY_LAG_SECONDS) -> float:
    """The lease for a visibility lag: a request's connect and read timeouts, the lag, and a margin."""
    return 2 * REST_TIMEOUT_SECONDS + lag + MARGIN_SECONDS


def round_seconds(lag: float = VISIBILITY_LAG_SECONDS) -> float:
    """The longest that one dial takes: a look before, the update, looks for as long as its leg may hide, and a margin.

    An invocation with less left does not begin one: a function that is killed cannot say when its message shall come
    back, and the queue would hide it for minutes.
    """
    look = 2 * REST_TIMEOUT_SECONDS
    return look + 2 * REST_TIMEOUT_SECONDS + lag + POLL_SECONDS + look + MARGIN_SECONDS
