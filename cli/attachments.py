"""What attached numbers pointed at before: one Systems Manager parameter a number, written before the number changes.

The parameter is `/patchthrough/<stage>/numbers/<PN…>`: `{"number": "+1…", "previous": {…}, "ours": [URLs]}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from cli.deployment import Deployment, asking_aws, code_of
from cli.errors import CommandError

FIELDS = (
    "voice_url",
    "voice_method",
    "voice_fallback_url",
    "voice_fallback_method",
    "status_callback",
    "status_callback_method",
    "voice_application_sid",
    "trunk_sid",
)
"""What `attach` changes of https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource."""
_MAX_OURS = 12


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """One number: its `previous` fields, and the URLs of ours that it was given (a new stack has new ones)."""

    sid: str
    number: str
    previous: Mapping[str, str]
    ours: tuple[str, ...] = ()

    def with_ours(self, urls: tuple[str, ...]) -> Attachment:
        """The same, knowing these URLs to be ours as well."""
        known = (*(url for url in self.ours if url not in urls), *urls)
        return replace(self, ours=known[-_MAX_OURS:])


class Attachments:
    """The remembered numbers of one deployment. Every method raises `CommandError` if AWS cannot be asked."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._path = f"/patchthrough/{deployment.settings.stage}/numbers/"

    @property
    def _ssm(self) -> Any:
        return self._deployment.aws("ssm")

    def all(self) -> list[Attachment]:
        """Every attached number, by number."""
        with asking_aws(f"parameters {self._path}"):
            pages = self._ssm.get_paginator("get_parameters_by_path").paginate(Path=self._path)
            found = [self._read(one["Name"], one["Value"]) for page in pages for one in page["Parameters"]]
        return sorted(found, key=lambda one: one.number)

    def get(self, sid: str) -> Attachment | None:
        """One number's, by its SID; None if it is not attached."""
        name = self._path + sid
        value = self._deployment.parameter(name)
        return None if value is None else self._read(name, value)

    def put(self, attachment: Attachment) -> None:
        """Remember a number; what is remembered of it already gives way."""
        content = {
            "number": attachment.number,
            "previous": dict(attachment.previous),
            "ours": list(attachment.ours),
        }
        name = self._path + attachment.sid
        with asking_aws(f"parameter {name}"):
            self._ssm.put_parameter(Name=name, Value=json.dumps(content), Type="String", Overwrite=True)

    def forget(self, sid: str) -> None:
        """Forget a number; one that is not remembered is no error."""
        name = self._path + sid
        with asking_aws(f"parameter {name}"):
            try:
                self._ssm.delete_parameter(Name=name)
            except ClientError as error:
                if code_of(error) != "ParameterNotFound":
                    raise

    def _read(self, name: str, value: str) -> Attachment:
        try:
            content = json.loads(value)
            return Attachment(
                sid=name.removeprefix(self._path),
                number=str(content["number"]),
                previous={field: content["previous"].get(field) or "" for field in FIELDS},
                ours=tuple(content["ours"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            fix = "delete it, and correct the number by hand at https://console.twilio.com"
            raise CommandError(f"parameter {name}", "it was changed by hand and cannot be read", fix) from None
