"""C ← α A B + β C in one pass over C: BLAS can, and NumPy has no name for it.

It is called in the very library that NumPy has loaded for its own products. Where that is another than the
one of NumPy's wheels, `general_product` is not there, and the plain form is used.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from app.engine.memory import Array

ROW_MAJOR, AS_IT_LIES, TRANSPOSED = 101, 111, 112

library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]


@cache
def _routine(letter: str) -> Any:
    """cblas_?gemm of OpenBLAS as NumPy's wheels have it: a prefix, and integers of 64 bits."""
    found = getattr(library, f"scipy_cblas_{letter}gemm64_", None)
    if found is not None:
        real = ctypes.c_float if letter == "s" else ctypes.c_double
        kind, size, place = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
        found.argtypes = [kind] * 3 + [size] * 3 + [real, place, size, place, size, real, place, size]
        found.restype = None
    return found


def core_type() -> str | None:
    """The kind of processor that BLAS has chosen its kernels for, as "SkylakeX"; None where it cannot be
    asked.
    """
    named = getattr(library, "scipy_openblas_get_corename64_", None)
    if named is None:
        return None
    named.restype = ctypes.c_char_p
    found: bytes = named()
    return found.decode()


def has_general_product() -> bool:
    return _routine("s") is not None


def general_product(C: Array, A: Array, B: Array) -> Callable[[float, float], None]:
    """A function of α and β, where there `has_general_product`. C is C-ordered, the rows or columns of A and
    B lie in a line each.
    """
    routine = _routine({"f": "s", "d": "d"}[C.dtype.char])
    assert routine is not None
    (how_A, step_A), (how_B, step_B), (_, step_C) = _layout(A), _layout(B), _layout(C)
    (m, n), k = C.shape, A.shape[1]
    given = (ROW_MAJOR, how_A, how_B, m, n, k)

    def compute(alpha: float, beta: float) -> None:
        at_A, at_B, at_C = A.ctypes.data, B.ctypes.data, C.ctypes.data  # and the arrays live as long as this
        routine(*given, alpha, at_A, step_A, at_B, step_B, beta, at_C, step_C)

    return compute


def _layout(M: Array) -> tuple[int, int]:
    """How BLAS is to read a matrix, and the distance of its lines in numbers."""
    rows, columns = (stride // M.itemsize for stride in M.strides)
    return (AS_IT_LIES, rows) if columns == 1 else (TRANSPOSED, columns)
