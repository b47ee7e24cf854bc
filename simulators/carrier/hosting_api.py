"""The Serverless API of https://www.twilio.com/docs/serverless/api, as much of it as hosts static files.

Uploads go to serverless-upload.twilio.com, everything else to serverless.twilio.com; their paths do not collide.
Lists are newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from aiohttp import web

from simulators.carrier.api import ApiError, form_of, not_found, page_v1, required
from simulators.carrier.hosting import (
    Asset,
    AssetVersion,
    Build,
    Deployment,
    Environment,
    Hosting,
    Page,
    Record,
    Service,
)

# https://www.twilio.com/docs/serverless/api/resource/asset-version: public and protected ones; private ones 10 MB.
CONTENT_LIMIT: Final = 25 * 1024 * 1024
_SERVICES: Final = "/v1/Services"
_Kind = TypeVar("_Kind", bound=Record)


class HostingApi:
    """Routes to one account's hosting."""

    def __init__(self, hosting: Hosting, account_sid: str) -> None:
        self._hosting = hosting
        self._account_sid = account_sid

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve it."""
        one = _SERVICES + "/{service}"
        self._add(router, _SERVICES, "services", self._create_service, lambda _: self._hosting.services)
        router.add_get(one, self._fetch_service)
        router.add_delete(one, self._delete_service)
        kinds: list[tuple[str, str, Callable[..., Any], Callable[[web.Request], Mapping[str, Record]]]] = [
            ("/Environments", "environments", self._create_environment, lambda r: self._service(r).environments),
            ("/Assets", "assets", self._create_asset, lambda r: self._service(r).assets),
            ("/Assets/{asset}/Versions", "asset_versions", self._create_version, self._versions),
            ("/Builds", "builds", self._create_build, lambda r: self._service(r).builds),
            (
                "/Environments/{environment}/Deployments",
                "deployments",
                self._create_deployment,
                lambda r: self._environment(r).deployments,
            ),
        ]
        for path, key, create, records in kinds:
            self._add(router, one + path, key, create, records)
            router.add_get(f"{one}{path}/{{record}}", self._fetcher(records))
        for path, records in ((path, records) for path, key, _, records in kinds if key in {"environments", "assets"}):
            router.add_delete(f"{one}{path}/{{record}}", self._deleter(records))
        router.add_get(one + "/Builds/{record}/Status", self._build_status)

    def _add(
        self,
        router: web.UrlDispatcher,
        path: str,
        key: str,
        create: Callable[..., Any],
        records: Callable[[web.Request], Mapping[str, Record]],
    ) -> None:
        async def listed(request: web.Request) -> web.Response:
            return page_v1(request, key, [self._json(record) for record in [*records(request).values()][::-1]])

        async def created(request: web.Request) -> web.Response:
            return web.json_response(self._json(await create(request)), status=201)

        router.add_get(path, listed)
        router.add_post(path, created)

    def _fetcher(self, records: Callable[[web.Request], Mapping[str, Record]]) -> Callable[..., Any]:
        async def fetched(request: web.Request) -> web.Response:
            record = _find(request, "record", records(request))
            if isinstance(record, Build):
                record.look()
            return web.json_response(self._json(record))

        return fetched

    def _deleter(self, records: Callable[[web.Request], Any]) -> Callable[..., Any]:
        async def deleted(request: web.Request) -> web.Response:
            of_kind = records(request)
            del of_kind[_find(request, "record", of_kind).sid]
            return web.Response(status=204)

        return deleted

    # What a path names.

    def _service(self, request: web.Request) -> Service:
        service = self._hosting.service(request.match_info["service"])
        if service is None:
            raise not_found(request)
        return service

    def _environment(self, request: web.Request) -> Environment:
        return _find(request, "environment", self._service(request).environments)

    def _versions(self, request: web.Request) -> Mapping[str, AssetVersion]:
        service = self._service(request)
        asset = _find(request, "asset", service.assets)
        return {sid: version for sid, version in service.versions.items() if version.asset_sid == asset.sid}

    # What is done to it.

    async def _fetch_service(self, request: web.Request) -> web.Response:
        return web.json_response(self._json(self._service(request)))

    async def _delete_service(self, request: web.Request) -> web.Response:
        del self._hosting.services[self._service(request).sid]
        return web.Response(status=204)

    async def _build_status(self, request: web.Request) -> web.Response:
        build = _find(request, "record", self._service(request).builds)
        build.look()
        shown = build.shown(self._account_sid, status=build.status)
        return web.json_response({name: shown[name] for name in ("sid", "account_sid", "service_sid", "status", "url")})

    async def _create_service(self, request: web.Request) -> Service:
        form = await form_of(request)
        return self._hosting.create_service(required(form, "UniqueName", 50), required(form, "FriendlyName", 255))

    async def _create_environment(self, request: web.Request) -> Environment:
        form = await form_of(request)
        suffix = form.get("DomainSuffix", "")
        if len(suffix) > 16:
            raise ApiError(400, 20001, "DomainSuffix must be at most 16 characters long")
        return self._hosting.create_environment(self._service(request), required(form, "UniqueName", 100), suffix)

    async def _create_asset(self, request: web.Request) -> Asset:
        form = await form_of(request)
        return self._hosting.create_asset(self._service(request), required(form, "FriendlyName", 255))

    async def _create_version(self, request: web.Request) -> AssetVersion:
        service = self._service(request)
        asset = _find(request, "asset", service.assets)
        if request.content_type != "multipart/form-data":
            raise ApiError(400, 20001, "A version is uploaded as multipart/form-data")
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        content = form.get("Content")
        if not isinstance(content, web.FileField):
            raise ApiError(400, 20001, "Missing required parameter Content in the post body")
        return self._hosting.create_version(
            service,
            asset,
            path=required(fields, "Path", 255),
            visibility=required(fields, "Visibility", 16),
            content=Page(200, content.content_type, content.file.read()),
        )

    async def _create_build(self, request: web.Request) -> Build:
        form = await form_of(request)
        return self._hosting.create_build(self._service(request), form.get("AssetVersions", "").split())

    async def _create_deployment(self, request: web.Request) -> Deployment:
        form = await form_of(request)
        environment = self._environment(request)
        return self._hosting.create_deployment(self._service(request), environment, form.get("BuildSid", ""))

    # What is shown of it.

    def _json(self, record: Record) -> dict[str, Any]:
        match record:
            case Service():
                own = {
                    "unique_name": record.unique_name,
                    "friendly_name": record.friendly_name,
                    "domain_base": record.domain_base,
                    "include_credentials": True,
                    "ui_editable": False,
                    "links": _links(record, "environments", "functions", "assets", "builds"),
                }
            case Environment():
                own = {
                    "unique_name": record.unique_name,
                    "domain_suffix": record.domain_suffix or None,
                    "domain_name": record.domain_name,
                    "build_sid": record.build.sid if record.build else None,
                    "links": _links(record, "variables", "deployments", "logs"),
                }
            case Asset():
                links = {"asset_versions": f"{record.url}/Versions"}
                own = {"friendly_name": record.friendly_name, "links": links}
            case AssetVersion():
                own = {"asset_sid": record.asset_sid, "path": record.at, "visibility": record.visibility}
            case Build():
                own = {
                    "status": record.status,
                    "asset_versions": [self._json(version) for version in record.versions],
                    "function_versions": [],
                    "dependencies": [],
                    "runtime": "node22",
                    "links": {"build_status": f"{record.url}/Status"},
                }
            case Deployment():
                own = {
                    "environment_sid": record.path.split("/")[2],
                    "build_sid": record.build.sid if record.build else None,
                }
            case _:
                raise AssertionError("no other kind of record is kept")
        return record.shown(self._account_sid, **own)


def _find(request: web.Request, part: str, records: Mapping[str, _Kind]) -> _Kind:
    record = records.get(request.match_info[part])
    if record is None:
        raise not_found(request)
    return record


def _links(record: Record, *names: str) -> dict[str, str]:
    return {name: f"{record.url}/{name.capitalize()}" for name in names}
