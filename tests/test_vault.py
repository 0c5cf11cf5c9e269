"""Secrets in Systems Manager and Secrets Manager.

The app reads them, caches them, reads them again, and never shows them.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import moto
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.errors import RedialError
from chalicelib.providers import DeferredByProvider, DialRequest
from chalicelib.providers.signing import basic_login
from chalicelib.runtime import services as parts
from chalicelib.runtime.ready_providers import ReadyProviders
from chalicelib.runtime.settings import Settings
from chalicelib.runtime.vault import Vault
from tests.support.app_output import logged
from tests.support.fake_http import FakeHttp, answer
from tests.support.world import ENV, START, TurnedClock, World, new_client

REGION = "us-east-1"
TOKEN = "twilio-token-1"
REFERRING = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "ssm:/redial-dev/twilio-auth-token",
}
REQUEST = DialRequest(
    "call_1", 1, "+14155550100", "+16505550199", "https://example.com/a.xml", "https://example.com/callbacks/twilio/t"
)


class Keeper:
    """A fake of both services, which records the client's calls.

    ``broken`` is the answer of AWS instead of the value.
    """

    def __init__(self) -> None:
        self.made: list[str] = []
        self.asked: list[Any] = []
        self.broken: Exception | None = None
        self.clock = TurnedClock()
        self.vault = Vault(self._make_client, self.clock.now)

    def _make_client(self, service: str) -> Any:
        self.made.append(service)
        client = parts.client(service)
        client.meta.events.register("provide-client-params.*", self._asked, unique_id="keeper")
        return client

    def _asked(self, params: Mapping[str, Any], **_: Any) -> None:
        self.asked.append(params.get("Names") or params.get("SecretId"))
        if self.broken is not None:
            raise self.broken

    def parameter(self, name: str, value: str) -> None:
        client = parts.client("ssm")
        client.meta.events.unregister("provide-client-params.*", unique_id="keeper")
        client.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    def secret(self, name: str, value: str) -> str:
        arn: str = parts.client("secretsmanager").create_secret(Name=name, SecretString=value)["ARN"]
        return arn

    def take(self, **values: str) -> dict[str, str]:
        return self.vault.resolved(values)


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    parts.client.cache_clear()
    with moto.mock_aws():
        yield Keeper()
    parts.client.cache_clear()


def test_values_that_are_no_references_cost_nothing(keeper: Keeper) -> None:
    values = {"A_KEY": "secret", "A_URL": "https://example.com", "A_SECRET": "ssmith:x"}
    assert keeper.take(**values) == values
    assert keeper.made == []


def test_references_are_read_from_their_services(keeper: Keeper) -> None:
    keeper.parameter("/redial-dev/plain", "one\n")
    keeper.parameter("/redial-dev/json", '{"token": "two", "other": "x"}')
    arn = keeper.secret("redial-dev/bolna", "three")
    keeper.secret("redial-dev/vonage", '{"private_key": "four", "signature_secret": "five"}')
    taken = keeper.take(
        A="ssm:/redial-dev/plain",
        B="ssm:/redial-dev/json#token",
        C=f"secretsmanager:{arn}",
        D="secretsmanager:redial-dev/vonage#private_key",
        E="secretsmanager:redial-dev/vonage#signature_secret",
        F="six",
    )
    assert taken == {"A": "one", "B": "two", "C": "three", "D": "four", "E": "five", "F": "six"}
    assert keeper.asked == [["/redial-dev/plain", "/redial-dev/json"], arn, "redial-dev/vonage"]


def test_a_parameter_is_found_by_its_arn(keeper: Keeper) -> None:
    keeper.parameter("/redial-dev/token", "value")
    arn = parts.client("ssm").get_parameter(Name="/redial-dev/token")["Parameter"]["ARN"]
    assert keeper.take(A=f"ssm:{arn}") == {"A": "value"}


def test_a_parameter_is_found_by_its_label() -> None:
    class Ssm:
        """A fake of Systems Manager that answers as AWS does.

        AWS returns the label beside the name, and the emulator does not.
        """

        def get_parameters(self, **_: object) -> dict[str, Any]:
            return {"Parameters": [{"Name": "/redial-dev/token", "Selector": ":live", "Value": "value"}]}

    vault = Vault(lambda _: Ssm(), TurnedClock().now)
    assert vault.resolved({"A": "ssm:/redial-dev/token:live"}) == {"A": "value"}


def test_parameters_are_read_ten_to_a_request(keeper: Keeper) -> None:
    names = [f"/redial-dev/{number:02d}" for number in range(12)]
    for name in names:
        keeper.parameter(name, f"value of {name}")
    taken = keeper.take(**{f"V{number:02d}": f"ssm:{name}" for number, name in enumerate(names)})
    assert list(taken.values()) == [f"value of {name}" for name in names]
    assert keeper.asked == [names[:10], names[10:]]


def test_a_secret_is_read_again_after_five_minutes(keeper: Keeper) -> None:
    keeper.parameter("/p", "old")
    assert keeper.take(A="ssm:/p") == {"A": "old"}
    keeper.parameter("/p", "new")
    keeper.clock.turn(seconds=299)
    assert keeper.take(A="ssm:/p") == {"A": "old"}
    keeper.clock.turn(seconds=1)
    assert keeper.take(A="ssm:/p") == {"A": "new"}


def test_while_a_secret_cannot_be_read_again_the_one_that_is_known_goes_on(
    keeper: Keeper, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper.parameter("/p", "known")
    keeper.take(A="ssm:/p")
    keeper.clock.turn(minutes=5)
    keeper.take(A="ssm:/p")
    keeper.broken = EndpointConnectionError(endpoint_url="https://ssm.example.com")
    keeper.clock.turn(minutes=5)
    asked = len(keeper.asked)
    assert [keeper.take(A="ssm:/p"), keeper.take(A="ssm:/p")] == [{"A": "known"}] * 2
    assert len(keeper.asked) == asked + 1
    (line,) = logged(capsys.readouterr().out)
    assert (line["event"], line["secrets"]) == ("secret-not-read-again", "A (ssm:/p)")


def test_an_unreadable_reference_is_named_by_variable_without_value(keeper: Keeper) -> None:
    keeper.parameter("/p", "hidden-value")
    keeper.parameter("/json", '{"token": ["hidden-value"]}')
    for reference, said in (
        ("ssm:/missing", "A_KEY is 'ssm:/missing', but Systems Manager has no parameter '/missing'"),
        ("secretsmanager:missing", "A_KEY is 'secretsmanager:missing', but there is no secret 'missing'"),
        ("ssm:/p#token", "A_KEY is 'ssm:/p#token', but what is kept there must be a JSON object with a text"),
        ("ssm:/json#key", "A_KEY is 'ssm:/json#key', but what is kept there must be a JSON object"),
        ("ssm:/json#token", "A_KEY is 'ssm:/json#token', but what is kept there must be a JSON object"),
    ):
        with pytest.raises(RedialError) as caught:
            keeper.take(A_KEY=reference)
        assert str(caught.value).startswith(said)
        assert "hidden-value" not in str(caught.value)
        assert caught.value.__cause__ is None
    refused = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized to perform ssm:GetParameters"}}
    keeper.broken = ClientError(refused, "GetParameters")  # type: ignore[arg-type]
    with pytest.raises(RedialError, match=r"B_KEY \(ssm:/q\) could not be read: AccessDeniedException: not authorized"):
        keeper.take(B_KEY="ssm:/q")


def ready(keeper: Keeper, http: FakeHttp) -> ReadyProviders:
    return ReadyProviders(Settings.from_env(REFERRING), keeper.vault, keeper.clock.now, http)


def test_only_a_rotated_secret_makes_a_new_provider(keeper: Keeper) -> None:
    keeper.parameter("/redial-dev/twilio-auth-token", "old")
    source = ready(keeper, FakeHttp(answer(200)))
    first = source("twilio")
    assert first.credentials["auth_token"] == "old"
    keeper.clock.turn(minutes=6)
    assert source("twilio") is first
    keeper.parameter("/redial-dev/twilio-auth-token", "new")
    keeper.clock.turn(minutes=6)
    assert source("twilio").credentials["auth_token"] == "new"


def test_after_a_denied_dial_the_next_dial_uses_the_new_secret(keeper: Keeper) -> None:
    keeper.parameter("/redial-dev/twilio-auth-token", "old")
    http = FakeHttp(answer(401, {"code": 20003}))
    source = ready(keeper, http)
    source("twilio")
    keeper.parameter("/redial-dev/twilio-auth-token", "new")
    keeper.clock.turn(seconds=61)
    result = source("twilio").dial(REQUEST)
    assert isinstance(result, DeferredByProvider)
    assert (result.cause, result.fault) == ("twilio:20003", True)
    source("twilio").dial(REQUEST)
    sid = REFERRING["TWILIO_ACCOUNT_SID"]
    assert [sent[2]["Authorization"] for sent in http.sent] == [basic_login(sid, "old"), basic_login(sid, "new")]


def test_a_secret_denied_in_its_first_minute_is_not_read_again(keeper: Keeper) -> None:
    keeper.parameter("/redial-dev/twilio-auth-token", "wrong")
    source = ready(keeper, FakeHttp(answer(403)))
    for _ in range(3):
        source("twilio").dial(REQUEST)
    assert len(keeper.asked) == 1


def test_an_invalid_header_credential_is_rejected_without_its_value(keeper: Keeper) -> None:
    keeper.parameter("/redial-dev/twilio-auth-token", "hidden\nvalue")
    with pytest.raises(RedialError, match=r"^TWILIO_AUTH_TOKEN holds a line break or another unprintable character$"):
        ready(keeper, FakeHttp(answer(200)))("twilio")


class TestCallbacks:
    """A callback that is signed with a secret which the app has not read yet."""

    @pytest.fixture
    def world(self, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", REFERRING["TWILIO_AUTH_TOKEN"])
        self.put("secret-of-yore")
        return world

    def put(self, value: str) -> None:
        name = REFERRING["TWILIO_AUTH_TOKEN"].removeprefix("ssm:")
        parts.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    def reads(self, world: World) -> int:
        return world.aws.calls.count("GetParameters")

    def test_it_is_verified_with_the_secret_read_again(self, world: World) -> None:
        world.aws.attach(parts.client("ssm"))
        world.place()
        self.put(ENV["TWILIO_AUTH_TOKEN"])  # the carrier signs with this token
        world.clock.turn(seconds=59)
        assert world.callback(world.twilio.placed[0], "ringing").status_code == 403
        assert self.reads(world) == 1
        world.clock.turn(seconds=1)
        assert world.callback(world.twilio.placed[0], "ringing").status_code == 200
        assert self.reads(world) == 2

    def test_wrong_signatures_make_us_ask_at_most_once_a_minute(self, world: World) -> None:
        world.aws.attach(parts.client("ssm"))
        world.place()
        world.clock.turn(seconds=60)
        for _ in range(5):
            assert world.callback(world.twilio.placed[0], "ringing").status_code == 403
        assert self.reads(world) == 2

    def test_a_secret_that_cannot_be_read_is_an_error_that_names_it(self, world: World) -> None:
        parts.client("ssm").delete_parameter(Name="/redial-dev/twilio-auth-token")
        answer = world.request("POST", "/calls", {"from_number": "+14155550100", "to_number": "+16505550199"})
        assert answer.status_code == 422
        assert "TWILIO_AUTH_TOKEN is 'ssm:/redial-dev/twilio-auth-token'" in answer.json_body["errors"][0]["detail"]

    def test_no_secret_is_in_a_log_line_or_a_repr(
        self, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLIVO_AUTH_TOKEN", "secret-in-the-environment")
        monkeypatch.setenv("PLIVO_AUTH_ID", "MA1")
        self.put(f"{ENV['TWILIO_AUTH_TOKEN']}-the-secret")
        world.place()
        self.put(ENV["TWILIO_AUTH_TOKEN"])
        world.clock.turn(minutes=2)
        world.end("busy")
        world.twilio.answers = [answer(401, {"code": 20003, "message": "Authenticate"}), RuntimeError("broken")]
        world.pump(START + timedelta(hours=2))
        ports = world.services.ports
        shown = [repr(ports), repr(ports.settings), repr(world.services), repr(ports.fresh_provider)]
        for name in ("twilio", "plivo"):
            provider = ports.provider(name)
            shown += [repr(provider), str(provider), repr(provider.http)]
        told = "\n".join([*shown, capsys.readouterr().out])
        assert [word for word in ("dialed", "account-fault", "redial-broken") if f'"{word}"' not in told] == []
        assert [
            secret for secret in ("the-secret", "secret-in-the", ENV["AWS_SECRET_ACCESS_KEY"]) if secret in told
        ] == []


@pytest.mark.parametrize(
    "reference", ["ssm:/redial-dev/twilio-auth-token", "secretsmanager:redial-dev/twilio-auth-token"]
)
def test_each_lambda_reads_a_reference_by_itself(world: World, monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    kind, _, name = reference.partition(":")
    if kind == "ssm":
        parts.client("ssm").put_parameter(Name=name, Value=ENV["TWILIO_AUTH_TOKEN"], Type="SecureString")
    else:
        parts.client("secretsmanager").create_secret(Name=name, SecretString=ENV["TWILIO_AUTH_TOKEN"])
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", reference)
    world.client = new_client().__enter__()
    call = world.place()
    world.end("busy")
    world.restart()
    world.clock.turn(minutes=30)
    assert world.redial(START + timedelta(minutes=30)) == {"left": 0, "dialed": 1}
    world.restart()
    world.clock.turn(hours=2)
    world.twilio.known[world.twilio.placed[1].sid] = {"status": "completed", "duration": "9"}
    assert world.sweep()["silent-ended"] == 1
    assert world.call(call["id"])["summary_status"] == "completed"


def test_an_answer_url_must_stand_in_the_environment_itself() -> None:
    with pytest.raises(RedialError, match="TWILIO_ANSWER_URL is 'ssm:/url'; only credentials may be references"):
        Settings.from_env({"TWILIO_ANSWER_URL": "ssm:/url"})


def test_no_client_is_made_without_references(world: World) -> None:
    made = parts.client.cache_info().currsize
    world.place()
    world.end("completed")
    assert parts.client.cache_info().currsize == made


DENIED = ClientError(
    {
        "Error": {
            "Code": "AccessDeniedException",
            "Message": "User: arn:aws:sts::123456789012:assumed-role/redial-dev is not authorized",
        }
    },
    "GetParameters",
)


def test_a_secret_that_cannot_be_read_is_asked_for_once_in_a_while(keeper: Keeper) -> None:
    keeper.broken = DENIED
    for _ in range(20):
        with pytest.raises(RedialError, match=r"A_KEY \(ssm:/p\) could not be read"):
            keeper.vault.resolved({"A_KEY": "ssm:/p"})
    assert len(keeper.asked) == 1
    keeper.clock.turn(seconds=29)
    with pytest.raises(RedialError):
        keeper.vault.resolved({"A_KEY": "ssm:/p"})
    assert len(keeper.asked) == 1
    keeper.broken = None
    keeper.parameter("/p", "v")
    keeper.clock.turn(seconds=1)
    assert keeper.vault.resolved({"A_KEY": "ssm:/p"}) == {"A_KEY": "v"}
    assert len(keeper.asked) == 2


def test_a_secret_that_is_not_there_is_asked_for_once_in_a_while(keeper: Keeper) -> None:
    for _ in range(20):
        with pytest.raises(RedialError, match="has no parameter '/p'"):
            keeper.vault.resolved({"A_KEY": "ssm:/p"})
    assert len(keeper.asked) == 1
    keeper.parameter("/p", "v")
    keeper.clock.turn(seconds=30)
    assert keeper.vault.resolved({"A_KEY": "ssm:/p"}) == {"A_KEY": "v"}


def test_an_answer_does_not_name_an_unreadable_secret(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "ssm:/redial-dev/twilio-auth-token")
    world.restart()
    client = parts.client("ssm")

    def denied(**_: object) -> None:
        raise DENIED

    monkeypatch.setattr(client, "get_parameters", denied)
    for path in ("/callbacks/twilio", "/callbacks/twilio/x"):
        answer = world.client.http.post(path, headers={"X-Twilio-Signature": "x"}, body=b"CallSid=CA1")
        assert answer.status_code == 503
        for hidden in (b"123456789012", b"ssm:", b"TWILIO", b"Denied"):
            assert hidden not in answer.body
    placed = world.request("POST", "/calls", {"from_number": "+14155550100", "to_number": "+16505550199"})
    assert (placed.status_code, b"123456789012" in placed.body) == (503, False)
    assert "AccessDeniedException" in capsys.readouterr().out
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "two\nlines")
    world.restart()
    answer = world.client.http.post("/callbacks/twilio/x", headers={"X-Twilio-Signature": "x"}, body=b"")
    assert (answer.status_code, b"TWILIO" in answer.body) == (500, False)
