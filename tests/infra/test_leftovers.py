from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from infra import leftovers
from infra.app import ROOT
from infra.settings import load
from tests.infra.conftest import Synthesised


class Logs:
    """CloudWatch's log groups."""

    def __init__(self, *groups: str, refuses: str = "") -> None:
        self.groups = set(groups)
        self.refuses = refuses

    def delete_log_group(self, *, logGroupName: str) -> None:  # noqa: N803 - boto3's name
        if self.refuses or logGroupName not in self.groups:
            code = self.refuses or "ResourceNotFoundException"
            raise ClientError({"Error": {"Code": code, "Message": code}}, "DeleteLogGroup")
        self.groups.remove(logGroupName)


GROUP = "/aws/ecs/containerinsights/patchthrough-dev/performance"


def test_the_stages_own_log_group_goes_and_no_other() -> None:
    logs = Logs(GROUP, GROUP.replace("dev", "prod"))
    assert leftovers.remove(load(ROOT, "dev"), logs)
    assert logs.groups == {GROUP.replace("dev", "prod")}
    assert not leftovers.remove(load(ROOT, "dev"), logs)


def test_a_refusal_is_not_taken_for_absence() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        leftovers.remove(load(ROOT, "dev"), Logs(GROUP, refuses="AccessDenied"))


def test_it_is_the_log_group_of_the_cluster_that_is_deployed(stack: Synthesised) -> None:
    assert stack.one("ECS::Cluster")["ClusterName"] == stack.stage.cluster_name
    assert f"/{stack.stage.cluster_name}/" in leftovers.insights_log_group(stack.stage)


def test_an_unknown_stage_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["leftovers", "nope"])
    assert leftovers.main() == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
