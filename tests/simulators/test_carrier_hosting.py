"""Twilio's hosting of static files: the Serverless API through Twilio's own client, and calls that reach a file."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException

from simulators.carrier import Carrier, Number, ScriptedCaller
from simulators.carrier.api import ApiError
from simulators.carrier.hosting import DEMO_URL, Hosting, Page
from tests.simulators.carrier_peers import ACCOUNT, CALLER, GUARD, NUMBER, TOKEN, moved_client, world

if TYPE_CHECKING:
    from collections.abc import Callable

    from twilio.rest import Client

TWIML = b"<Response><Say>All agents are busy</Say></Response>"


async def ask(work: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
    return await asyncio.to_thread(functools.partial(work, *arguments, **fields))


async def refused(work: Callable[..., Any], *arguments: Any, **fields: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as error:
        await ask(work, *arguments, **fields)
    return error.value.status, error.value.code


def upload(carrier: Carrier, asset: Any, content: bytes | None = TWIML, **fields: str) -> requests.Response:
    url = f"{carrier.api_base_url}/v1/Services/{asset.service_sid}/Assets/{asset.sid}/Versions"
    form = {"Path": "fallback.xml", "Visibility": "public"} | fields
    files = {"Content": ("fallback.xml", content, "text/xml")} if content is not None else {"Nothing": b""}
    given = {name: value for name, value in form.items() if value}
    return requests.post(url, data=given, files=files, auth=(ACCOUNT, TOKEN), timeout=10)


def deploy(carrier: Carrier, client: Client, content: bytes = TWIML, **fields: str) -> str:
    """All of it, as a deployment tool does; returns the domain."""
    services = client.serverless.v1.services
    service = services.create(unique_name="patchthrough-dev", friendly_name="Patchthrough")
    environment = service.environments.create(unique_name="live", domain_suffix="live")
    asset = service.assets.create(friendly_name="fallback")
    version = upload(carrier, asset, content, **fields).json()["sid"]
    build = service.builds.create(asset_versions=[version])
    assert build.status == "building"
    while service.builds(build.sid).fetch().status != "completed":
        pass
    environment.deployments.create(build_sid=build.sid)
    return str(environment.domain_name)


class TestServing:
    async def test_R33_a_call_whose_webhook_is_dead_hears_the_hosted_fallback(self) -> None:
        async with world() as here:
            domain = await ask(deploy, here.carrier, moved_client(here.carrier))
            assert domain.startswith("patchthrough-dev-")
            assert domain.endswith("-live.twil.io")
            sid = here.carrier.numbers.resource(NUMBER).sid
            for method, heard in (("GET", True), ("POST", False)):
                await ask(
                    moved_client(here.carrier).incoming_phone_numbers(sid).update,
                    voice_url="http://127.0.0.1:1/voice/incoming",
                    voice_fallback_url=f"https://{domain}/fallback.xml",
                    voice_fallback_method=method,
                )
                call = here.carrier.place_call(from_=CALLER, to=NUMBER, caller=ScriptedCaller([]))
                async with asyncio.timeout(GUARD):
                    await call.ended
                assert [event["detail"] for event in call.events if event["what"] == "verb"] == ["Say"] * heard
                assert here.carrier.debugger.codes(call.sid) == ([11205] if heard else [11205, 11200])

    async def test_anybody_may_get_a_public_file_by_its_domain_and_none_may_post(self) -> None:
        async with world() as here:
            domain = await ask(deploy, here.carrier, moved_client(here.carrier))
            base, host = here.carrier.api_base_url, {"Host": domain}
            got = await ask(requests.get, f"{base}/fallback.xml?x=1", headers=host, timeout=10)
            assert (got.status_code, got.headers["Content-Type"], got.content) == (200, "text/xml", TWIML)
            head = await ask(requests.head, f"{base}/fallback.xml", headers=host, timeout=10)
            assert (head.status_code, head.content) == (200, b"")
            assert (await ask(requests.post, f"{base}/fallback.xml", headers=host, timeout=10)).status_code == 405
            assert (await ask(requests.get, f"{base}/other.xml", headers=host, timeout=10)).status_code == 404

    @pytest.mark.parametrize(("visibility", "twilio", "others"), [("protected", 200, 403), ("private", 404, 404)])
    async def test_other_files_are_for_twilio_or_for_nobody(self, visibility: str, twilio: int, others: int) -> None:
        async with world() as here:
            domain = await ask(deploy, here.carrier, moved_client(here.carrier), Visibility=visibility)
            for is_twilio, status in ((True, twilio), (False, others)):
                page = here.carrier.hosting.page(f"https://{domain}/fallback.xml", "GET", is_twilio=is_twilio)
                assert page is not None
                assert page.status == status

    async def test_a_number_as_bought_plays_twilios_demo_without_a_network(self) -> None:
        async with world() as here:
            here.carrier.numbers[NUMBER] = Number(DEMO_URL)
            call = here.carrier.place_call(from_=CALLER, to=NUMBER, caller=ScriptedCaller([]))
            async with asyncio.timeout(GUARD):
                await call.ended
            assert (call.status, here.carrier.debugger.codes()) == ("completed", [])


class TestApi:
    async def test_everything_is_listed_fetched_and_deleted(self) -> None:
        async with world() as here:
            client = moved_client(here.carrier)
            await ask(deploy, here.carrier, client)
            services = client.serverless.v1.services
            (service,) = await ask(services.list)
            assert (await ask(services("patchthrough-dev").fetch)).sid == service.sid
            (environment,) = await ask(service.environments.list)
            (asset,) = await ask(service.assets.list)
            (version,) = await ask(asset.asset_versions.list)
            (build,) = await ask(service.builds.list)
            (deployment,) = await ask(environment.deployments.list)
            assert environment.build_sid == deployment.build_sid == build.sid
            assert (version.path, version.visibility, version.asset_sid) == ("/fallback.xml", "public", asset.sid)
            assert build.asset_versions[0]["sid"] == version.sid
            assert (await ask(service.builds(build.sid).build_status().fetch)).status == "completed"
            assert (await ask(asset.asset_versions(version.sid).fetch)).path == "/fallback.xml"
            assert await ask(environment.delete)
            assert await ask(asset.delete)
            assert await ask(service.delete)
            assert await ask(services.list) == []
            assert await refused(services(service.sid).fetch) == (404, 20404)
            page = here.carrier.hosting.page(f"https://{environment.domain_name}/fallback.xml", "GET")
            assert page == Page(404)

    async def test_lists_come_in_pages(self) -> None:
        async with world() as here:
            services = moved_client(here.carrier).serverless.v1.services
            for name in ("a", "b", "c"):
                await ask(services.create, unique_name=name, friendly_name=name)
            listed = await ask(services.list, page_size=2)
            assert [service.unique_name for service in listed] == ["c", "b", "a"]

    async def test_what_is_taken_missing_or_malformed_is_refused(self) -> None:
        async with world() as here:
            client = moved_client(here.carrier)
            services = client.serverless.v1.services
            service = await ask(services.create, unique_name="one", friendly_name="One")
            environment = await ask(service.environments.create, unique_name="live", domain_suffix="live")
            for work, fields, answer in (
                (services.create, {"unique_name": "one", "friendly_name": "Two"}, (409, 20409)),
                (services.create, {"unique_name": "two", "friendly_name": ""}, (400, 20001)),
                (services.create, {"unique_name": "x" * 51, "friendly_name": "Two"}, (400, 20001)),
                (services.create, {"unique_name": "two.three", "friendly_name": "Two"}, (400, 20001)),
                (service.environments.create, {"unique_name": "live", "domain_suffix": "b"}, (409, 20409)),
                (service.environments.create, {"unique_name": "b", "domain_suffix": "live"}, (409, 20409)),
                (service.environments.create, {"unique_name": "b", "domain_suffix": "x" * 17}, (400, 20001)),
                (service.assets.create, {"friendly_name": ""}, (400, 20001)),
                (service.builds.create, {}, (400, 20001)),
                (service.builds.create, {"asset_versions": ["ZN" + "9" * 32]}, (400, 20001)),
                (environment.deployments.create, {"build_sid": "ZB" + "9" * 32}, (400, 20001)),
                (environment.deployments.create, {}, (409, 20409)),
                (services("ZS" + "9" * 32).assets.create, {"friendly_name": "x"}, (404, 20404)),
                (service.assets("ZH" + "9" * 32).asset_versions("ZN1").fetch, {}, (404, 20404)),
            ):
                assert await refused(work, **fields) == answer, fields

    async def test_an_upload_needs_a_path_a_visibility_and_a_file(self) -> None:
        async with world() as here:
            services = moved_client(here.carrier).serverless.v1.services
            service = await ask(services.create, unique_name="one", friendly_name="One")
            asset = await ask(service.assets.create, friendly_name="x")
            for answer in (
                await ask(upload, here.carrier, asset, Path=""),
                await ask(upload, here.carrier, asset, Visibility=""),
                await ask(upload, here.carrier, asset, Visibility="secret"),
                await ask(upload, here.carrier, asset, None),
            ):
                assert (answer.status_code, answer.json()["code"]) == (400, 20001)
            url = f"{here.carrier.api_base_url}/v1/Services/{service.sid}/Assets/{asset.sid}/Versions"
            plain = await ask(requests.post, url, data={"Path": "/x"}, auth=(ACCOUNT, TOKEN), timeout=10)
            assert plain.status_code == 400
            assert (await ask(upload, here.carrier, asset)).json()["path"] == "/fallback.xml"

    async def test_only_a_completed_build_is_deployed_and_only_once(self) -> None:
        async with world() as here:
            services = moved_client(here.carrier).serverless.v1.services
            service = await ask(services.create, unique_name="one", friendly_name="One")
            environment = await ask(service.environments.create, unique_name="live")
            assert environment.domain_name == f"{service.domain_base}.twil.io"
            asset = await ask(service.assets.create, friendly_name="x")
            version = (await ask(upload, here.carrier, asset)).json()["sid"]
            other = (await ask(upload, here.carrier, asset)).json()["sid"]
            assert await refused(service.builds.create, asset_versions=[version, other]) == (400, 20001)
            build = await ask(service.builds.create, asset_versions=[version])
            deploy_build = functools.partial(environment.deployments.create, build_sid=build.sid)
            assert await refused(deploy_build) == (400, 20001)
            while (await ask(service.builds(build.sid).fetch)).status == "building":
                pass
            assert (await ask(deploy_build)).build_sid == build.sid
            assert await refused(deploy_build) == (409, 20409)
            here.carrier.hosting.build_outcome = "failed"
            failing = await ask(service.builds.create, asset_versions=[other])
            while (status := (await ask(service.builds(failing.sid).fetch)).status) == "building":
                pass
            assert status == "failed"
            assert await refused(environment.deployments.create, build_sid=failing.sid) == (400, 20001)


@given(st.lists(st.tuples(st.sampled_from("vbld"), st.integers(0, 3)), max_size=40), st.integers(0, 2))
def test_a_domain_serves_the_last_deployed_build_and_nothing_else(steps: list[tuple[str, int]], looks: int) -> None:
    """Versions are made, put into builds, looked at, deployed in any order: `v`, `b`, `l`, `d`, each the n-th."""
    hosting = Hosting()
    hosting.build_looks = looks
    service = hosting.create_service("one", "One")
    environment = hosting.create_environment(service, "live", "")
    asset = hosting.create_asset(service, "x")
    served = Page(404)
    for step, which in steps:
        versions, builds = [*service.versions.values()], [*service.builds.values()]
        if step == "v":
            content = Page(200, "text/xml", str(len(versions)).encode())
            hosting.create_version(service, asset, path="f.xml", visibility="public", content=content)
        elif step == "b" and which < len(versions):
            hosting.create_build(service, [versions[which].sid])
        elif step == "l" and which < len(builds):
            builds[which].look()
        elif step == "d" and which < len(builds):
            build = builds[which]
            may = build.status == "completed" and build is not environment.build
            try:
                hosting.create_deployment(service, environment, build.sid)
                assert may
                served = build.versions[0].content
            except ApiError:
                assert not may
        assert hosting.page(f"https://{environment.domain_name}/f.xml", "GET") == served
