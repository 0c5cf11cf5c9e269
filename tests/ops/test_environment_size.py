"""The room that eight providers leave in the environment of a Lambda."""

from chalicelib.providers import REGISTRY, provider_class
from ops.deploying import chalice_config
from ops.deploying.environment_size import MAX_BYTES, size_bytes
from ops.local.carrier import Carrier
from ops.local.stack import LocalStack

#: what a user can still set: some limits, or a further credential
ROOM_BYTES = 400
#: the variables that CloudFormation adds, at their longest: a region and a table of a restore
DEPLOYED = {
    "TABLE_NAME": "redial-prod-restored-20260126",
    "WAKE_BACKEND": "scheduler",
    "REDIAL_ARN": "arn:aws:lambda:ap-southeast-1:123456789012:function:redial-prod-redial",
    "SCHEDULER_ROLE_ARN": "arn:aws:iam::123456789012:role/redial-prod-scheduler",
}


def test_the_local_stack_leaves_room_with_every_provider() -> None:
    with Carrier() as carrier:
        local = LocalStack().function_environment(carrier)
        assert {provider for provider in REGISTRY if f"{provider.upper()}_API_URL" in local} == set(REGISTRY)
        assert size_bytes(chalice_config.environment("dev") | DEPLOYED | local) <= MAX_BYTES - ROOM_BYTES


def test_a_pem_in_ssm_leaves_room_with_every_provider_on_aws() -> None:
    answer = "https://www.example.com/redial/instructions/answer"
    with Carrier() as carrier:
        credentials = {name: value for name, value in carrier.environment.items() if not name.endswith("_API_URL")}
    on_aws = (
        chalice_config.environment("prod")
        | DEPLOYED
        | credentials
        | {f"{name.upper()}_ANSWER_URL": answer for name in REGISTRY if not provider_class(name).needs_agent}
        | dict.fromkeys(("EXOTEL_ALLOWED_IPS", "BOLNA_ALLOWED_IPS"), "203.0.113.10,203.0.113.11,203.0.113.12")
        | {"VONAGE_PRIVATE_KEY": "ssm:/redial-prod/vonage-private-key", "PUBLIC_URL": "https://calls.example.com"}
    )
    assert size_bytes(on_aws) <= MAX_BYTES - ROOM_BYTES
