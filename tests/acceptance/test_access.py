"""Who may do what: keys, roles and projects."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.operations import ROLES, least_roles
from tests.support.problems import assert_problem, without_chance
from tests.support.server import Server, until
from tests.support.training import XOR, Json, made, train, upload

UNKNOWN = "0" * 24


@pytest.fixture(scope="module")
def theirs(server: Server) -> Json:
    """Ids of another project: a dataset, an architecture, a job and its model."""
    client = server.client("write", "theirs")
    data = upload(client, XOR)
    training = {"epochs": 1, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}
    job = train(client, dataset_id=data["id"], target="y", training=training)
    architecture = made(client.post("/v1/architectures", json={"layers": []}), 201)
    return {"ds": data["id"], "arch": architecture["id"], "job": job["id"], "mdl": job["model_id"]}


@pytest.fixture(scope="module")
def nobody(server: Server) -> Iterator[httpx.Client]:
    with server.client_with({}) as client:
        yield client


OPEN = ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready"]
CLOSED = [
    ("GET", "/v1"),
    ("GET", "/v1/datasets"),
    ("POST", "/v1/datasets"),
    ("GET", "/v1/jobs/job_x/events"),
    ("POST", "/v1/jobs"),
    ("POST", "/v1/models/mdl_x/predict"),
    ("GET", "/v1/keys"),
    ("GET", "/v1/workers"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/"),
    ("GET", "/nothing/here"),
    ("GET", "/livez/"),
    ("GET", "//livez"),
    ("DELETE", "/v1/datasets"),
    ("PROPFIND", "/v1"),
    ("OPTIONS", "/v1/datasets"),
]


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic YTpi", "Bearer \xff\xfe"])
@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_no_route_answers_without_a_key(
    nobody: httpx.Client, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    response = nobody.request(method, path, headers=headers)  # type: ignore[arg-type]
    assert_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", OPEN)
def test_probes_need_no_key(server: Server, path: str) -> None:
    with server.client_with({}) as nobody:
        assert nobody.get(path).status_code == 200
        assert nobody.head(path).status_code in (200, 405)


def test_probes_tell_what_is_alive(server: Server) -> None:
    with server.client_with({}) as nobody:
        assert nobody.get("/livez").json() == {"status": "live"}
        ready = made(nobody.get("/readyz", params={"workers": 1}), 200)
    assert (ready["status"], ready["database"]) == ("ready", "ok")
    assert ready["workers"] >= 1
    workers = made(server.client().get("/v1/workers"), 200)["data"]
    assert {each["pid"] for each in workers} >= {each.pid for each in server.processes().supervisors}


OPERATIONS = least_roles()
AUDIT_PAGE = Path(__file__).parents[2] / "docs" / "audit.md"


def test_every_operation_has_its_least_role_on_the_page(server: Server) -> None:
    paths = server.client().get("/openapi.json").json()["paths"]
    assert OPERATIONS.keys() == {f"{method.upper()} {path}" for path in paths for method in paths[path]}
    assert set(OPERATIONS.values()) == {"none", *ROLES}


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if OPERATIONS[each] != "none"])
def test_roles_open_what_the_page_says(server: Server, operation: str) -> None:
    least = OPERATIONS[operation]
    method, template = operation.split()
    path = re.sub(r"\{(\w+)\}", f"x_{UNKNOWN}", template)
    body = {"nonsense": True} if method in ("POST", "PUT", "PATCH") else None
    for role in ROLES:
        response = server.client(role, "roles").request(method, path, json=body)
        if ROLES.index(role) < ROLES.index(least):
            problem = assert_problem(response, 403, "role_too_low")
            assert f"'{least}'" in problem["detail"]
        else:
            assert response.status_code in (200, 404, 422), response.text


PATHS = [
    ("GET", "/v1/datasets/{ds}", None),
    ("PATCH", "/v1/datasets/{ds}", {"name": "mine"}),
    ("DELETE", "/v1/datasets/{ds}", None),
    ("GET", "/v1/datasets/{ds}/rows", None),
    ("GET", "/v1/datasets/{ds}/content", None),
    ("GET", "/v1/architectures/{arch}", None),
    ("PATCH", "/v1/architectures/{arch}", {"name": "mine"}),
    ("DELETE", "/v1/architectures/{arch}", None),
    ("GET", "/v1/jobs/{job}", None),
    ("GET", "/v1/jobs/{job}?wait=5", None),
    ("PATCH", "/v1/jobs/{job}", {"name": "mine"}),
    ("DELETE", "/v1/jobs/{job}", None),
    ("POST", "/v1/jobs/{job}/cancel", None),
    ("POST", "/v1/jobs/{job}/retry", None),
    ("POST", "/v1/jobs/{job}/resume", None),
    ("POST", "/v1/jobs/{job}/pause", None),
    ("GET", "/v1/jobs/{job}/epochs", None),
    ("GET", "/v1/jobs/{job}/events", None),
    ("GET", "/v1/jobs/{job}/split", None),
    ("GET", "/v1/jobs/{job}/snapshots", None),
    ("GET", "/v1/jobs/{job}/manifest", None),
    ("GET", "/v1/models/{mdl}", None),
    ("PATCH", "/v1/models/{mdl}", {"name": "mine"}),
    ("DELETE", "/v1/models/{mdl}", None),
    ("GET", "/v1/models/{mdl}/parameters", None),
    ("GET", "/v1/models/{mdl}/export", None),
    ("POST", "/v1/models/{mdl}/evaluations", {"split": "train"}),
    ("GET", "/v1/models/{mdl}/evaluations", None),
    ("GET", "/v1/models/{mdl}/evaluations/evl_x", None),
    ("DELETE", "/v1/models/{mdl}/evaluations/evl_x", None),
    ("POST", "/v1/models/{mdl}/evaluate", {"split": "train"}),
    ("POST", "/v1/models/{mdl}/trace", {"inputs": [[0, 0]], "targets": [[0, 1]]}),
    ("POST", "/v1/models/{mdl}/predict", {"inputs": [[0, 0]]}),
]


@pytest.mark.parametrize(("method", "template", "body"), PATHS)
def test_another_projects_object_is_as_if_it_were_not(
    server: Server, theirs: Json, method: str, template: str, body: Json | None
) -> None:
    client = server.client("write", "mine")
    unknown = {prefix: f"{prefix}_{UNKNOWN}" for prefix in theirs}
    answers = [client.request(method, template.format(**names), json=body) for names in (theirs, unknown)]
    for answer in answers:
        assert_problem(answer, 404, "not_found")
    assert without_chance(answers[0]) == without_chance(answers[1])
    told = [set(answer.headers) for answer in answers]
    assert told[0] == told[1]


def test_an_event_stream_of_another_project_is_a_404_too(server: Server, theirs: Json) -> None:
    client = server.client("write", "mine")
    headers = {"Accept": "text/event-stream"}
    answers = [client.get(f"/v1/jobs/{id_}/events", headers=headers) for id_ in (theirs["job"], "job_0")]
    for answer in answers:
        assert_problem(answer, 404, "not_found")
    assert without_chance(answers[0]) == without_chance(answers[1])


def test_ids_inside_a_body_are_looked_up_in_the_project(server: Server, theirs: Json) -> None:
    client = server.client("write", "mine")
    own = upload(client, XOR)
    job = {"dataset_id": own["id"], "target": "y"}
    training = {"epochs": 1, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}
    model = train(client, **job, training=training)["model_id"]
    cases = [
        ("/v1/jobs", "dataset_id", {**job, "dataset_id": theirs["ds"]}),
        ("/v1/jobs", "architecture_id", {**job, "architecture_id": theirs["arch"]}),
        (f"/v1/models/{model}/evaluate", "dataset_id", {"dataset_id": theirs["ds"]}),
    ]
    for path, param, body in cases:
        answers = [client.post(path, json=each) for each in (body, {**body, param: f"x_{UNKNOWN}"})]
        for answer in answers:
            assert_problem(answer, 404, "not_found", param)
        assert without_chance(answers[0]) == without_chance(answers[1])


def test_lists_hold_only_the_projects_own(server: Server, theirs: Json) -> None:
    client = server.client("read", "empty")
    for kind in ("datasets", "architectures", "jobs", "models"):
        assert made(client.get(f"/v1/{kind}"), 200)["data"] == []
    page = made(client.get("/v1/models", params={"job_id": theirs["job"]}), 200)
    assert page["data"] == []
    after = {"after": theirs["job"], "order": "asc"}
    assert made(client.get("/v1/jobs", params=after), 200)["data"] == []


def test_an_admin_acts_in_the_project_it_names(server: Server, theirs: Json) -> None:
    admin = server.client()
    path = f"/v1/jobs/{theirs['job']}"
    assert_problem(admin.get(path), 404, "not_found")
    assert made(admin.get(path, headers={"Chainrule-Project": "theirs"}), 200)["id"] == theirs["job"]
    nowhere = admin.get(path, headers={"Chainrule-Project": "nowhere"})
    assert_problem(nowhere, 404, "not_found", "Chainrule-Project")
    writer = server.client("write", "mine").get(path, headers={"Chainrule-Project": "theirs"})
    assert_problem(writer, 404, "not_found")


@pytest.mark.parametrize(("name", "encoding"), [("größer 生物", "utf-8"), ("größer", "latin-1")])
def test_a_project_is_named_in_any_script(server: Server, name: str, encoding: str) -> None:
    made(server.client().post("/v1/keys", json={"name": "k", "project": name}), 201)
    named = {"Authorization": f"Bearer {server.admin_key}", "Chainrule-Project": name.encode(encoding)}
    answered = server.client().get("/v1/limits", headers=named)  # type: ignore[arg-type]
    assert made(answered, 200)["project"] == name


def test_a_revoked_key_is_refused_within_a_second(server: Server) -> None:
    admin = server.client()
    key = made(admin.post("/v1/keys", json={"name": "short", "role": "read", "project": "short"}), 201)
    assert key["secret"] not in server.log.read_text()
    with server.client_with({"Authorization": f"Bearer {key['secret']}"}) as client:
        assert client.get("/v1/datasets").status_code == 200
        assert admin.delete(f"/v1/keys/{key['id']}").status_code == 204
        until(lambda: client.get("/v1/datasets").status_code == 401, 1.5)


def test_a_key_ends_when_it_was_to_end(server: Server) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=1.0)
    body = {"name": "short", "role": "read", "expires_at": ends.isoformat()}
    key = made(server.client().post("/v1/keys", json=body), 201)
    with server.client_with({"Authorization": f"Bearer {key['secret']}"}) as client:
        assert client.get("/v1/datasets").status_code == 200
        until(lambda: client.get("/v1/datasets").status_code == 401, 2.5)
        late = datetime.now(UTC) - ends
        assert timedelta(seconds=-0.05) < late < timedelta(seconds=1.0)
        assert_problem(client.get("/v1/datasets"), 401, "unauthenticated")


def test_a_key_that_has_ended_already_is_not_made(server: Server) -> None:
    body = {"name": "late", "expires_at": "2020-01-01T00:00:00Z"}
    assert_problem(server.client().post("/v1/keys", json=body), 422, "invalid", "expires_at")


def test_keys_are_read_and_listed_in_parts(server: Server) -> None:
    admin = server.client()
    keys = [
        made(admin.post("/v1/keys", json={"name": f"{n}", "role": "read", "project": "parts"}), 201)
        for n in range(3)
    ]
    plain = [{name: value for name, value in key.items() if name != "secret"} for key in keys]
    assert made(admin.get(f"/v1/keys/{keys[0]['id']}"), 200) == plain[0]
    first = made(admin.get("/v1/keys", params={"project": "parts", "limit": 2}), 200)
    assert (first["data"], first["has_more"]) == (plain[:0:-1], True)
    rest = made(admin.get("/v1/keys", params={"project": "parts", "after": first["last_id"]}), 200)
    assert (rest["data"], rest["has_more"]) == ([plain[0]], False)
    assert_problem(admin.get("/v1/keys/key_none"), 404, "not_found", "key_id")


def test_what_a_key_does_is_in_the_audit_log(server: Server) -> None:
    admin, writer = server.client(), server.client("write", "logged")
    made_ = writer.post("/v1/architectures", json={"layers": []}, headers={"X-Request-Id": "logged-1"})
    architecture = made(made_, 201)
    refused = writer.delete("/v1/architectures/arch_none", headers={"X-Request-Id": "logged-2"})
    assert_problem(refused, 404)
    page = made(admin.get("/v1/audit", params={"project": "logged", "order": "asc"}), 200)
    assert [each["action"] for each in page["data"]] == [
        "project.create",
        "key.create",
        "architecture.create",
    ]
    entry = page["data"][-1]
    assert (entry["object_id"], entry["request_id"]) == (architecture["id"], "logged-1")
    assert (entry["key_id"], entry["role"]) == (architecture["created_by"], "write")
    by_key = made(admin.get("/v1/audit", params={"key_id": entry["key_id"]}), 200)["data"]
    assert by_key == [entry]
    for name in ("object_id", "request_id"):
        assert made(admin.get("/v1/audit", params={name: entry[name]}), 200)["data"] == [entry]
    keys_made = made(admin.get("/v1/audit", params={"project": "logged", "action": "key.create"}), 200)
    assert [each["object_id"] for each in keys_made["data"]] == [entry["key_id"]]
    assert_problem(writer.get("/v1/audit"), 403, "role_too_low")


def test_what_is_sent_again_is_logged_once(server: Server) -> None:
    writer = server.client("write", "logged again")
    headers = {"Idempotency-Key": "once"}
    first, again = (writer.post("/v1/architectures", json={"layers": []}, headers=headers) for _ in range(2))
    assert again.headers["idempotency-replayed"] == "true"
    query = {"object_id": first.json()["id"]}
    assert len(made(server.client().get("/v1/audit", params=query), 200)["data"]) == 1


def test_anybody_with_the_log_can_check_its_chain(server: Server) -> None:
    """As docs/audit.md says, from the answers alone."""
    admin = server.client()
    page: Json = {"has_more": True}
    entries: list[Json] = []
    while page["has_more"]:
        after = {"after": page["last_id"]} if entries else {}
        page = made(admin.get("/v1/audit", params={"order": "asc", "limit": 100, **after}), 200)
        entries += page["data"]
    last: dict[str, str] = {}
    page_code = re.findall(r"```python\n(.*?)```", AUDIT_PAGE.read_text(), re.DOTALL)[0]
    described: dict[str, Any] = {}
    exec(page_code, described)
    for entry in sorted(entries, key=lambda each: each["seq"]):
        assert entry["previous_sha256"] == last.get(entry["project_id"], "0" * 64)
        assert described["chain_sha256"](entry) == entry["chain_sha256"]
        last[entry["project_id"]] = entry["chain_sha256"]
    assert len(last) > 1


def test_a_deleted_model_answers_no_more_within_a_second(server: Server) -> None:
    client = server.client("write", "mine")
    data = upload(client, XOR)
    training = {"epochs": 1, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}
    model = train(client, dataset_id=data["id"], target="y", training=training)["model_id"]
    path = f"/v1/models/{model}/predict"
    assert client.post(path, json={"inputs": [[0, 1]]}).status_code == 200
    assert client.delete(f"/v1/models/{model}").status_code == 204
    until(lambda: client.post(path, json={"inputs": [[0, 1]]}).status_code == 404, 1.5)


def test_the_admin_key_is_kept_to_its_owner(server: Server) -> None:
    path = server.data_dir / "admin.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == f"{server.admin_key}\n"
