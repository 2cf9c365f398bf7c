"""One BLAS thread for this process and its children. Imports nothing that imports NumPy."""

import os

ONE_BLAS_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""Two BLAS threads round differently than one: the same bits everywhere need one."""


def pin_blas() -> None:
    """Ask for one BLAS thread; to be called before NumPy is imported, children inherit it."""
    os.environ.update(ONE_BLAS_THREAD)
