"""What the bits of a result depend on, beside the plan and the data."""

import os
import platform
from functools import cache
from typing import Any

import numpy as np

from app.engine.blas import core_type, has_general_product

ENGINE = "1"
"""This engine's version: to be counted on whenever the bits of some result change."""


@cache
def fingerprint() -> dict[str, Any]:
    """This engine's version, NumPy's, its BLAS, the kernel that BLAS chose for this processor, the newest
    instructions that NumPy found, the number of BLAS threads, and whether large layers are updated by one
    product (`blas`).

    Two machines with the same fingerprint compute the same bits; with another, the last bits may differ.
    """
    build: Any = np.show_config(mode="dicts")
    blas = build["Build Dependencies"]["blas"]
    return {
        "engine": ENGINE,
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "blas_core": core_type(),
        "machine": platform.machine(),
        "instructions": build["SIMD Extensions"].get("found", [])[-1:],
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "automatic"),
        "direct_products": has_general_product(),
    }
