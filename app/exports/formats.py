"""The formats that a model is taken home in."""

from typing import Literal, NamedTuple, get_args

Name = Literal["safetensors", "npz", "json", "onnx", "python", "javascript", "sql"]


class Format(NamedTuple):
    """Of one file: how its name ends, its media type, and the largest network that it is meant for."""

    suffix: str
    media_type: str
    most_parameters: int = 500_000_000


FORMATS: dict[str, Format] = {
    "safetensors": Format("safetensors", "application/octet-stream"),
    "npz": Format("npz", "application/octet-stream"),
    "json": Format("json", "application/json", 4_000_000),
    "onnx": Format("onnx", "application/octet-stream"),
    "python": Format("py", "text/x-python", 4_000_000),
    "javascript": Format("mjs", "text/javascript", 4_000_000),
    "sql": Format("sql", "application/sql", 20_000),
}

assert tuple(FORMATS) == get_args(Name)
