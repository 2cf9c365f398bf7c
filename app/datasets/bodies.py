"""The bodies that an upload may have, for OpenAPI: they are read by hand."""

from typing import Any

RAW_TYPES = (
    "text/csv",
    "text/tab-separated-values",
    "text/plain",
    "application/json",
    "application/gzip",
    "application/x-gzip",
    "application/octet-stream",
    "application/jsonl",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.file",
    "application/vnd.apache.arrow.stream",
    "application/x-npy",
    "application/x-npz",
)

_NAME: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "description": "Your name for it.",
    "examples": ["penguins"],
}
_SHARED = "Whether every project may read it and train on it: for administrators."
_ROWS: dict[str, Any] = {
    "type": "array",
    "minItems": 2,
    "items": {"type": "object"},
    "description": "Values by column name: numbers, strings, booleans; null is missing.",
    "examples": [[{"x": 0.1, "y": "a"}, {"x": 0.9, "y": "b"}]],
}
_TYPES = 'types of columns that inference would get wrong, as {"zip": {"type": "category"}}.'

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "The file: CSV, TSV, JSON, JSON Lines, Parquet, Arrow, NPY or NPZ, plain or gzip.",
            "examples": ["x,y\n0.1,a\n0.9,b\n"],
        },
        "name": _NAME,
        "columns": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": f"JSON: {_TYPES}",
            "examples": ['{"zip": {"type": "category"}}'],
        },
        "metadata": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "JSON: your own notes, up to 16 pairs of text.",
            "examples": ['{"source": "Palmer station"}'],
        },
        "shared": {
            "type": "string",
            "enum": ["true", "false"],
            "description": _SHARED,
            "examples": ["false"],
        },
    },
}

_OBJECT: dict[str, Any] = {
    "type": "object",
    "description": '"rows", "data" or "generate", and what is to be known of them.',
    "properties": {
        "name": _NAME,
        "metadata": {
            "type": "object",
            "maxProperties": 16,
            "additionalProperties": {"type": "string", "maxLength": 512},
            "description": "Your own notes: up to 16 pairs of text.",
            "examples": [{"source": "Palmer station"}],
        },
        "shared": {"type": "boolean", "description": _SHARED, "examples": [False]},
        "columns": {
            "type": "object",
            "description": f"The {_TYPES}",
            "examples": [{"zip": {"type": "category"}}],
        },
        "rows": _ROWS,
        "data": {
            "type": "object",
            "additionalProperties": {"type": "array"},
            "description": "Lists of values by column name, all of one length.",
            "examples": [{"x": [0.1, 0.9], "y": ["a", "b"]}],
        },
        "generate": {
            "type": "object",
            "description": "A small table to learn on: points of a kind with a label, or x with y.",
            "required": ["kind"],
            "properties": {
                "kind": {
                    "type": "string",
                    "enum": ["xor", "circles", "moons", "spiral", "blobs", "linear", "sine"],
                    "description": "What it looks like.",
                    "examples": ["xor"],
                },
                "rows": {
                    "type": "integer",
                    "minimum": 2,
                    "maximum": 1_000_000,
                    "description": "Rows; 200 unless said.",
                    "examples": [200],
                },
                "noise": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": 1e6,
                    "description": "Standard deviation of what is added to each point; 0.1 unless said.",
                    "examples": [0.1],
                },
                "seed": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 2**53,
                    "description": "The same seed gives the same table; 0 unless said.",
                    "examples": [0],
                },
            },
            "additionalProperties": False,
            "examples": [{"kind": "xor", "rows": 200, "noise": 0.1, "seed": 0}],
        },
    },
    "additionalProperties": False,
    "oneOf": [{"required": ["rows"]}, {"required": ["data"]}, {"required": ["generate"]}],
    "examples": [{"name": "tiny", "rows": [{"x": 0.1, "y": "a"}, {"x": 0.9, "y": "b"}]}],
}

UPLOAD_BODY: dict[str, Any] = {
    "required": True,
    "description": "A table as CSV, TSV, JSON, JSON Lines, Parquet, Arrow, NPY or NPZ, plain or gzip; told "
    "apart by content, not by name.",
    "content": {
        "multipart/form-data": {"schema": _FORM},
        "application/json": {"schema": {"oneOf": [_ROWS, _OBJECT]}},
        **{
            kind: {"schema": {"type": "string", "examples": ["x,y\n0.1,a\n0.9,b\n"]}}
            for kind in ("text/csv", "text/tab-separated-values", "text/plain")
        },
        **{
            kind: {"schema": {"type": "string", "examples": ['{"x": 0.1, "y": "a"}\n{"x": 0.9, "y": "b"}\n']}}
            for kind in ("application/jsonl", "application/x-ndjson")
        },
        **{
            kind: {"schema": {"type": "string", "contentMediaType": kind}}
            for kind in RAW_TYPES[4:]
            if "json" not in kind
        },
    },
}
