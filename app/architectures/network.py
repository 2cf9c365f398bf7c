"""A resolved architecture, as jobs and models keep it, in the engine's form."""

from collections.abc import Mapping
from typing import Any

from app.engine import Architecture, Layer


def to_engine(resolved: Mapping[str, Any]) -> Architecture:
    """``{"inputs", "layers": […], "output": {…}}`` with every number known."""
    layers = [*resolved["layers"], resolved["output"]]
    return Architecture(
        resolved["inputs"],
        tuple(
            Layer(each["units"], each["activation"], each["initialization"], each.get("dropout", 0.0))
            for each in layers
        ),
    )
