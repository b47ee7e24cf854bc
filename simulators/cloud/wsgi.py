"""A WSGI application behind a free port of the loopback interface, in a thread of its own."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class LoopbackServer:
    """Serves one application at a time; `name` is its thread's, `handler` answers each request."""

    def __init__(self, name: str, handler: type[WSGIRequestHandler]) -> None:
        self._name = name
        self._handler = handler
        self._running: tuple[BaseWSGIServer, Thread] | None = None

    def start(self, app: WSGIApplication) -> str:
        """Listen on a free port; returns the endpoint URL."""
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=self._handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name=self._name)
        thread.start()
        self._running = server, thread
        return f"http://127.0.0.1:{server.port}"

    def stop(self) -> None:
        """Stop listening and wait until the socket and the thread are gone. Idempotent."""
        if self._running:
            (server, thread), self._running = self._running, None
            server.shutdown()
            thread.join()
            server.server_close()
