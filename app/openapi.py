"""What OpenAPI says that no signature does: answers and their headers, problems, the key."""

from collections.abc import Callable, Collection
from threading import Lock
from typing import Any

from pydantic import BaseModel

from app.schemas import Problem

Json = dict[str, Any]

DESCRIPTION = """\
Train neural networks over plain HTTP, and see every number of backpropagation.

Numbers in brackets, as (6), are the equations of S. Van Vaerenbergh, *Derivation of the Backpropagation
Algorithm*, 2014; W, b, z, a, delta, s_l, n, alpha and lambda are its letters.

Ids are opaque; times are RFC 3339, UTC. Clients must accept fields and enum values that are not listed here;
the server refuses fields that it does not know. Every error is `application/problem+json` (RFC 9457).
Every path that takes GET takes HEAD.
"""

TAGS: list[Json] = [
    {"name": "datasets", "description": "Tables of typed columns: what jobs learn from."},
    {"name": "uploads", "description": "Large files in parts, which become datasets."},
    {"name": "architectures", "description": "Layers of networks, kept for use in jobs."},
    {"name": "jobs", "description": "Training runs, their history and their events."},
    {"name": "models", "description": "Trained networks: what jobs leave."},
    {"name": "predictions", "description": "Answers for new rows."},
    {
        "name": "open inference",
        "description": "The same by the Open Inference Protocol, version 2, which KServe and Triton speak.",
    },
    {"name": "webhooks", "description": "Events of jobs, sent to you as signed messages."},
    {"name": "keys", "description": "API keys, for administrators."},
    {"name": "projects", "description": "What each project may have, and what it has."},
    {"name": "operations", "description": "The server itself."},
]

LOCATION: Json = {
    "Location": {
        "description": "Path of the object.",
        "required": True,
        "schema": {"type": "string", "examples": ["/v1/jobs/job_0n5c1k4v8d2s6m9q3x7z1b5f"]},
    }
}

_REPLAYED: Json = {
    "Idempotency-Replayed": {
        "description": "true: this is the first answer to the request's Idempotency-Key once more; absent "
        "from the first.",
        "schema": {"type": "string", "enum": ["true"], "examples": ["true"]},
    }
}

LABEL_FILTER: Json = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "required": False,
            "style": "deepObject",
            "explode": True,
            "description": "Only items with all of these notes, as metadata[team]=biology.",
            "schema": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "examples": [{"team": "biology"}],
            },
        }
    ]
}
"""For `openapi_extra` of a list: a filter whose name no signature can have."""

OPEN_INFERENCE = "/v2"
"""Where the paths begin whose errors are that protocol's own, and no problems."""

_ERROR: Json = {"application/json": {"schema": {"$ref": "#/components/schemas/InferenceError"}}}
_PROBLEM: Json = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
RETRY: Json = {
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "integer", "examples": [1]},
    }
}
_CHALLENGE: Json = {
    "WWW-Authenticate": {
        "description": "The scheme of the key.",
        "schema": {"type": "string", "examples": ["Bearer"]},
    }
}
_REQUEST_ID: Json = {
    "description": "The request's own X-Request-Id (up to 64 letters, digits, '.', '_', '-'), or a new one.",
    "schema": {"type": "string", "examples": ["5f2c9a7e41d0b8836ce1f094"]},
}


def located(description: str) -> Json:
    """An answer with the object's path in Location."""
    return {"description": description, "headers": LOCATION}


def creates(status: int, description: str, conflict: str = "") -> dict[int | str, Json]:
    """The answers of a POST that takes an Idempotency-Key: ``status`` with the object, and 409.

    ``conflict``: what else a 409 may mean.
    """
    in_flight = f"A request with this Idempotency-Key is being answered. {conflict}".rstrip()
    return {
        status: {"description": description, "headers": {**LOCATION, **_REPLAYED}},
        409: {**refused(in_flight), "headers": RETRY},
    }


def refused(description: str) -> Json:
    """A problem that only some operations have."""
    return {"description": description, "content": _PROBLEM}


QUOTA_REACHED = "The key's role is too low; or the project has as much as it may, and quota names the limit."


def later(description: str) -> Json:
    """A problem that goes away by itself: Retry-After says when to ask again."""
    return {**refused(description), "headers": RETRY}


WAITERS = later("As many streams and waiting requests are open as there may be.")
"""Of what takes ?wait=."""


_REFUSALS: dict[str, Json] = {
    "400": refused("The request cannot be read."),
    "401": {**refused("The key is missing, unknown, expired or revoked."), "headers": _CHALLENGE},
    "403": refused("The key's role is too low; the problem names the role that is needed."),
    "404": refused("There is no such object in this project; errors name the id."),
    "408": refused("The body came too slowly."),
    "413": refused("The body is larger than this path takes, or has more rows."),
    "415": refused("The Content-Type is not one that this path takes."),
    "422": refused("The request is well formed, but not right; errors say what is wrong, and where."),
    "431": refused("The headers are larger than 64 KiB, or more than 100."),
    "503": {**refused("The server, or its database, cannot answer just now."), "headers": RETRY},
    "507": {**refused("There is not enough room on the server's disk."), "headers": RETRY},
}


def maker(
    describe: Callable[[], Json], open_paths: Collection[str], *models: type[BaseModel]
) -> Callable[[], Json]:
    """What makes the document when it is first asked for, which takes half a second.

    ``describe`` makes it of the signatures; the rest is as in `complete`.
    """
    lock, made = Lock(), list[Json]()

    def document() -> Json:
        with lock:
            if not made:
                described = describe()
                complete(described, open_paths, *models)
                made.append(described)
        return made[0]

    return document


def complete(document: Json, open_paths: Collection[str], *models: type[BaseModel]) -> None:
    """Add what every operation has, and the schemas of ``models``, which routes read by hand.

    Paths other than ``open_paths`` need a key.
    """
    components = document["components"]
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key. It sees the objects of its project; an admin key those of the "
            "project that the header Chainrule-Project names.",
        }
    }
    components["headers"] = {"X-Request-Id": _REQUEST_ID}
    components["responses"] = {status: _with_request_id(each) for status, each in _REFUSALS.items()}
    schemas = components["schemas"]
    by_hand: tuple[type[BaseModel], ...] = (Problem, *models)
    for model in by_hand:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path not in open_paths:
                operation["security"] = [{"key": []}]
            _complete(operation, path, writes=method != "get")


def _complete(operation: Json, path: str, *, writes: bool) -> None:
    found = {status: _with_request_id(each) for status, each in operation["responses"].items()}
    for status in [*_refusals(operation, path), *(["507"] if writes else [])]:
        found.setdefault(status, {"$ref": f"#/components/responses/{status}"})
    if path.startswith(OPEN_INFERENCE):
        refusals = [status for status in found if status[0] in "45"]
        found |= {status: _with_request_id(_in_its_terms(status, found[status])) for status in refusals}
    operation["responses"] = dict(sorted(found.items()))


def _in_its_terms(status: str, response: Json) -> Json:
    written = _REFUSALS[status] if "$ref" in response else response
    return {**written, "content": _ERROR}


def _refusals(operation: Json, path: str) -> list[str]:
    statuses = ["400", "431", "503"]
    if "security" in operation:
        statuses += ["401", "403", "422"]
    if "{" in path:
        statuses.append("404")
    if "requestBody" in operation:
        statuses += ["408", "413", "415"]
    if "parameters" in operation and "422" not in statuses:
        statuses.append("422")
    return statuses


def _with_request_id(response: Json) -> Json:
    own = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    return {**response, "headers": {**response.get("headers", {}), **own}}
