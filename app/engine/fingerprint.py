"""What the bits of a result depend on, beside the plan and the data."""

import os
import platform
from functools import cache
from typing import Any

import numpy as np


@cache
def fingerprint() -> dict[str, Any]:
    """NumPy, its BLAS, the processor's newest instructions that NumPy found, and the number of BLAS threads.

    Two machines with the same fingerprint compute the same bits; with another, the last bits may differ.
    """
    build: Any = np.show_config(mode="dicts")
    blas = build["Build Dependencies"]["blas"]
    return {
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "machine": platform.machine(),
        "instructions": build["SIMD Extensions"].get("found", [])[-1:],
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "automatic"),
    }
