"""Names that look like others, or like nothing."""

import unicodedata
from urllib.parse import quote

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import Json, made

LAYERS: Json = {"layers": []}
UNSEEN = {"BEL": 7, "DEL": 0x7F, "CSI": 0x9B, "LS": 0x2028, "RLO": 0x202E, "LRE": 0x202A, "PDI": 0x2069}
COMPOSED = unicodedata.normalize("NFC", "\u00e9tudes \u1ea5\ud55c")
APART = unicodedata.normalize("NFD", COMPOSED)


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client("write", "names")


@pytest.mark.parametrize("code", UNSEEN.values(), ids=UNSEEN.keys())
def test_what_nobody_sees_is_no_part_of_a_name(server: Server, client: httpx.Client, code: int) -> None:
    name = f"a{chr(code)}b"
    bodies: dict[str, Json] = {
        "name": {"name": name},
        "metadata.note": {"metadata": {"note": name}},
        "metadata": {"metadata": {name: "note"}},
    }
    for param, body in bodies.items():
        response = client.post("/v1/architectures", json={**LAYERS, **body})
        problem = assert_problem(response, 422, "invalid")
        assert problem["errors"][0]["param"].startswith(param)
        assert "not allowed" in problem["errors"][0]["message"]
        assert param.startswith("metadata") or name not in response.text
    admin = server.client()
    for param in ("name", "project"):
        body = {"name": "k", "project": "names", "role": "read", param: name}
        assert_problem(admin.post("/v1/keys", json=body), 422, param=param)
    assert_problem(client.put(f"/v1/aliases/{quote(name)}", json={"model_id": "mdl_0"}), 422, param="alias")


def test_emoji_and_marks_of_scripts_stay(client: httpx.Client) -> None:
    for name in (
        "\U0001f469\u200d\U0001f52c",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647",
        "a\u200eb",
    ):
        assert made(client.post("/v1/architectures", json={**LAYERS, "name": name}), 201)["name"] == name


def test_names_are_compared_as_people_read_them(client: httpx.Client) -> None:
    assert APART != COMPOSED
    ids = set()
    for name in (COMPOSED, APART):
        body = {**LAYERS, "name": name, "metadata": {"as sent": name}}
        found = made(client.post("/v1/architectures", json=body), 201)
        assert (found["name"], found["metadata"]["as sent"]) == (COMPOSED, name)
        ids.add(found["id"])
    for name in (COMPOSED, APART):
        listed = made(client.get("/v1/architectures", params={"name": name}), 200)["data"]
        assert {each["id"] for each in listed} == ids


def test_a_project_has_one_name(server: Server) -> None:
    admin = server.client()
    for name in (COMPOSED, APART):
        key = made(admin.post("/v1/keys", json={"name": name, "project": name, "role": "read"}), 201)
        assert (key["project"], key["name"]) == (COMPOSED, COMPOSED)
    for name in (COMPOSED, APART):
        assert made(admin.get(f"/v1/projects/{name}"), 200)["name"] == COMPOSED
        assert len(made(admin.get("/v1/keys", params={"project": name}), 200)["data"]) == 2
        assert len(made(admin.get("/v1/audit", params={"project": name}), 200)["data"]) == 3
        acting = admin.get("/v1/limits", headers={b"Chainrule-Project": name.encode()})
        assert made(acting, 200)["project"] == COMPOSED


def test_a_project_tells_which_key_made_it(server: Server) -> None:
    admin = server.client()
    maker = made(admin.post("/v1/keys", json={"name": "m", "project": "default", "role": "admin"}), 201)
    with server.client_with({"Authorization": f"Bearer {maker['secret']}"}) as other:
        for role in ("read", "write"):  # the second finds it
            made(other.post("/v1/keys", json={"name": "k", "project": "made by", "role": role}), 201)
    assert made(admin.get("/v1/projects/made by"), 200)["created_by"] == maker["id"]
    assert made(admin.get("/v1/projects/default"), 200)["created_by"] is None
