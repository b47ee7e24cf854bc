"""The agent file as the parts read it while they run: one AppConfig configuration, checked and watched.

A deployment publishes the repository's file; `patchthrough config push` publishes another between deployments. The last
to speak wins, and a deployment speaks only when the file has changed. Whoever publishes, AppConfig holds the file
against the schema; a file that passes and that a part cannot use all the same rings an alarm, and AppConfig goes back.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_appconfig as appconfig
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from constructs import Construct

from contracts.edition import text_of
from infra.settings import Settings
from infra.validator import validator

ENVIRONMENT, PROFILE = "live", "agent"
BAKE_MINUTES = 5
"""How long AppConfig watches the alarms after a push; a relay that refuses a file says so within a minute."""
MONITORS = 5  # https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_CreateEnvironment.html


class LiveConfig(Construct):
    """`name` is what the parts ask AppConfig for: names and no identifiers, so that nothing waits for it.

    The environment comes with `watch`, once there are alarms to watch, and may then be read by `readers`.
    """

    def __init__(self, scope: Construct, id_: str, *, settings: Settings) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self.name = f"{settings.stack_name}/{ENVIRONMENT}/{PROFILE}"
        self.application = appconfig.CfnApplication(self, "Application", name=settings.stack_name)
        self.profile = appconfig.CfnConfigurationProfile(
            self,
            "Profile",
            application_id=self.application.ref,
            name=PROFILE,
            location_uri="hosted",
            type="AWS.Freeform",
            validators=[
                appconfig.CfnConfigurationProfile.ValidatorsProperty(type="JSON_SCHEMA", content=validator()),
            ],
        )
        self.push = self._strategy("Push", BAKE_MINUTES)

    def watch(self, alarms: Sequence[cloudwatch.IAlarm], readers: Sequence[iam.IRole]) -> None:
        """Make the environment, deploy the repository's file, and let `readers` read.

        The readers' permission is a policy of its own: within their roles it would be waited for by the very functions
        that the alarms watch.
        """
        assert len(alarms) <= MONITORS, "AppConfig watches no more"
        # AppConfig asks for all alarms at once: https://docs.aws.amazon.com/appconfig/latest/userguide/getting-started-with-appconfig-cloudwatch-alarms-permissions.html
        looking = iam.Role(self, "AlarmRole", assumed_by=iam.ServicePrincipal("appconfig.amazonaws.com"))
        looking.add_to_policy(iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=["*"]))
        self.environment = appconfig.CfnEnvironment(
            self,
            "Environment",
            application_id=self.application.ref,
            name=ENVIRONMENT,
            monitors=[
                appconfig.CfnEnvironment.MonitorsProperty(alarm_arn=one.alarm_arn, alarm_role_arn=looking.role_arn)
                for one in alarms
            ],
        )
        self.environment.node.add_dependency(looking)
        self._deploy()
        policy = iam.Policy(self, "Read", roles=list(readers))
        policy.add_statements(
            iam.PolicyStatement(
                actions=["appconfig:GetLatestConfiguration", "appconfig:StartConfigurationSession"],
                resources=[self._configuration],
            )
        )

    @property
    def _configuration(self) -> str:
        """https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsappconfig.html."""
        name = f"{self.application.ref}/environment/{self.environment.ref}/configuration/{self.profile.ref}"
        return Stack.of(self).format_arn(
            service="appconfig",
            resource="application",
            resource_name=name,
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )

    def _deploy(self) -> None:
        version = appconfig.CfnHostedConfigurationVersion(
            self,
            "Version",
            application_id=self.application.ref,
            configuration_profile_id=self.profile.ref,
            content_type="application/json",
            content=text_of(self._settings.agent.written),
        )
        appconfig.CfnDeployment(
            self,
            "Deployment",
            application_id=self.application.ref,
            environment_id=self.environment.ref,
            configuration_profile_id=self.profile.ref,
            configuration_version=version.ref,
            deployment_strategy_id=self._strategy("AtOnce", 0).ref,
        )

    def _strategy(self, id_: str, bake_minutes: int) -> appconfig.CfnDeploymentStrategy:
        """Everybody gets it at once; `bake_minutes` is how long the alarms are watched afterwards."""
        return appconfig.CfnDeploymentStrategy(
            self,
            id_,
            name=f"{self._settings.stack_name}-{id_.lower()}",
            replicate_to="NONE",
            deployment_duration_in_minutes=0,
            growth_factor=100,
            final_bake_time_in_minutes=bake_minutes,
        )
