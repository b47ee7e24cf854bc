"""Requests in a storm: copies, overlaps, faults and kills, in virtual time.

`python -m tests.functions.storm R21 10000` prints one JSON object: how many
requests, how many were dialled twice, how many never.
"""

from __future__ import annotations

import json
import random
import sys

from tests.functions.world import Fault, World

AMBIGUOUS = [Fault.ACCEPTED_THEN_TIMEOUT, Fault.ACCEPTED_LATE, Fault.ACCEPTED_THEN_500]
MIXED = [*AMBIGUOUS, Fault.LOST_THEN_TIMEOUT, Fault.LOST_THEN_500, Fault.THROTTLED]


def stormy_world(
    seed: int, kill_chance: float, *, legs_report: bool = True, asks: bool = True, listing_fails: bool = True
) -> World:
    rng = random.Random(seed)
    world = World(rng)
    world.kill_chance = kill_chance
    world.legs_report = legs_report and rng.random() < 0.5
    world.open_call()
    request = world.request()
    if rng.random() < 0.8:
        world.ledger.ask_transfer(request)
    world.carrier.faults = [rng.choice(MIXED) for _ in range(rng.randrange(4)) if rng.random() < 0.7]
    world.carrier.listing_faults = rng.choice([0, 0, 0, 1, 12]) if listing_fails else 0
    for _ in range(rng.randint(1, 5)):
        world.deliver(request.to_json(), after=rng.choice([0.0, 0.01, rng.uniform(0, 2), rng.uniform(0, 30)]))
    if asks and rng.random() < 0.6:
        world.twilio_asks(after=rng.choice([0.0, 8.0, rng.uniform(0, 12)]))
    return world


def doubled_and_lost(seeds: range, kill_chance: float) -> tuple[int, int]:
    doubled = lost = 0
    for seed in seeds:
        world = stormy_world(seed, kill_chance)
        world.timeline.run(240)
        world.kill_chance = 0.0
        world.timeline.run()
        doubled += len(world.carrier.dials) > 1
        lost += not world.carrier.dials
    return doubled, lost


KILLS = {"R18": 0.0, "R21": 0.06, "R22": 0.0}
"""How likely each call to the outside is the invocation's last, by row."""


def main(row: str, runs: str) -> None:
    """Let a row's storms pass."""
    first = 1_000_000 * (1 + list(KILLS).index(row))
    doubled, lost = doubled_and_lost(range(first, first + int(runs)), KILLS[row])
    print(json.dumps({"runs": int(runs), "doubled": doubled, "lost": lost}))  # noqa: T201 - the program's output


if __name__ == "__main__":
    main(*sys.argv[1:])
