"""What is known to go wrong with this architecture, and what was promised of it: which test holds each."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.stream import MEDIA_PATH, MalformedPath, mint, nonce, parse
from infra.app import ROOT
from tests.infra.conftest import Synthesised

STACK, SETTINGS, ASSETS = ("tests/infra/test_stack.py", "tests/infra/test_settings.py", "tests/infra/test_assets.py")
ALARMS, GRANTS, HERE = ("tests/infra/test_alarms.py", "tests/infra/test_grants.py", "tests/infra/test_traps.py")
IMAGE, SERVER = ("tests/infra/test_image.py", "tests/containers/media_relay/test_server.py")
TRANSFER, GAUGE = ("tests/functions/test_transfer.py", "tests/containers/media_relay/test_gauge.py")
PROTECTION, SNAPSHOT = ("tests/containers/media_relay/test_protection.py", "tests/functions/test_snapshot.py")

TRAPS = {
    "a VPC origin asks port 443": (STACK, "test_cloudfront_asks_port_80_where_the_listener_is"),
    "the load balancer does not admit CloudFront": (
        STACK,
        "test_the_load_balancer_is_internal_and_admits_cloudfront_alone",
    ),
    "the handshake's headers do not pass": (STACK, "test_the_handshakes_headers_pass_and_nothing_is_cached"),
    "old tasks hold the stack's update up": (STACK, "test_R31_no_deployment_ends_a_call"),
    "availability zones are rebalanced": (STACK, "test_R31_no_deployment_ends_a_call"),
    "a desired count shrinks a busy fleet": (STACK, "test_a_busy_fleet_is_not_shrunk_by_a_deployment"),
    "a busy task says 503 and is replaced": (SERVER, "test_health_is_told_always_and_readiness_only"),
    "a leaving task's sockets are cut": (STACK, "test_the_load_balancer_waits_and_lets_go_as_the_timing_says"),
    "a task may not protect itself": (GRANTS, "test_S11_each_role_may_do_what_the_table_says_and_nothing_else"),
    "a batch of one that fails is a function error": (TRANSFER, "test_a_ledger_out_of_reach_brings_the_message_back"),
    "nobody knows how much time is left": (TRANSFER, "test_R22_a_429_without_time_left_comes_back_soon"),
    "an asset of another Python is used again": (ASSETS, "test_changes_with_python_machine_and_way_of_building"),
    "a construct is called Default": (HERE, "test_no_construct_has_an_identifier_that_cdk_keeps_for_itself"),
    "an access log needs an interface of behaviour": (STACK, "test_it_is_throttled_and_its_log_knows_no_caller"),
    "the newest CLI is an old one": (HERE, "test_library_and_command_line_of_the_cdk_are_pinned_exactly"),
    "cdk-nag no longer knows suppressions": (STACK, "test_cdk_nag_does_find_what_is_acknowledged"),
    "a look-up needs credentials": (HERE, "test_nothing_is_looked_up_in_the_sources"),
    "a named stage changes the path that is signed": (
        STACK,
        "test_it_answers_on_the_default_stage_under_the_path_that_twilio_signs",
    ),
    "secrets made by the stack start empty": (STACK, "test_S12_no_secret_has_a_place_in_the_output"),
    "a TableV2 is a GlobalTable": (STACK, "test_the_ledger_is_the_table_that_the_code_expects"),
    "tests install packages": (ASSETS, "test_holds_the_sources_and_the_agent_file"),
    "Twilio strips a stream's query": (HERE, "test_a_streams_address_has_no_query"),
    "wheels are the builder's": (ASSETS, "test_holds_no_binary_of_another_machine"),
    "synthesis wants a container engine": (HERE, "test_two_processes_synthesise_the_same_bytes_offline"),
}
"""The twenty-four, in their order."""

PROMISED = {
    "CDK's command line is pinned": (HERE, "test_library_and_command_line_of_the_cdk_are_pinned_exactly"),
    "every dependent figure agrees": (SETTINGS, "test_R14_the_relay_has_drained_before_fargate_kills_it"),
    "API: throttling, access log": (STACK, "test_it_is_throttled_and_its_log_knows_no_caller"),
    "queue and dead letters": (STACK, "test_the_queue_is_standard_encrypted_and_ends_at_the_last_resort"),
    "ledger: TTL, on demand, point-in-time recovery": (
        STACK,
        "test_the_ledger_is_the_table_that_the_code_expects",
    ),
    "no NAT": (STACK, "test_there_is_no_nat_gateway"),
    "ARM64, non-root, read-only": (STACK, "test_the_container_is_locked_down_and_given_time"),
    "public subnets": (STACK, "test_tasks_have_public_addresses_and_one_way_in"),
    "own domain": (STACK, "test_a_domain_replaces_cloudfront_by_a_certificate"),
    "minimum two tasks": (STACK, "test_there_are_never_fewer_than_two_tasks"),
    "average, burst step": (STACK, "test_scaling_follows_the_average_and_bursts_only_upwards"),
    "bundles small": (ASSETS, "test_is_small"),
    "webhook without twilio.rest": (ASSETS, "test_the_webhook_has_no_twilio_rest"),
    "SnapStart": (STACK, "test_a_cold_start_resumes_a_snapshot_of_a_published_version"),
    "connections re-made after restore": (
        SNAPSHOT,
        "test_a_copy_opens_its_own_connection_and_reads_its_secrets_anew",
    ),
    "alarms link their headings": (ALARMS, "test_every_alarm_links_its_heading"),
    "saved queries": (ALARMS, "test_saved_queries_ask_all_parts_for_names_that_exist"),
    "protection before the 101": (PROTECTION, "test_R31_the_101_waits_for_the_protection_of_the_task"),
    "gauge each 10 s, another name while draining": (GAUGE, "test_a_draining_task_publishes_another_name"),
    "image: slim, pinned, hashes": (IMAGE, "test_S21_packages_come_from_the_lock_file_with_their_hashes"),
    "image: non-root, exec form": (IMAGE, "test_it_runs_as_nobody_in_particular_with_sigterm_reaching_python"),
    "synthesis offline and deterministic": (HERE, "test_two_processes_synthesise_the_same_bytes_offline"),
    "cdk-nag 0": (STACK, "test_cdk_nag_finds_nothing_that_is_not_acknowledged"),
    "cfn-lint 0": (STACK, "test_cfn_lint_finds_nothing"),
    "checkov: a sentence each, no check of IAM left out": (HERE, "test_every_check_left_out_has_its_sentence"),
    "unknown stage": (SETTINGS, "test_an_unknown_stage_is_refused_and_the_known_ones_are_named"),
    "a number that is not E.164": (SETTINGS, "test_a_number_that_is_not_e164_stops_with_one_line_that_names_it"),
    "a call longer than an hour": (SETTINGS, "test_a_call_longer_than_three_hours_stops_with_one_line_that_names_it"),
    "two domains": (SETTINGS, "test_a_wrong_setting_stops_with_one_line_that_names_it"),
    "least privilege": (GRANTS, "test_S11_what_is_out_of_a_roles_scope_is_denied"),
    "nothing left behind": (STACK, "test_nothing_outlives_the_stack"),
}


@pytest.mark.parametrize(("where", "name"), [*TRAPS.values(), *PROMISED.values()])
def test_every_trap_and_every_promise_has_a_test(where: str, name: str) -> None:
    assert re.search(rf"^ *(async )?def {name}", (ROOT / where).read_text(), re.MULTILINE)


def test_there_are_twenty_four_traps() -> None:
    assert len(TRAPS) == 24


def sources() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text())) for path in sorted((ROOT / "infra").glob("*.py"))]


def test_no_construct_has_an_identifier_that_cdk_keeps_for_itself(stack: Synthesised) -> None:
    for path, module in sources():
        constants = {node.value for node in ast.walk(module) if isinstance(node, ast.Constant)}
        assert not constants & {"Default", "Resource"}, path
    assert stack.template["Resources"]


def test_nothing_is_looked_up_in_the_sources() -> None:
    for path, module in sources():
        called = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
        assert not [name for name in called if name.startswith("from_lookup")], path


def test_library_and_command_line_of_the_cdk_are_pinned_exactly() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    wanted = package["devDependencies"]["aws-cdk"]
    assert re.fullmatch(r"2\.\d+\.\d+", wanted)
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]["node_modules/aws-cdk"]
    assert lock["version"] == wanted
    assert lock["integrity"].startswith("sha512-")
    assert re.search(r'"aws-cdk-lib==2\.\d+\.\d+"', (ROOT / "pyproject.toml").read_text())


def test_a_streams_address_has_no_query() -> None:
    token = mint("CA" + "0" * 32, 1, nonce(), "key")
    assert parse(MEDIA_PATH + token)
    with pytest.raises(MalformedPath):
        parse(f"{MEDIA_PATH}{token}?call_sid=CA")


def test_every_check_left_out_has_its_sentence() -> None:
    skipped = re.findall(r"^  - (\S+)(.*)$", (ROOT / "infra" / "checkov.yaml").read_text(), re.MULTILINE)
    assert len(skipped) > 10
    for name, sentence in skipped:
        assert re.fullmatch(r"CKV2?_AWS_\d+", name)
        assert re.fullmatch(r" # [A-Z].{25,}\.", sentence), name


def test_what_needs_the_internet_is_made_after_the_gateway_and_gone_before_it(stack: Synthesised) -> None:
    resources = stack.template["Resources"]

    def before(name: str) -> set[str]:
        """Everything that a resource says it depends on, near and far."""
        named = resources[name].get("DependsOn", [])
        near = set(named if isinstance(named, list) else [named])
        return near.union(*map(before, near))

    (gateway,) = stack.of_type("EC2::VPCGatewayAttachment")
    for kind in ("ECS::Service", "CloudFront::VpcOrigin", "CloudFront::Distribution"):
        (name,) = stack.of_type(kind)
        assert gateway in before(name), kind
    (service,) = stack.of_type("ECS::Service")
    assert {name for name in before(service) if "ExecutionRoleDefaultPolicy" in name}


@pytest.fixture(scope="module")
def written(built: None, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The output of two synthesising processes without network, credentials, container engine or shell's settings."""
    node = Path(sys.executable).parent
    environ = {
        "PATH": f"{node}{os.pathsep}{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/nowhere"),
        "CDK_CONTEXT_JSON": json.dumps(json.loads((ROOT / "cdk.json").read_text())["context"] | {"stage": "prod"}),
        "CDK_DOCKER": "false",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "UV_OFFLINE": "1",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    }
    if (node / "node").exists():
        environ["JSII_NODE"] = str(node / "node")
    made = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    running: list[subprocess.Popen[str]] = []
    for seed, directory in enumerate(made, 1):
        own = {"CDK_OUTDIR": str(directory), "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-m", "infra.app"]
        running.append(
            subprocess.Popen(
                command, cwd=ROOT, env=environ | own, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            )
        )
    for process in running:
        _, said = process.communicate(timeout=100)
        assert process.returncode == 0, said
    return made


def test_two_processes_synthesise_the_same_bytes_offline(written: list[Path]) -> None:
    def contents(directory: Path) -> dict[str, Any]:
        files = {path.name: path.read_bytes() for path in directory.glob("*.json")}
        del files["Patchthrough.metadata.json"]  # where in the process each construct was made; never deployed
        return files | {path.name: None for path in directory.glob("asset.*")}

    first, second = map(contents, written)
    assert {"Patchthrough.template.json", "Patchthrough.assets.json", "manifest.json"} <= first.keys()
    assert first == second


def test_S12_nothing_of_the_environment_is_written(written: list[Path]) -> None:
    for path in written[0].glob("*.json"):
        assert "127.0.0.1:9" not in path.read_text()
