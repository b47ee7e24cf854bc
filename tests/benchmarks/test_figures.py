"""What turns readings into figures: a benchmark that counts wrong is worse than none."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.aws import Aws
from benchmarks.measure import Result, Window
from benchmarks.report import Target, table
from benchmarks.stamps import percentile, read, stamp


def window(calls: int, *, up_p99: float = 1.0, arrived: float = 1.0, hung_up: int = 0, rss_mib: float = 60.0) -> Window:
    return Window(
        calls=calls,
        cpu_us=50.0,
        busy=0.5,
        up_p50=0.5,
        up_p99=up_p99,
        down_p50=0.5,
        down_p99=1.0,
        barge_in_p50=0.5,
        barge_in_p99=1.0,
        late_p99=1.0,
        arrived=arrived,
        hung_up=hung_up,
        rss_mib=rss_mib,
    )


@given(us=st.integers(0, 2**48 - 1), origin=st.integers(0, 2**48 - 1), spaced=st.booleans())
def test_a_stamp_is_read_as_it_was_written(us: int, origin: int, *, spaced: bool) -> None:
    audio = stamp(us, origin).decode() + "////"
    separators = (", ", ": ") if spaced else (",", ":")
    message = json.dumps({"type": "input_audio_buffer.append", "audio": audio}, separators=separators)
    assert read(message.encode(), b'"audio":') == (us, origin)


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (51.0, 100.0)
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize("broken", [{"up_p99": 20.0}, {"arrived": 0.9}, {"hung_up": 1}])
def test_capacity_is_the_last_step_at_which_everything_held(broken: dict[str, float]) -> None:
    failed = window(400, **broken)  # type: ignore[arg-type] # one figure at a time
    result = Result(subject="relay", base_rss_mib=50, steady=[window(100)], steps=[window(300), failed])
    assert (result.capacity, result.saturated) == (300, True)
    held = Result(subject="relay", base_rss_mib=50, steady=[window(100)], steps=[window(300)])
    assert (held.capacity, held.saturated) == (300, False)


def test_memory_per_call_is_the_slope_once_there_are_two_points() -> None:
    one = Result(subject="relay", base_rss_mib=50, steady=[window(100, rss_mib=55)])
    assert one.kib_per_call == pytest.approx(51.2)
    two = Result(subject="relay", base_rss_mib=50, steady=[window(100, rss_mib=60)], steps=[window(200, rss_mib=65)])
    assert two.kib_per_call == pytest.approx(51.2)


def test_a_target_is_met_at_its_bound() -> None:
    assert Target("p99", 1.0, 1.0, "ms").met
    assert not Target("p99", 1.1, 1.0, "ms").met
    assert Target("calls", 600, 600, "", at_least=True).met
    assert Target("calls", 599, 600, "", at_least=True).row()[-1] == "**missed**"


def test_the_columns_of_a_table_line_up() -> None:
    lines = table(["a", "bb"], [["ccc", "d"]]).splitlines()
    assert lines == ["| a   | bb |", "|-----|----|", "| ccc | d  |"]


def test_the_little_table_keeps_conditional_writes() -> None:
    aws = Aws({"name": "value"})
    key = {"call_sid": {"S": "CA1"}}

    def ask(target: str, **asked: object) -> tuple[int, dict[str, object]]:
        status, body = aws.answer(f"DynamoDB_20120810.{target}", json.dumps(asked).encode())
        return status, json.loads(body)

    assert ask("GetItem", Key=key) == (200, {})
    assert ask("PutItem", Item={**key, "revision": {"N": "0"}})[0] == 200
    assert ask("PutItem", Item=key)[0] == 400
    values = {":read": {"N": "0"}, ":revision": {"N": "1"}, ":status": {"S": "live"}}
    update = {"Key": key, "UpdateExpression": "SET #revision = :revision, #status = :status"}
    assert ask("UpdateItem", **update, ExpressionAttributeValues=values) == (200, {})
    assert ask("UpdateItem", **update, ExpressionAttributeValues=values)[0] == 400
    assert ask("GetItem", Key=key)[1] == {"Item": {**key, "revision": {"N": "1"}, "status": {"S": "live"}}}
    assert ask("GetSecretValue", SecretId="name")[1]["SecretString"] == "value"
