"""A proxy before an emulator that runs elsewhere: it brings the troubles over what passes."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from simulators.cloud.troubles import CONTENT_TYPE, Troubles

_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_ANSWER_SECONDS = aiohttp.ClientTimeout(total=30)


class TroubledCloud:
    """Passes requests on to the endpoint `behind`, with `troubles`."""

    def __init__(self, behind: str, troubles: Troubles) -> None:
        self._behind = behind
        self._troubles = troubles
        self._runner: web.ServerRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> str:
        """Listen on a free port; returns the endpoint URL."""
        self._client = aiohttp.ClientSession(
            timeout=_ANSWER_SECONDS, connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        server = web.Server(self._pass_on, access_log=None)
        self._runner = runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner:
            await self._runner.cleanup()
        if self._client:
            await self._client.close()

    async def _pass_on(self, request: web.BaseRequest) -> web.Response:
        body, url = await request.read(), f"{self._behind}{request.raw_path}"  # before the client gives up
        trouble = self._troubles.of(request.headers.get("X-Amz-Target", ""))
        await asyncio.sleep(trouble.before)
        if trouble.refusal:
            return web.Response(status=503, body=trouble.refusal, content_type=CONTENT_TYPE)
        assert self._client, "it was started"
        async with self._client.request(request.method, url, headers=request.headers, data=body) as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON]
            answered = web.Response(status=answer.status, headers=dict(kept), body=await answer.read())
        await asyncio.sleep(trouble.after)
        return answered
