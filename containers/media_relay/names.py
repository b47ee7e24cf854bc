"""Where a host is, also while the resolver fails: the last good addresses are kept."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

PATIENCE = 0.5  # seconds for the resolver, where an earlier answer is known

Resolve = Callable[[str], Awaitable[list[str]]]


async def resolve(host: str) -> list[str]:
    """The addresses of `host`, as the system orders them; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Names:
    """What is known of every host that was asked for. One for the process, whose calls share a lookup under way."""

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, list[str]] = {}
        self._asking: dict[str, asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """The addresses now, or the last ones if the resolver fails or is slow; raises OSError if there are none."""
        known, asking = self._known.get(host), self.ask(host)
        try:
            # Python 3.11's `wait_for` can swallow a cancellation, and a call that is over would go on connecting.
            async with asyncio.timeout(PATIENCE if known else None):
                return await asyncio.shield(asking)
        except OSError:  # a TimeoutError is one, too
            if known:
                return known
            raise

    def ask(self, host: str) -> asyncio.Task[list[str]]:
        """Have `host` looked up, without waiting for it."""
        if host not in self._asking:
            self._asking[host] = task = asyncio.get_running_loop().create_task(self._look_up(host))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting for it
        return self._asking[host]

    async def _look_up(self, host: str) -> list[str]:
        try:
            self._known[host] = await self._resolve(host)
        finally:
            del self._asking[host]
        return self._known[host]
