from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.media_relay.config import Config
from containers.media_relay.server import STREAM_LIMITS
from contracts.ledger import ROW_SECONDS
from functions.transfer.lease import POLL_SECONDS, REST_TIMEOUT_SECONDS, VISIBILITY_LAG_SECONDS, round_seconds
from infra.app import ROOT
from infra.settings import CALLS_PER_VCPU, Relay, SettingsError, Timing, load
from simulators.cloud.emulator import TIMING
from tests.functions import world


class TestAStagesFile:
    @pytest.mark.parametrize("stage", ["dev", "prod"])
    def test_every_stage_of_the_repository_is_valid(self, stage: str) -> None:
        assert load(ROOT, stage).stack_name == f"patchthrough-{stage}"

    def test_an_empty_one_takes_every_default(self, repository: Path) -> None:
        (repository / "config" / "dev.yaml").write_text("")
        assert load(repository, "dev").relay == Relay()

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("domain: [a.example.com, b.example.com]", "domain: give one domain"),
            ("domain: a.example.com, b.example.com", "domain: give one domain"),
            ("domain: {name: a_b, hosted_zone_id: Z1, hosted_zone_name: b.com}", "domain.name: "),
            ("max_call_minutes: 61", "max_call_minutes is not set here; set it in the agent file"),
            ("relay: {cpu: 2048}", "relay.cpu: "),
            ("relay: {cpu: 512, memory: 512}", "relay: cpu must be 512"),
            ("relay: {calls_per_task: 51}", "relay: calls_per_task must not exceed 50 for cpu 1024"),
            ("relay: {min_tasks: 1}", "relay.min_tasks: "),
            ("relay: {min_tasks: 9, max_tasks: 3}", "relay: max_tasks must not be less than min_tasks"),
            ("log_days: 8", "log_days: "),
            ("alarm_email: nobody", "alarm_email: "),
            ("origin_prefix_list: com.amazonaws", "origin_prefix_list: "),
            ("agent_file: ../agent.yaml", "agent"),
            ("logdays: 7", "logdays: there is no such setting"),
            ("- 1", "must be a list of settings"),
            ("a: [", "is not valid YAML"),
        ],
    )
    def test_a_wrong_setting_stops_with_one_line_that_names_it(self, repository: Path, text: str, says: str) -> None:
        (repository / "config" / "dev.yaml").write_text(text)
        with pytest.raises(SettingsError) as caught:
            load(repository, "dev")
        assert says in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize("stage", ["nope", "", "../dev", "dev.yaml"])
    def test_an_unknown_stage_is_refused_and_the_known_ones_are_named(self, repository: Path, stage: str) -> None:
        with pytest.raises(SettingsError, match="choose one of dev with -c stage="):
            load(repository, stage)

    def test_a_number_that_is_not_e164_stops_with_one_line_that_names_it(self, repository: Path) -> None:
        agent = repository / "agent.yaml"
        agent.write_text(agent.read_text().replace('"+15550100001"', '"0155 50100001"'))
        with pytest.raises(
            SettingsError, match=r"agent\.yaml: destinations\.billing\.number: .*\+15550100001"
        ) as caught:
            load(repository, "dev")
        assert len(str(caught.value).splitlines()) == 1

    def test_a_call_longer_than_three_hours_stops_with_one_line_that_names_it(self, repository: Path) -> None:
        agent = repository / "agent.yaml"
        agent.write_text(re.sub(r"max_call_minutes: \d+", "max_call_minutes: 181", agent.read_text()))
        with pytest.raises(SettingsError, match=r"agent\.yaml: limits\.max_call_minutes: "):
            load(repository, "dev")

    @given(content=st.text(max_size=200))
    def test_no_content_raises_anything_but_the_one_line(
        self, tmp_path_factory: pytest.TempPathFactory, content: str
    ) -> None:
        root = tmp_path_factory.mktemp("any")
        (root / "config").mkdir()
        (root / "agent.yaml").write_bytes((ROOT / "agent.yaml").read_bytes())
        (root / "config" / "dev.yaml").write_text(content, encoding="utf-8", errors="replace")
        lines = 0
        try:
            load(root, "dev")
        except SettingsError as error:
            lines = len(str(error).splitlines())
        assert lines <= 1


class TestEveryTimeAgrees:
    """From one number, the longest call, to every place that has to wait for it."""

    @pytest.fixture(params=[1, 30, 59, 180])
    def timing(self, request: pytest.FixtureRequest) -> Timing:
        return Timing(max_call_minutes=request.param)

    def test_R31_a_leaving_tasks_sockets_outlive_the_longest_call_or_live_as_long_as_they_may(
        self, timing: Timing
    ) -> None:
        assert min(timing.max_call_minutes * 60, 3600 - 1) < timing.deregistration <= 3600

    def test_R31_protection_outlives_the_longest_call_without_a_renewal(self, timing: Timing) -> None:
        assert timing.max_call_minutes < timing.protection_minutes <= 2880

    def test_R14_the_relay_has_drained_before_fargate_kills_it(self, timing: Timing) -> None:
        sending_on = 8  # seconds that the last calls get in `Server.drain`
        assert timing.drain + sending_on < 110 < timing.stop_timeout <= 120

    def test_the_relay_takes_the_drain_time_it_is_given(self, timing: Timing) -> None:
        names = "PUBLIC_MEDIA_ORIGIN TWILIO_AUTH_TOKEN_SECRET OPENAI_API_KEY_SECRET LEDGER_TABLE TRANSFER_QUEUE_URL"
        environ = dict.fromkeys(names.split(), "wss://media.example.com") | {"TWILIO_ACCOUNT_SID": "AC"}
        assert Config.from_env({**environ, "DRAIN_SECONDS": str(timing.drain)}).drain_seconds == timing.drain

    def test_the_load_balancer_waits_longer_than_the_relay_is_silent(self, timing: Timing) -> None:
        assert STREAM_LIMITS.ping_interval is not None
        assert timing.idle >= 4 * STREAM_LIMITS.ping_interval

    def test_R33_the_webhook_gives_up_before_twilio_does(self, timing: Timing) -> None:
        assert timing.webhook < 15

    def test_a_transfer_has_time_for_two_dials_that_end_in_doubt_and_a_slow_ledger(self, timing: Timing) -> None:
        assert timing.transfer >= 3 * round_seconds()

    def test_a_dial_that_is_begun_ends_before_its_function_does(self, timing: Timing) -> None:
        requests = (2 + 1) * 2 * REST_TIMEOUT_SECONDS  # a look, an update, the last look; each connects, then reads
        assert requests + POLL_SECONDS + VISIBILITY_LAG_SECONDS < round_seconds() < timing.transfer

    def test_the_tests_of_the_one_dial_have_the_time_that_is_deployed(self, timing: Timing) -> None:
        assert (timing.transfer, timing.receives) == (world.INVOCATION_SECONDS, world.MAX_RECEIVES)

    def test_the_local_queue_has_the_deployed_ones_numbers(self, timing: Timing) -> None:
        local, deployed = ((one.visibility, one.retention, one.receives, one.transfer) for one in (TIMING, timing))
        assert local == deployed

    def test_a_message_is_hidden_six_times_as_long_as_it_is_worked_on(self, timing: Timing) -> None:
        assert timing.visibility >= 6 * timing.transfer

    def test_a_message_lives_until_its_last_receive(self, timing: Timing) -> None:
        assert timing.retention > timing.receives * timing.visibility

    def test_the_ledger_remembers_for_longer_than_anything_can_take(self, timing: Timing) -> None:
        assert timing.deregistration + timing.retention < ROW_SECONDS

    @given(minutes=st.integers().filter(lambda n: not 1 <= n <= 180))
    def test_no_other_length_of_call_is_possible(self, minutes: int) -> None:
        with pytest.raises(ValueError, match="max_call_minutes"):
            Timing(max_call_minutes=minutes)


def test_scaling_leaves_headroom_for_the_time_a_new_task_takes() -> None:
    relay = Relay()
    assert 0.5 <= relay.target_calls / relay.calls_per_task <= 0.6
    assert relay.calls_per_task <= CALLS_PER_VCPU * relay.cpu / 1024
