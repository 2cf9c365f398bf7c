"""The upper tail of the normal distribution, which the exact GELU needs and NumPy lacks."""

import numpy as np

from app.engine.memory import Array

# Q(t) e^{t²/2}, Mills' ratio over √2π, as a quotient of polynomials in t; from the highest power down, a row
# for each: (numerator, denominator). Fitted over 0 ≤ t ≤ FURTHEST for the least greatest relative error, in
# 50 digits (least squares, weighted after Lawson 1961): 5.9e-9 with degree 4/5, for float32, and 5.1e-17 with
# 9/10. No coefficient is negative, so that no digit cancels. Cody's erfc of 1969 reaches the same in three
# intervals; one is a third of the work when whole arrays must go through each.
_FLOAT32 = [
    (0.0, 0.0103182060873302118),
    (0.00411641639849792898, 0.101861307668995745),
    (0.0406342118113794311, 0.469479282408331702),
    (0.183238459872268442, 1.20251794817713632),
    (0.43830006065891082, 1.67448510076986232),
    (0.500000002905886985, 1.0),
]
_FLOAT64 = [
    (0.0, 3.47318692873034789e-6),
    (1.38560111360402075e-6, 0.0000933769148162710295),
    (0.000037251999334505086, 0.00123270928561964264),
    (0.000490394252284010177, 0.0103433731727931244),
    (0.00408915688572603375, 0.0604331054772736875),
    (0.023621697691044259, 0.254953265438504589),
    (0.0976969888977586183, 0.782023566613249729),
    (0.28932740240828526, 1.714354732390067),
    (0.594038973036667251, 2.56120961138445164),
    (0.774868918192245414, 2.34762239718734614),
    (0.499999999999999975, 1.0),
]
_QUOTIENT: dict[str, Array] = {"f": np.array(_FLOAT32, np.float32), "d": np.array(_FLOAT64, np.float64)}
_MINUS_HALF: dict[str, Array] = {"f": np.array(-0.5, np.float32), "d": np.array(-0.5, np.float64)}

# By dtype: from here on e^{-t²/2} is 0.
FURTHEST: dict[str, Array] = {"f": np.array(14.5, np.float32), "d": np.array(39.0, np.float64)}


def bell(t: Array, out: Array) -> None:
    """e^{-t²/2} for 0 ≤ t ≤ FURTHEST; works in place."""
    np.multiply(t, t, out)
    np.multiply(out, _MINUS_HALF[out.dtype.char], out)
    np.exp(out, out)


def upper_tail(t: Array) -> Array:
    """Q(t) = 1 − Φ(t) = ½ erfc(t/√2) for 0 ≤ t ≤ FURTHEST, as a new array.

    The relative error is a few units in the last place near 0 and grows with the rounding of t²/2, to about
    4 + t²/2 of them.
    """
    rows = _QUOTIENT[t.dtype.char].reshape(-1, 2, *[1] * t.ndim)
    both = np.multiply(rows[0], t)  # numerator and denominator side by side: half of the calls
    for row in rows[1:-1]:
        np.add(both, row, both)
        np.multiply(both, t, both)
    np.add(both, rows[-1], both)
    tail: Array = both[0]
    np.divide(tail, both[1], tail)
    bell(t, both[1])
    np.multiply(tail, both[1], tail)
    return tail


def tail_coefficients() -> list[tuple[float, float]]:
    """The quotient in float64, for programs that are to compute the same: (numerator, denominator) rows."""
    return list(_FLOAT64)
