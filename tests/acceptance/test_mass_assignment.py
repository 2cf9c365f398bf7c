"""No body sets what is ours: every operation refuses every column of the database that is no field of it."""

import re
from collections.abc import Callable
from typing import Any

from app.storage.tables import Project
from tests.support.problems import assert_problem
from tests.support.server import Server
from tests.support.training import XOR, train, upload

COLUMNS = {column.name for table in Project.metadata.tables.values() for column in table.columns}
AT_ONCE = 10
"""Of twenty faults all are told, and some of them are fields that are missing."""

IMPORT = ("post", "/v1/models")
"""An export says under which id its model was known; the new one has an id of its own."""


def fields(schema: Any, components: Any) -> set[str]:
    """The names that an object of this schema may have, whichever of its kinds it is."""
    if "$ref" in schema:
        return fields(components[schema["$ref"].rpartition("/")[2]], components)
    kinds = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    return set(schema.get("properties", ())).union(*(fields(kind, components) for kind in kinds))


def test_columns_of_the_database_are_no_fields(shared_servers: Callable[[str], Server]) -> None:
    client = shared_servers("sqlite").client("admin", "assigned")  # no body of these comes to a database
    training = {"epochs": 1, "validation_fraction": 0.0, "test_fraction": 0.0, "early_stopping": None}
    job = train(client, dataset_id=upload(client, XOR)["id"], target="y", training=training)
    document = client.get("/openapi.json").json()
    asked = 0
    for path, operations in document["paths"].items():
        if path.startswith("/v2"):  # its protocol has fields that are not known be passed over
            continue
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content:
                continue
            own = fields(content["application/json"]["schema"], document["components"]["schemas"])
            others = sorted(COLUMNS - own)
            assert {"project_id", "created_by"} <= {*others}
            assert "id" in others or (method, path) == IMPORT
            for start in range(0, len(others), AT_ONCE):
                names = others[start : start + AT_ONCE]
                url = re.sub(r"\{\w+\}", "x", path.replace("{model_id}", job["model_id"]))
                response = client.request(method, url, json=dict.fromkeys(names, 1))
                problem = assert_problem(response, 422)
                unknown = {each["param"] for each in problem["errors"] if each["code"] == "unknown_field"}
                assert unknown == {*names}, (method, path)
            asked += 1
    assert asked >= 15
