"""Twilio's own hosting of static files: what is uploaded, built, deployed and served.

https://www.twilio.com/docs/serverless/api: a service holds assets, an asset has versions, a build puts versions
together, a deployment shows a build in an environment, and the environment's domain serves it. A request that cannot be
granted changes nothing. A conflict is 409 with 20409; texts of refusals are those users of the API have quoted, if any
(https://github.com/RJPearson94/terraform-provider-twilio/issues/78, https://github.com/twilio/twilio-cli/issues/215).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from simulators.carrier.api import ApiError, iso8601
from simulators.carrier.exchange import new_sid

API: Final = "https://serverless.twilio.com/v1/Services"
DOMAIN: Final = ".twil.io"
# What a number that was just bought asks.
DEMO_URL: Final = "https://demo.twilio.com/welcome/voice/"
VISIBILITIES: Final = frozenset({"public", "protected", "private"})
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_DEMO: Final = b"<Response><Say>Thanks for trying our documentation. Enjoy!</Say></Response>"


@dataclass(frozen=True, slots=True)
class Page:
    """What a host answers: an HTTP status, and a body with its content type."""

    status: int
    content_type: str = "text/plain"
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Record:
    """What all resources of a service have; `path` is where under the API's services it is found."""

    sid: str
    path: str
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def url(self) -> str:
        """Its absolute address."""
        return f"{API}/{self.path}"

    def shown(self, account_sid: str, **own: Any) -> dict[str, Any]:
        """Its representation; those below a service name the service."""
        at = iso8601(self.created_at)
        shown = {"sid": self.sid, "account_sid": account_sid, "date_created": at, "date_updated": at, "url": self.url}
        if "/" in self.path:
            shown["service_sid"] = self.path.partition("/")[0]
        return shown | own


@dataclass(slots=True, kw_only=True)
class Asset(Record):
    """A file with a history."""

    friendly_name: str


@dataclass(slots=True, kw_only=True)
class AssetVersion(Record):
    """A file's content, and the path it is served at."""

    asset_sid: str
    at: str
    visibility: str
    content: Page


@dataclass(slots=True, kw_only=True)
class Build(Record):
    """Versions put together; it takes `looks` more looks at it until it is completed or has failed."""

    versions: list[AssetVersion]
    looks: int
    outcome: Literal["completed", "failed"]

    @property
    def status(self) -> str:
        """`building`, `completed` or `failed`."""
        return "building" if self.looks else self.outcome

    def look(self) -> None:
        """Somebody fetches it: time goes by."""
        self.looks = max(0, self.looks - 1)


@dataclass(slots=True, kw_only=True)
class Deployment(Record):
    """A build shown in an environment; none, if the environment was emptied."""

    build: Build | None


@dataclass(slots=True, kw_only=True)
class Environment(Record):
    """A domain and its deployments, oldest first."""

    unique_name: str
    domain_suffix: str
    domain_name: str
    deployments: dict[str, Deployment] = field(default_factory=dict)

    @property
    def build(self) -> Build | None:
        """The build that is served."""
        return next(reversed(self.deployments.values())).build if self.deployments else None


@dataclass(slots=True, kw_only=True)
class Service(Record):
    """Everything of one project; its resources by SID, oldest first."""

    unique_name: str
    friendly_name: str
    domain_base: str
    environments: dict[str, Environment] = field(default_factory=dict)
    assets: dict[str, Asset] = field(default_factory=dict)
    versions: dict[str, AssetVersion] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)


class Hosting:
    """All services of one account.

    Attributes:
        services: By SID, oldest first.
        build_looks: How often a new build is seen building before it is done.
        build_outcome: What becomes of new builds.
    """

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}
        self.build_looks = 1
        self.build_outcome: Literal["completed", "failed"] = "completed"

    def service(self, name: str) -> Service | None:
        """The service with this SID or unique name."""
        named = (service for service in self.services.values() if service.unique_name == name)
        return self.services.get(name) or next(named, None)

    def create_service(self, unique_name: str, friendly_name: str) -> Service:
        """Raises ApiError: 20001 for a name no domain can have, 20409 if the account has it already."""
        _check_name("UniqueName", unique_name)
        if self.service(unique_name):
            raise ApiError(409, 20409, "Service with this UniqueName already exists.")
        sid = new_sid("ZS")
        base = f"{unique_name.lower()}-{random.randrange(1000, 10000)}"
        made = Service(sid=sid, path=sid, unique_name=unique_name, friendly_name=friendly_name, domain_base=base)
        self.services[sid] = made
        return made

    def create_environment(self, service: Service, unique_name: str, suffix: str) -> Environment:
        """Raises ApiError: 20001 for a suffix no domain can have, 20409 if name or suffix are taken."""
        if suffix:
            _check_name("DomainSuffix", suffix)
        for other in service.environments.values():
            if other.unique_name == unique_name or other.domain_suffix == suffix:
                raise ApiError(409, 20409, "Environment with this UniqueName or DomainSuffix already exists.")
        sid = new_sid("ZE")
        domain = service.domain_base + (f"-{suffix.lower()}" if suffix else "") + DOMAIN
        made = Environment(
            sid=sid,
            path=f"{service.sid}/Environments/{sid}",
            unique_name=unique_name,
            domain_suffix=suffix,
            domain_name=domain,
        )
        service.environments[sid] = made
        return made

    def create_asset(self, service: Service, friendly_name: str) -> Asset:
        """A file without a content yet."""
        sid = new_sid("ZH")
        made = Asset(sid=sid, path=f"{service.sid}/Assets/{sid}", friendly_name=friendly_name)
        service.assets[sid] = made
        return made

    def create_version(
        self, service: Service, asset: Asset, *, path: str, visibility: str, content: Page
    ) -> AssetVersion:
        """Raises ApiError: 20001 for an unknown visibility."""
        if visibility not in VISIBILITIES:
            raise ApiError(400, 20001, f"Visibility must be one of {', '.join(sorted(VISIBILITIES))}")
        sid = new_sid("ZN")
        made = AssetVersion(
            sid=sid,
            path=f"{asset.path}/Versions/{sid}",
            asset_sid=asset.sid,
            at=path if path.startswith("/") else f"/{path}",
            visibility=visibility,
            content=content,
        )
        service.versions[sid] = made
        return made

    def create_build(self, service: Service, version_sids: Sequence[str]) -> Build:
        """Raises ApiError: 20001 for no, unknown or contradictory versions."""
        if not version_sids:
            raise ApiError(400, 20001, "At least one Function Version or Asset Version is required for Build.")
        versions: list[AssetVersion] = []
        for sid in version_sids:
            if sid not in service.versions:
                raise ApiError(400, 20001, f"Asset Version {sid} was not found.")
            version = service.versions[sid]
            for other in versions:
                if other.asset_sid == version.asset_sid:
                    what = "Different Asset Versions for same Asset."
                    raise ApiError(400, 20001, f"{what} Conflicting SIDs: {other.sid} and {sid}.")
                if other.at == version.at:
                    raise ApiError(400, 20001, f"Conflicting paths: {version.at}")
            versions.append(version)
        sid = new_sid("ZB")
        path = f"{service.sid}/Builds/{sid}"
        made = Build(sid=sid, path=path, versions=versions, looks=self.build_looks, outcome=self.build_outcome)
        service.builds[sid] = made
        return made

    def create_deployment(self, service: Service, environment: Environment, build_sid: str) -> Deployment:
        """Show a build, or with "" nothing.

        Raises:
            ApiError: 20001 for an unknown build or one that is not completed, 20409 for the one already shown.
        """
        build = service.builds.get(build_sid)
        if build is None and build_sid:
            raise ApiError(400, 20001, f"Build {build_sid} was not found.")
        if build is not None and build.status != "completed":
            raise ApiError(400, 20001, f"Build {build_sid} is not completed, its status is {build.status}.")
        if build is environment.build:
            raise ApiError(409, 20409, "Environment already has requested deployment.")
        sid = new_sid("ZD")
        made = Deployment(sid=sid, path=f"{environment.path}/Deployments/{sid}", build=build)
        environment.deployments[sid] = made
        return made

    def page(self, url: str, method: str, *, is_twilio: bool = True) -> Page | None:
        """What is served at a URL; None if Twilio does not host that.

        Whoever `is_twilio` signs requests and so sees protected assets too
        (https://www.twilio.com/docs/serverless/functions-assets/assets). A static file is for GET and HEAD: not
        documented, taken from how content networks behave; a fallback that is asked by POST would not be one.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if url.partition("?")[0] == DEMO_URL:
            return Page(200, "text/xml", _DEMO)
        if not host.endswith(DOMAIN):
            return None
        versions = self._deployed(host)
        found = next((one for one in versions if one.at == unquote(parts.path) and one.visibility != "private"), None)
        if found is None:
            return Page(404)
        if method not in {"GET", "HEAD"}:
            return Page(405)
        return found.content if is_twilio or found.visibility == "public" else Page(403)

    def _deployed(self, host: str) -> list[AssetVersion]:
        for service in self.services.values():
            for environment in service.environments.values():
                if environment.domain_name == host and environment.build:
                    return environment.build.versions
        return []


def _check_name(field_name: str, value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ApiError(400, 20001, f"{field_name} may have letters, digits, '-' and '_' alone: {value}")
