"""Every route with another workspace's key and with a read-only key.

The test expects that such a key sees nothing and changes nothing. A new route needs a row in ROUTES: its request, its
role, and the answer to another workspace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from app import app
from chalicelib.api.operations import OPERATIONS
from chalicelib.storage.keys import Role
from ops.data.keys import create_key
from tests.support.kept_aws import KeptAws
from tests.support.world import BODY, START, TABLE, World

#: items that no workspace owns, and the keys, whose last use is recorded
SHARED = ("WAKE#", "PACE#", "HEALTH#", "KEY#")
#: a text in everything that the first workspace stores; no other workspace may see it
SECRET = "only-acme-may-see-this"
NUMBER = "+16505550123"
PLAIN = {name: BODY[name] for name in ("to_number", "from_number")}
EXOTEL = {"name": "x", "caller_id": "+14155550100", "numbers": [BODY["to_number"]], "call_flow_id": "f"}
BOLNA = {"agent_id": "a", "recipient_phone_number": BODY["to_number"], "from_phone_number": "+14155550100"}


@dataclass(frozen=True, slots=True)
class Row:
    """The request of a route (``body``), its role, and the answer to a stranger.

    The role is None if the route takes no key. A stranger who asks for a call of the first workspace is refused (403).
    Names and numbers belong to each workspace: a stranger finds none (404), or makes and removes its own (200, 201,
    204).
    """

    role: Role | None
    stranger: int
    body: Mapping[str, Any] | None = None


ROUTES: dict[tuple[str, str], Row] = {
    ("POST", "/calls"): Row(Role.WRITE, 201, PLAIN),
    ("GET", "/calls"): Row(Role.READ, 200),
    ("GET", "/calls/{call_id}"): Row(Role.READ, 403),
    ("POST", "/calls/{call_id}/cancel"): Row(Role.WRITE, 403),
    ("GET", "/calls/{call_id}/decisions"): Row(Role.READ, 403),
    ("GET", "/call-logs/{call_id}/retries"): Row(Role.READ, 403),
    ("GET", "/v1/call-logs/{call_id}/retries"): Row(Role.READ, 403),
    ("GET", "/executions/{call_id}"): Row(Role.READ, 403),
    ("GET", "/call-report/{call_id}"): Row(Role.READ, 403),
    ("POST", "/policies/preview"): Row(Role.READ, 422, {"timezone": "Etc/UTC", "policy_name": "reminders"}),
    ("GET", "/policies"): Row(Role.READ, 200),
    ("GET", "/policies/{name}"): Row(Role.READ, 404),
    ("PUT", "/policies/{name}"): Row(Role.WRITE, 200, {"retry": {"max_retries": 9}}),
    ("POST", "/policies/{name}/adoption-token"): Row(Role.WRITE, 404),
    ("DELETE", "/policies/{name}"): Row(Role.WRITE, 204),
    ("GET", "/numbers/{number}/opt-out"): Row(Role.READ, 404),
    ("PUT", "/numbers/{number}/opt-out"): Row(Role.WRITE, 200, {"reason": "mine"}),
    ("DELETE", "/numbers/{number}/opt-out"): Row(Role.WRITE, 204),
    ("POST", "/numbers/{number}/contacted"): Row(Role.WRITE, 200, {}),
    ("DELETE", "/numbers/{number}"): Row(Role.ADMIN, 200),
    ("POST", "/pause-all"): Row(Role.ADMIN, 200, {"reason": "mine"}),
    ("GET", "/pause-all"): Row(Role.READ, 200),
    ("POST", "/resume-all"): Row(Role.ADMIN, 200),
    ("POST", "/call"): Row(Role.WRITE, 200, BOLNA),
    ("POST", "/v1/Accounts/{sid}/Campaigns"): Row(Role.WRITE, 201, EXOTEL),
    # A callback is authorized by the provider's signature, not by a key.
    ("POST", "/callbacks/{provider}/{token}"): Row(None, 403),
    ("GET", "/callbacks/{provider}/{token}"): Row(None, 403),
    ("POST", "/callbacks/{provider}/adopt/{token}"): Row(None, 403),
    ("GET", "/callbacks/{provider}/adopt/{token}"): Row(None, 403),
    ("POST", "/callbacks/{provider}"): Row(None, 403),
    ("GET", "/callbacks/{provider}"): Row(None, 403),
    ("GET", "/health"): Row(None, 200),
    ("GET", "/openapi.json"): Row(None, 200),
    ("GET", "/docs"): Row(None, 200),
}
EACH_ROUTE = pytest.mark.parametrize(
    ("method", "route"), list(ROUTES), ids=[f"{method} {route}" for method, route in ROUTES]
)


@dataclass(frozen=True, slots=True)
class Acme:
    """The first workspace: a call that waits for its retry, a policy, an opt-out."""

    world: World
    call_id: str
    token: str
    cursor: str

    def path(self, route: str) -> str:
        """Return the route with the first workspace's values in it."""
        provider, sid = "twilio", "acme"
        return route.format(
            call_id=self.call_id, name="reminders", number=NUMBER, provider=provider, token=self.token, sid=sid
        )

    def kept(self) -> dict[str, Any]:
        """Return the table without the last use of keys and without shared items.

        Minutes, pace and health are shared by all workspaces.
        """
        items = self.world.dynamodb.scan(TableName=TABLE)["Items"]
        return {f"{i['pk']['S']} {i['sk']['S']}": i for i in items if not i["pk"]["S"].startswith(SHARED)}

    def ask(self, method: str, route: str, key: str) -> Any:
        """Send the route's request with a key and the first workspace's Idempotency-Key."""
        headers = {"Idempotency-Key": "order-7"}
        return self.world.request(method, self.path(route), ROUTES[method, route].body, key=key, headers=headers)


@pytest.fixture(scope="module")
def kept() -> list[KeptAws]:
    """Return a list for the first test's copy of the set-up."""
    return []


@pytest.fixture
def acme(world: World, kept: list[KeptAws]) -> Acme:
    """Set up the first workspace once, and give each test its own copy."""
    if not kept:
        values = set_up(world)
        kept.append(KeptAws(world.key, world.twilio.placed, world.twilio.requests, world.aws.rules, values))
    world.key, world.twilio.placed, world.twilio.requests, world.aws.rules, values = kept[0].restore()
    world.restart()
    return Acme(world, *values)


def set_up(world: World) -> tuple[str, str, str]:
    mine = {"metadata": {"note": SECRET}, "agent_version_id": SECRET, "variables": {"note": SECRET}}
    placed = world.request("POST", "/calls", {**BODY, **mine}, headers={"Idempotency-Key": "order-7"}).json_body
    token = world.twilio.placed[0].callback_url.rpartition("/")[2]
    world.end("busy")
    world.place(start_at="2026-01-27T09:00:00Z", **mine)
    world.request("PUT", "/policies/reminders", {"retry": {}, "target": {"url": f"https://example.com/{SECRET}"}})
    world.request("PUT", f"/numbers/{NUMBER}/opt-out", {"reason": SECRET})
    cursor = world.request("GET", "/calls?limit=1").json_body["next_cursor"]
    return placed["id"], token, cursor


def key_of(world: World, workspace: str, role: Role) -> str:
    return create_key(world.dynamodb, TABLE, workspace=workspace, role=role, now=START)


def test_every_route_has_its_row_here() -> None:
    routes = {(method, path) for path, methods in app.routes.items() for method in methods}
    assert sorted(routes - set(ROUTES)) == [], "give these routes a row in ROUTES: role, what a stranger gets, body"
    assert sorted(set(ROUTES) - routes) == [], "these rows of ROUTES have no route any more"


def test_the_roles_are_those_of_the_document() -> None:
    told = {(method, path): row.role for path, methods in OPERATIONS.items() for method, row in methods.items()}
    assert {route: row.role for route, row in ROUTES.items()} == told


@EACH_ROUTE
def test_no_other_key_sees_or_changes_anything(acme: Acme, method: str, route: str) -> None:
    row = ROUTES[method, route]
    before, dialled = acme.kept(), len(acme.world.twilio.requests)

    nobody = acme.ask(method, route, "rdl_nobody")
    assert nobody.status_code == (row.stranger if row.role is None else 401)
    assert acme.kept() == before

    reader = acme.ask(method, route, key_of(acme.world, "acme", Role.READ))
    wanted = row.stranger if row.role is None else 200 if row.role is Role.READ else 403
    assert reader.status_code == wanted, reader.body
    assert (acme.kept(), len(acme.world.twilio.requests)) == (before, dialled)

    stranger = acme.ask(method, route, key_of(acme.world, "other", Role.ADMIN))
    assert stranger.status_code == row.stranger, stranger.body
    assert SECRET not in stranger.body.decode()
    after = acme.kept()
    assert {key: after.get(key) for key in before} == before
    added = [item for key, item in after.items() if key not in before]
    assert [item for item in added if "acme" in str(item)] == []


@EACH_ROUTE
@pytest.mark.parametrize("role", [Role.WRITE, Role.ADMIN])
def test_a_key_may_do_all_that_its_role_allows(acme: Acme, method: str, route: str, role: Role) -> None:
    answer = acme.ask(method, route, key_of(acme.world, "acme", role))
    row = ROUTES[method, route]
    if row.role is None:
        assert answer.status_code == row.stranger
    elif role.allows(row.role):
        # 422: the Idempotency-Key was used with another body before.
        assert answer.status_code in (200, 201, 204, 422), answer.body
    else:
        assert answer.status_code == 403


def test_a_cursor_leads_no_other_workspace_anywhere(acme: Acme) -> None:
    stranger = key_of(acme.world, "other", Role.ADMIN)
    answer = acme.world.request("GET", f"/calls?cursor={acme.cursor}", key=stranger)
    assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/cursor")
    assert acme.world.request("GET", f"/calls?cursor={acme.cursor}").status_code == 200


def test_an_attempts_id_opens_a_call_to_no_stranger_either(acme: Acme) -> None:
    stranger = key_of(acme.world, "other", Role.ADMIN)
    assert acme.world.request("GET", f"/calls/{acme.call_id}-1", key=stranger).status_code == 403


def test_an_opt_out_in_one_workspace_leaves_the_calls_of_another_alone(acme: Acme) -> None:
    stranger = key_of(acme.world, "other", Role.ADMIN)
    for path in (f"/numbers/{BODY['to_number']}/opt-out", f"/numbers/{BODY['to_number']}/contacted"):
        method = "PUT" if path.endswith("opt-out") else "POST"
        assert acme.world.request(method, path, {}, key=stranger).status_code == 200
    assert acme.world.call(acme.call_id)["state"] == "scheduled"


@pytest.mark.parametrize("name", ["acme#order", "", "a b", "x" * 65, "#", "💥"])
def test_no_workspace_has_a_name_that_runs_into_the_key_of_anothers_item(world: World, name: str) -> None:
    # IDEMPOTENCY#acme#order#7 would also be the item of acme's key "order#7".
    with pytest.raises(ValueError, match="is no workspace's name: 1 to 64 letters"):
        key_of(world, name, Role.ADMIN)
