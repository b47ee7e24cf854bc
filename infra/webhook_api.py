"""Where Twilio asks, and a person's browser: an HTTP API with a route for each, and the function behind both."""

from __future__ import annotations

import json
from collections.abc import Mapping

import jsii
from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from contracts import screen_pop
from infra.python_function import PythonFunction
from infra.settings import Timing

REQUESTS_PER_SECOND = 50
BURST = 100
# No query string and no form: what identifies a caller stays out of the access log.
_ACCESS = {
    "requestId": "$context.requestId",
    "at": "$context.requestTimeEpoch",
    "ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "ms": "$context.responseLatency",
    "function_ms": "$context.integrationLatency",
    "error": "$context.integrationErrorMessage",
}


@jsii.implements(apigateway.IAccessLogSettings)
class _AccessLog:
    """The stage's access log. The interface is one of behaviour: a destination alone does not do."""

    def __init__(self, group: logs.ILogGroup) -> None:
        self._destination = apigateway.LogGroupLogDestination(group)

    @property
    def destination(self) -> apigateway.IAccessLogDestination:
        """The log group."""
        return self._destination

    @property
    def format(self) -> None:
        """CDK's own type of format knows REST APIs only; the stage's property is set below."""
        return


class WebhookApi(Construct):
    """`origin` is the API's own `https://…`, which Twilio asks and signs."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        code: lambda_.Code,
        environment: Mapping[str, str],
        timing: Timing,
        log_group: logs.ILogGroup,
        access_log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, id_)
        # The default stage of its own making has neither throttle nor log, and a named one would change the path
        # that Twilio signs: so `$default` is made by hand.
        self.api = apigateway.HttpApi(self, "Api", create_default_stage=False)
        self.origin = self.api.api_endpoint
        self.answers = PythonFunction(
            self,
            "Answers",
            code=code,
            handler="functions.voice_webhook.handler.handler",
            timeout=timing.webhook,
            environment={**environment, "PUBLIC_WEBHOOK_ORIGIN": self.origin},
            log_group=log_group,
            snap_start=True,
        )
        answer = HttpLambdaIntegration("Answer", self.answers.live, timeout=Duration.seconds(timing.webhook))
        self.api.add_routes(path="/voice/{question}", methods=[apigateway.HttpMethod.POST], integration=answer)
        self.api.add_routes(path=screen_pop.PAGE, methods=[apigateway.HttpMethod.GET], integration=answer)
        stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=REQUESTS_PER_SECOND, burst_limit=BURST),
            access_log_settings=_AccessLog(access_log_group),
        )
        made = stage.node.default_child
        assert isinstance(made, apigateway.CfnStage), "an HTTP API's stage is one resource"
        made.add_property_override("AccessLogSettings.Format", json.dumps(_ACCESS))
