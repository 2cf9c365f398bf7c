"""The OpenAPI document leaves nothing unsaid, and its examples are good ones."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import jsonschema_rs
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app import queries, routes
from app.following import router as following
from app.gate import OPEN_PATHS
from app.main import create_app, prepare
from app.predictions import router as predictions
from app.schemas import Request
from app.settings import Settings
from app.storage.database import Database

Json = dict[str, Any]
Found = Iterator[tuple[str, Json]]

KEY = {"Authorization": "Bearer an-operators-own-admin-key"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    key = SecretStr(KEY["Authorization"].removeprefix("Bearer "))
    settings = Settings(data_dir=tmp_path_factory.mktemp("openapi"), admin_key=key)
    database = Database(settings.url)
    prepare(settings, database)
    with TestClient(create_app(settings, database), base_url="http://localhost") as client:
        yield client
    database.close()


@pytest.fixture(scope="module")
def document(client: TestClient) -> Json:
    served: Json = client.get("/openapi.json", headers=KEY).json()
    return served


def operations(document: Json) -> Found:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def bodies(document: Json) -> Found:
    """What is sent and answered, by media type."""
    for name, operation in operations(document):
        sides = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for side, body in sides.items():
            for kind, content in body.get("content", {}).items():
                yield f"{name} {side} {kind}", content


def schemas(document: Json) -> Found:
    """Every schema that has a name, a place in a body, or a parameter."""
    yield from document["components"]["schemas"].items()
    for name, content in bodies(document):
        yield name, content.get("schema", {})
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            yield f"{name} ?{parameter['name']}", parameter["schema"]


def nested(name: str, schema: Json) -> Found:
    """The schema and all that are written inside of it, but for those that it refers to."""
    yield name, schema
    for field, inner in schema.get("properties", {}).items():
        yield from nested(f"{name}.{field}", inner)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nested(f"{name}[]", schema[key])
    for inner in chain(schema.get("anyOf", []), schema.get("oneOf", [])):
        yield from nested(name, inner)


def fields(document: Json) -> Found:
    for outer, schema in schemas(document):
        for name, inner in nested(outer, schema):
            for field, value in inner.get("properties", {}).items():
                yield f"{name}.{field}", value


def refers(schema: Json) -> bool:
    """Whether the examples are those of another schema's fields."""
    return any("$ref" in inner for _, inner in nested("", schema))


def models(family: type[Request] = Request) -> Iterator[type[Request]]:
    for each in family.__subclasses__():
        yield each
        yield from models(each)


def test_the_document_is_served_to_whoever_has_a_key(client: TestClient, document: Json) -> None:
    application: Any = client.app
    assert document == json.loads(json.dumps(application.openapi()))
    assert client.get("/openapi.json").status_code == 401


def test_the_parameters_of_a_query_are_those_of_the_document(client: TestClient, document: Json) -> None:
    """A query is checked against the route's signature."""
    application: Any = client.app
    seen = 0
    for context in iter_route_contexts(application.routes):
        route: Any = context.original_route
        for method in (getattr(route, "methods", None) or set()) - {"HEAD"}:
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None:
                listed = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
                told = {each["name"]: each.get("style", "form") for each in listed}
                assert queries.parameters(route) == told, (method, route)
                seen += 1
    assert seen == sum(len(methods) for methods in document["paths"].values())


def test_it_is_openapi_whose_references_lead_somewhere(document: Json) -> None:
    assert document["openapi"].startswith("3.1")
    named = {
        f"#/components/{family}/{name}"
        for family, members in document["components"].items()
        for name in members
    }

    def references(part: Any) -> Iterator[str]:
        for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from references(value)
        if isinstance(part, dict) and isinstance(part.get("$ref"), str):
            yield part["$ref"]

    assert set(references(document)) <= named


def test_every_route_is_in_it(document: Json) -> None:
    written = [
        route
        for router in (*routes.ROUTERS, predictions.routes, following.polled_routes)
        for route in router.routes
    ]
    assert len(written) > 30
    for route in written:
        assert isinstance(route, APIRoute)
        for method in route.methods or ():
            assert method.lower() in document["paths"][route.path_format]


def test_every_schema_and_field_is_described(document: Json) -> None:
    missing = [
        name for name, schema in document["components"]["schemas"].items() if "description" not in schema
    ]
    missing += [name for name, field in fields(document) if not field.get("description")]
    assert missing == []


def test_every_field_has_an_example(document: Json) -> None:
    assert [name for name, field in fields(document) if not field.get("examples") and not refers(field)] == []


def test_every_parameter_is_described_and_has_an_example(document: Json) -> None:
    seen = [
        (name, each) for name, operation in operations(document) for each in operation.get("parameters", [])
    ]
    assert any(each["name"] == "metadata" for _, each in seen)
    assert [n for n, each in seen if not each.get("description") or not each["schema"].get("examples")] == []


def test_every_example_is_one_of_what_it_stands_for(document: Json) -> None:
    count = 0
    for outer, schema in schemas(document):
        for name, inner in nested(outer, schema):
            if "examples" in inner:
                check = jsonschema_rs.Draft202012Validator({"components": document["components"], **inner})
                count += 1
                for example in inner["examples"]:
                    assert check.is_valid(example), (name, example)
    assert count > 300


def test_every_operation_says_what_it_does_and_answers(document: Json) -> None:
    generic = {"Successful Response", "Validation Error", "Additional Response"}
    for name, operation in operations(document):
        assert all(operation.get(each) for each in ("summary", "description", "tags")), name
        for status, response in operation["responses"].items():
            if "$ref" in response:
                response = document["components"]["responses"][status]
            assert response["description"] not in generic, (name, status)
            assert "X-Request-Id" in response["headers"], (name, status)
            if status[0] in "45":
                kind, shape = "application/problem+json", "Problem"
                if " /v2" in name:
                    kind, shape = "application/json", "InferenceError"
                reference = {"schema": {"$ref": f"#/components/schemas/{shape}"}}
                assert response["content"] == {kind: reference}, (name, status)
            if status in ("201", "202"):
                assert "Location" in response["headers"], (name, status)
            assert ("content" in response) == (status not in ("204", "304")), (name, status)


def test_every_operation_has_the_problems_that_it_may_meet(document: Json) -> None:
    for name, operation in operations(document):
        expected = {"400", "503", "4XX", "5XX"}
        expected |= {"401", "403"} if "security" in operation else set()
        expected |= {"404"} if "{" in name else set()
        expected |= {"413", "415", "422"} if "requestBody" in operation else set()
        assert expected <= operation["responses"].keys(), name


def test_every_tag_is_described(document: Json) -> None:
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"] if tag["description"]}


def test_every_path_but_the_probes_needs_a_key(document: Json) -> None:
    assert set(document["components"]["securitySchemes"]) == {"key"}
    free = {name for name, operation in operations(document) if operation.get("security") != [{"key": []}]}
    assert free == {f"GET {path}" for path in OPEN_PATHS}


@pytest.mark.parametrize("model", list(models()), ids=lambda model: model.__name__)
def test_every_example_of_a_request_is_taken(model: type[Request]) -> None:
    """Its own examples, and each field's beside the fields that are needed."""
    written = model.model_json_schema()
    for example in written.get("examples", []):
        model.model_validate(example)
    needed = {name: written["properties"][name]["examples"][0] for name in written.get("required", [])}
    for name, field in written["properties"].items():
        for example in field.get("examples", []):
            model.model_validate({**needed, name: example})


def test_every_body_that_is_sent_has_a_whole_example(document: Json) -> None:
    by_name = document["components"]["schemas"]
    for name, content in bodies(document):
        if " request application/json" in name:
            schema = by_name.get(content["schema"].get("$ref", "").rpartition("/")[2], content["schema"])
            assert any(inner.get("examples") for inner in (schema, *schema.get("oneOf", []))), name


def test_the_types_of_a_models_inputs_are_those_of_columns(document: Json) -> None:
    """What is not in an enum is no answer to a client that was generated."""
    schema = document["components"]["schemas"]["InputAnswer"]["properties"]["type"]
    assert set(schema["enum"]) == {"number", "category", "boolean", "date"}


def test_every_number_of_a_list_has_a_bound(document: Json) -> None:
    limits = [
        each["schema"]
        for _, operation in operations(document)
        for each in operation.get("parameters", [])
        if each["name"] == "limit"
    ]
    assert limits
    assert all({"minimum", "maximum", "default"} <= each.keys() for each in limits)
