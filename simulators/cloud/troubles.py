"""What is wrong with the cloud, switched while it runs: a service that answers 503, or answers late."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

App = Callable[[dict[str, Any], Any], Iterable[bytes]]

# How each service's requests name their operation: https://docs.aws.amazon.com/general/latest/gr/rande.html lists the
# services, the JSON protocol's header is described in https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
_TARGETS: Final = {"ledger": "DynamoDB", "queue": "AmazonSQS", "secrets": "secretsmanager"}
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_BODY: Final = json.dumps({"__type": "ServiceUnavailable", "message": "The service is unavailable."}).encode()


class Troubles:
    """`down` names the services that answer 503, `late` those that wait so many seconds first."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.late: dict[str, float] = {}

    def of(self, target: str) -> tuple[float, bytes | None]:
        """How late a request is answered, in seconds, and its 503's body; None: it goes through.

        `target` is its `X-Amz-Target`.
        """
        service = next((name for name, prefix in _TARGETS.items() if target.startswith(prefix)), "")
        return self.late.get(service, 0), _BODY if service in self.down else None

    def around(self, app: App) -> App:
        """The application with its troubles."""

        def troubled(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            late, refusal = self.of(str(environ.get("HTTP_X_AMZ_TARGET", "")))
            time.sleep(late)
            if refusal:
                start_response("503 Service Unavailable", [("Content-Type", CONTENT_TYPE)])
                return [refusal]
            return app(environ, start_response)

        return troubled
