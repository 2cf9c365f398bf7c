"""Attempts to reach another project's objects, made from the OpenAPI document.

Each puts a foreign value into one place of a request that can hold an id, and has a twin with an unknown
value of the same length: to both the server must answer the same bytes. A place that is in none of the tables
here is an error, so that a new route is tried before it is released.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from tests.support.wire import Raw, Wire

Json = dict[str, Any]

ID = re.compile(r"^(ds|upl|arch|split|cv|job|mdl|evl|hook|bat|key|evt|proj|aud|wrk)_[0-9a-z]+$")
MADE = re.compile(rb"\b(ds|upl|arch|split|cv|job|mdl|evl|hook|bat|evt)_[0-9a-z]{20,}")
MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z")
SECRET = re.compile(rb"whsec_[0-9A-Za-z+/=]+")
SEEN = re.compile(rb'"seen_seconds_ago":[-0-9.e]+')
BUSY = re.compile(rb'"busy":\d+,"state":"\w+","jobs":\[[^\]]*\]')

PATHS = {
    "dataset_id": "ds",
    "upload_id": "upl",
    "architecture_id": "arch",
    "split_id": "split",
    "cross_validation_id": "cv",
    "job_id": "job",
    "model_id": "mdl",
    "evaluation_id": "evl",
    "alias": "alias",
    "batch_id": "bat",
    "webhook_id": "hook",
    "key_id": "key",
    "name": "project",
}
"""By name of the path's parameter: of what kind its ids are."""

QUERIES = {
    "after": "any",
    "job_id": "job",
    "key_id": "key",
    "object_id": "any",
    "project": "project",
    "request_id": "request",
}
"""Of the query: what holds ids in text. A number, as of an event, counts within a job and means no other."""

PLAIN = {
    *("limit", "order", "name", "status", "shared", "metadata", "columns", "action", "wait", "wait_for"),
    *("after", "after_epoch", "max_points", "workers", "format", "target"),
}
"""What of the query holds no id."""

PLAIN_PATHS = {"version": "1"}
"""What of the path holds no id, and stands there."""

HEADERS = {"idempotency-key": "idempotency", "last-event-id": "evt", "if-none-match": "etag"}
PLAIN_HEADERS = {"accept", "inference-header-content-length", "upload-offset"}
EVERYWHERE = {"chainrule-project": "project"}
"""Headers that every operation understands, and no document lists."""

FIELDS = {
    "dataset_id": "ds",
    "architecture_id": "arch",
    "initial_model_id": "mdl",
    "split_id": "split",
    "model_id": "mdl",
    "project": "project",
}
"""Of JSON bodies, at whatever depth."""

PLAIN_FIELDS = {"id"}
"""A client's own name for its request, as the Open Inference Protocol has it: no object's."""

NAMED_LIKE_IDS = re.compile(r"(^|_)(id|ids|key|project|alias)$")

RARE = {
    "POST /v1/datasets": 0.02,
    "POST /v1/models": 0.02,
    "GET /v1/models/{model_id}/export": 0.1,
    "POST /v1/cross-validations": 0.1,
}
"""What takes long, as a child process that reads an upload, or leaves several jobs."""

HEX = "0123456789abcdef"
STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for an id: in the path, the query, the headers or (a name of) the JSON body of an operation."""

    method: str
    template: str
    where: str
    name: str
    kind: str

    @property
    def operation(self) -> str:
        return f"{self.method} {self.template}"


@dataclass(frozen=True, slots=True)
class Sent:
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Own:
    """What the intruder has of its own, and knows: ids by kind, and valid bodies by operation; of operations
    that create, also one that comes to nothing, and the one that the others have sent.
    """

    ids: Mapping[str, str]
    bodies: Mapping[str, Json]
    in_vain: Mapping[str, Json]
    copied: Mapping[str, Json]


def slots(document: Json) -> Iterator[Slot]:
    """Every place of every operation that can hold an id. Raises LookupError for one in no table."""
    for template, methods in document["paths"].items():
        for method, operation in methods.items():
            make = _maker(method.upper(), template)
            for parameter in operation.get("parameters", ()):
                kind = _kind(parameter, f"{method} {template}")
                if kind is not None:
                    yield make(parameter["in"], parameter["name"], kind)
            for name, kind in EVERYWHERE.items():
                yield make("header", name, kind)
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema", {})
            for name, example in _fields(document, schema, set()):
                if name in FIELDS:
                    yield make("body", name, FIELDS[name])
                elif name not in PLAIN_FIELDS and (NAMED_LIKE_IDS.search(name) or ID.match(str(example))):
                    raise LookupError(f"{method} {template}: the body's '{name}' is in no table")


def _maker(method: str, template: str) -> Callable[[str, str, str], Slot]:
    return lambda where, name, kind: Slot(method, template, where, name, kind)


def _kind(parameter: Json, place: str) -> str | None:
    name, where = parameter["name"], parameter["in"]
    if where == "query":
        is_text = '"string"' in json.dumps(parameter["schema"])
        if name in QUERIES and is_text:
            return QUERIES[name]
        if name in PLAIN:
            return None
    if (where == "header" and name.lower() in PLAIN_HEADERS) or (where == "path" and name in PLAIN_PATHS):
        return None
    table = {"path": PATHS, "header": HEADERS}.get(where, {})
    if name.lower() in table:
        return table[name.lower()]
    raise LookupError(f"{place}: the {where}'s '{name}' is in no table")


def _fields(document: Json, schema: Json, seen: set[str]) -> Iterator[tuple[str, object]]:
    """Names of all properties, with their first examples."""
    reference = schema.get("$ref")
    if reference is not None:
        if reference not in seen:
            name = reference.rpartition("/")[2]
            yield from _fields(document, document["components"]["schemas"][name], seen | {reference})
        return
    for name, inner in schema.get("properties", {}).items():
        yield name, next(iter(inner.get("examples", ())), None)
        yield from _fields(document, inner, seen)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _fields(document, schema[key], seen)
    for key in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(key, ()):
            yield from _fields(document, inner, seen)


def unknown_like(value: str, draw: Random, known: Set[str]) -> str:
    """A value of the same length that nothing has; of an id, one that would stand beside it in a list."""
    while True:
        tail = (
            draw.choice(HEX if each in HEX else "ghjkmnpq") if each.isalnum() else each for each in value[-5:]
        )
        other = value[:-5] + "".join(tail)
        if other not in known:
            return other


class Attempts:
    """``foreign``: values by kind. ``document`` is the server's own."""

    def __init__(self, document: Json, own: Own, foreign: Mapping[str, Sequence[str]], seed: int) -> None:
        self.slots = list(slots(document))
        self._document = document
        self._own = own
        self._foreign = {
            **foreign,
            "any": [each for kind in foreign.values() for each in kind if ID.match(each)],
        }
        self._known = {each for kind in foreign.values() for each in kind}
        self._keys = list(foreign["idempotency"])
        self._draw = Random(seed)
        self._weights = [RARE.get(each.operation, 1.0) for each in self.slots]

    def pair(self) -> tuple[Slot, Sent, Sent, tuple[str, str]]:
        """A slot, a request with a foreign value there, its twin, and the two values."""
        draw = self._draw
        (slot,) = draw.choices(self.slots, self._weights)
        kind = slot.kind
        if slot.name in ("model_id", "initial_model_id") and draw.random() < 0.3:
            kind = "alias"
        elif slot.where in ("path", "body") and draw.random() < 0.1:
            kind = "any"  # of another kind of object
        values = self._foreign[kind]
        # A key that the intruder has used is its own from then on.
        value = self._keys.pop() if kind == "idempotency" else draw.choice(values)
        other = unknown_like(value, draw, self._known)
        self._known.add(other)
        rest = draw.getrandbits(64)
        return slot, self._sent(slot, value, rest), self._sent(slot, other, rest), (value, other)

    def _sent(self, slot: Slot, value: str, rest: int) -> Sent:
        """The request with ``value`` in the slot, and everything else as ``rest`` decides."""
        draw = Random(rest)
        operation = self._document["paths"][slot.template][slot.method.lower()]
        headers: dict[str, str] = {}
        path, query = slot.template, dict[str, str]()
        acts_there = slot.name in EVERYWHERE
        for parameter in operation.get("parameters", ()):
            name, where = parameter["name"], parameter["in"]
            if name in PLAIN_PATHS:
                path = path.replace(f"{{{name}}}", PLAIN_PATHS[name])
            elif where == "path":
                kind = PATHS[name]
                other = self._foreign[kind][0] if acts_there else self._own.ids[kind]
                mine = value if (where, name) == (slot.where, slot.name) else other
                path = path.replace(f"{{{name}}}", _written(mine, draw))
            elif (where, name) == (slot.where, slot.name):
                (query if where == "query" else headers)[name] = value
            elif where == "query" and name in PLAIN and draw.random() < 0.3:
                query |= _plain(parameter, draw)
        if acts_there:
            headers[slot.name] = value
        if slot.template.endswith("/events") and draw.random() < 0.5:
            headers |= STREAM
        body: bytes | None = None
        if "requestBody" in operation:
            fields = {slot.name: value} if slot.where == "body" else {}
            body = self._body(slot, fields, draw)
            headers["Content-Type"] = "application/json"
        if query:
            path += f"?{urlencode(query)}"
        return Sent(slot.method, path, body, headers)

    def _body(self, slot: Slot, fields: Json, draw: Random) -> bytes:
        operation, own = slot.operation, self._own
        valid = own.bodies[operation]
        if slot.where == "header":
            valid = own.in_vain.get(operation, valid)
            if draw.random() < 0.5:
                valid = own.copied.get(operation, valid)
        if slot.where == "path" and draw.random() < 0.2:
            return draw.choice([b"{}", b"{", b"[]", b'{"nonsense": 1}'])
        return json.dumps({**valid, **fields}).encode()


def _written(value: str, draw: Random) -> str:
    """In a path: as it is, or one of its letters by its number."""
    plain = quote(value, safe="")
    if draw.random() < 0.1:
        plain = f"%{ord(value[0]):02x}{quote(value[1:], safe='')}"
    return plain


def _plain(parameter: Json, draw: Random) -> dict[str, str]:
    name, schema = parameter["name"], parameter["schema"]
    if name == "wait":
        return {"wait": "0"}
    if name == "metadata":
        return {"metadata[team]": "a"}
    choices = [each for part in (schema, *schema.get("anyOf", ())) for each in part.get("enum", ())]
    choices = choices or [*schema.get("examples", ()), *parameter.get("examples", ())]
    value = draw.choice(choices or ["1"])
    return {name: json.dumps(value) if isinstance(value, bool | dict | list) else str(value)}


def same(answer: Raw, value: str | None) -> Raw:
    """The answer without the value that was asked for, where it is told, and what changes between answers."""
    forms = set() if value is None else {value, quote(value, safe=""), json.dumps(value)[1:-1]}

    def plain(text: bytes) -> bytes:
        for form in forms:
            text = text.replace(form.encode(), b"<value>")
        for pattern in (MADE, MOMENT, SECRET, SEEN, BUSY):
            text = pattern.sub(b"<made>", text)
        return text

    kept = [(name, text) for name, text in answer.headers if name not in ("date", "content-length")]
    headers = sorted((name, plain(text.encode()).decode()) for name, text in kept)
    return Raw(answer.status, tuple(headers), plain(answer.body))


def clean_up(wire: Wire, answer: Raw) -> None:
    """Delete what an attempt has made in the intruder's own project."""
    location = answer.header("location")
    if answer.status in (201, 202) and location is not None:
        if location.startswith("/v1/batches"):
            wire.ask("POST", f"{location}/cancel")
        wire.ask("DELETE", location)
