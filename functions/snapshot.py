"""What a snapshot of a started function holds (Lambda SnapStart), and what each copy that resumes from it makes anew.

Held: everything imported, the agent file, the clients with their service descriptions and TLS contexts. Made anew:
sockets, which are dead by the time a copy wakes; secrets, which may have been replaced meanwhile; the state of
`random`, which all copies would share. Tokens and identifiers come from the system's random numbers, which no snapshot
copies: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from functions.secrets import Secret

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Started:
    """A function that takes requests. `secrets` and `clients` are all that it reads and asks."""

    handle: Handler
    secrets: Sequence[Secret]
    clients: Sequence[Any]

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Handle one request."""
        return self.handle(event, context)

    def renew(self) -> None:
        """Part from the snapshot: forget its secrets, close its sockets (a client opens others), reseed `random`."""
        random.seed()
        for secret in self.secrets:
            secret.forget()
        for client in self.clients:
            client.close()


def register(start: Callable[[], Started]) -> None:
    """Have `start` called before the snapshot, and the function it gives, always the same, renewed in each copy.

    A function that cannot start fails the deployment then, not the first caller. Outside Lambda nothing happens:
    https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    """
    try:
        hooks: Any = importlib.import_module("snapshot_restore_py")
    except ModuleNotFoundError:
        return
    hooks.register_before_snapshot(start)
    hooks.register_after_restore(lambda: start().renew())
