"""Which relays live, and with which calls: one item a relay in the ledger's table, and one that lists the relays.

A beat is a counter that moves while its relay does. Nobody compares clocks: whoever reads an item watches by its own
clock how long the counter stands still. The item is written once a beat, however many calls there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.row import AttributeValue
from contracts.store import Client

BEAT_SECONDS = 3600  # how long the item of a relay that has stopped is kept
_LIST = {"call_sid": {"S": "relays"}}
_OCTETS = 18  # of a call: 16 of its SID, 2 of the visit's number; a hundred calls are two write units


class MalformedBeat(ValueError):  # noqa: N818 - it names what is wrong with the item
    """An item is no beat: another version of this program wrote it, or somebody by hand."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a relay says of itself. `number` counts on; `calls` are CallSid and visit; `capacity` in calls."""

    relay: str
    number: int
    calls: Sequence[tuple[str, int]]
    capacity: int


class Heartbeats:
    """The beats of all relays in the table `table`, behind a low-level DynamoDB client whose errors pass through.

    Args:
        client: the same as the ledger's.
        table: the ledger's table.
        now: seconds since the epoch, for the TTL alone.
    """

    def __init__(self, client: Client, table: str, now: Callable[[], float]) -> None:
        self._client = client
        self._table = table
        self._now = now

    def beat(self, beat: Beat) -> None:
        """Write a relay's own item."""
        self._update(
            {"call_sid": {"S": f"relay#{beat.relay}"}},
            "SET beat = :beat, calls = :calls, live = :live, max_calls = :most, expires_at = :expires",
            {
                ":beat": {"N": str(beat.number)},
                ":calls": {"B": b"".join(map(_pack, beat.calls))},
                ":live": {"N": str(len(beat.calls))},
                ":most": {"N": str(beat.capacity)},
                ":expires": {"N": str(int(self._now()) + BEAT_SECONDS)},
            },
        )

    def enlist(self, relay: str) -> None:
        """Have the others read this relay's item."""
        self._update(_LIST, "ADD relays :relay", {":relay": {"SS": [relay]}})

    def strike(self, relay: str) -> None:
        """Have nobody read it any more: it has left in order, or its calls have been taken."""
        self._update(_LIST, "DELETE relays :relay", {":relay": {"SS": [relay]}})

    def listed(self) -> frozenset[str]:
        """The relays whose items are read."""
        return frozenset(self._get(_LIST).get("relays", {}).get("SS", ()))

    def read(self, relay: str) -> Beat | None:
        """A relay's last beat; None if it has none.

        Raises:
            MalformedBeat: there is an item that is none.
        """
        item = self._get({"call_sid": {"S": f"relay#{relay}"}})
        if not item:
            return None
        try:
            octets = bytes(item["calls"]["B"])
            calls = [_unpack(octets[at : at + _OCTETS]) for at in range(0, len(octets), _OCTETS)]
            return Beat(relay, int(item["beat"]["N"]), calls, int(item["max_calls"]["N"]))
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedBeat(f"the item of relay {relay}") from error

    def _get(self, key: Mapping[str, AttributeValue]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return found.get("Item") or {}

    def _update(self, key: Mapping[str, AttributeValue], expression: str, values: Mapping[str, AttributeValue]) -> None:
        self._client.update_item(
            TableName=self._table, Key=key, UpdateExpression=expression, ExpressionAttributeValues=values
        )


def _pack(call: tuple[str, int]) -> bytes:
    call_sid, visit = call
    return bytes.fromhex(call_sid.removeprefix("CA")) + visit.to_bytes(2, "big")


def _unpack(octets: bytes) -> tuple[str, int]:
    return f"CA{octets[:16].hex()}", int.from_bytes(octets[16:], "big")
