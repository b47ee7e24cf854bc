"""What is wrong with the cloud, switched while it runs: a service that answers 503, or late, or acts and then does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Final, NamedTuple

App = Callable[[dict[str, Any], Any], Iterable[bytes]]

# How each service's requests name their operation: https://docs.aws.amazon.com/general/latest/gr/rande.html lists the
# services, the JSON protocol's header is described in https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
_TARGETS: Final = {"ledger": "DynamoDB", "queue": "AmazonSQS", "secrets": "secretsmanager"}
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_BODY: Final = json.dumps({"__type": "ServiceUnavailable", "message": "The service is unavailable."}).encode()


class Trouble(NamedTuple):
    """What one request meets: seconds `before` it is carried out and `after`, or a 503's body instead."""

    before: float
    refusal: bytes | None
    after: float


class Troubles:
    """`down` names the services that answer 503, `late` those that wait so many seconds first.

    Those in `tardy` carry everything out at once, and keep every third answer back for so many seconds.
    """

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.late: dict[str, float] = {}
        self.tardy: dict[str, float] = {}
        self._asked = count()

    def of(self, target: str) -> Trouble:
        """What a request with this `X-Amz-Target` meets."""
        service = next((name for name, prefix in _TARGETS.items() if target.startswith(prefix)), "")
        tardy = self.tardy.get(service, 0)
        after = tardy if tardy and next(self._asked) % 3 == 0 else 0
        return Trouble(self.late.get(service, 0), _BODY if service in self.down else None, after)

    def around(self, app: App) -> App:
        """The application with its troubles."""

        def troubled(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            trouble = self.of(str(environ.get("HTTP_X_AMZ_TARGET", "")))
            time.sleep(trouble.before)
            if trouble.refusal:
                start_response("503 Service Unavailable", [("Content-Type", CONTENT_TYPE)])
                return [trouble.refusal]
            answer = app(environ, start_response)
            time.sleep(trouble.after)
            return answer

        return troubled
