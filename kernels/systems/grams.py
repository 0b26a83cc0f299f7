"""Grams: sums of outer products over rows, weighted, streaming or exponentially averaged.

A Gram is stored by its lower triangle; what lies above the diagonal is neither read nor written.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, destination, number
from ..core.blas import gemm, syrk
from ..core.jit import compiled_as, jit
from ..core.kinds import NOTHING, NUMBER, packed, packed_written, read, written

BLOCK = 256
"""Rows that are weighted at a time: few enough to be read back from cache by the product."""


@jit
def _weigh(rows, weights, start, root, block):
    """``block <- w_i x_i`` for rows from ``start`` on; with ``root``, ``sqrt(w_i) x_i``."""
    for i in range(len(block)):
        weight = weights[start + i]
        factor = math.sqrt(weight) if root else weight
        for j in range(block.shape[1]):
            block[i, j] = factor * rows[start + i, j]


@jit
def _gram(
    rows: packed("m", "n"),
    weights: NOTHING | read("m"),
    keep: NUMBER,
    scale: NUMBER,
    work: packed_written("block", "n"),
    out: packed_written("n", "n"),
):
    """Kernel of `gram`.

    Parameters
    ----------
    rows : ndarray, (m, n)
    weights : ndarray, (m,), or None
    keep, scale : float
    work : ndarray, (block, n) with block >= 1
        Workspace, not touched without weights.
    out : ndarray, (n, n); its lower triangle is overwritten, and not read where ``keep`` is 0
    """
    if weights is None:
        syrk(scale, rows, keep, out)
    else:
        for start in range(0, max(len(rows), 1), len(work)):
            block = work[: min(len(work), len(rows) - start)]
            _weigh(rows, weights, start, True, block)
            syrk(scale, block, keep if start == 0 else 1.0, out)


@jit
def _cross_gram(
    left: packed("m", "p"),
    rows: packed("m", "n"),
    weights: NOTHING | read("m"),
    keep: NUMBER,
    scale: NUMBER,
    work: packed_written("block", "n"),
    out: packed_written("p", "n"),
):
    """Kernel of `cross_gram`; arguments as in `_gram`, with ``left`` (m, p) and ``out`` (p, n)."""
    if weights is None:
        gemm(scale, left, True, rows, False, keep, out)
    else:
        for start in range(0, max(len(rows), 1), len(work)):
            block = work[: min(len(work), len(rows) - start)]
            _weigh(rows, weights, start, False, block)
            part = left[start : start + len(block)]
            gemm(scale, part, True, block, False, keep if start == 0 else 1.0, out)


@jit
def _mirror_lower(matrix: read("n", "n"), out: written("n", "n")):
    """Kernel of `mirror_lower`; ``out`` may be ``matrix``."""
    for i in range(len(out)):
        for j in range(i):
            out[i, j] = matrix[i, j]
            out[j, i] = matrix[i, j]
        out[i, i] = matrix[i, i]


def _accumulate(kernel, sides, rows, weights, keep, scale, out, shape):
    keep, scale = number("keep", keep, 0), number("scale", scale)
    if out is None and keep != 0:
        raise ValueError(f"keep is {keep:g} without out: expected the array to be kept")
    if weights is not None:
        weights = array("weights", weights, (len(rows),), rows)
        if (weights < 0).any():
            wrong = np.flatnonzero(weights < 0)[0]
            raise ValueError(f"weights[{wrong}] is {weights[wrong]}: expected non-negative numbers")
    block = 1 if weights is None else max(1, min(BLOCK, len(rows)))
    work = np.empty((block, rows.shape[1]), rows.dtype)
    result = np.zeros(shape, rows.dtype) if out is None else out
    destination(result, shape, rows.dtype, **sides)
    kernel(*sides.values(), weights, keep, scale, work, result)
    return result


@compiled_as(_gram)
def gram(
    rows: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    keep: float = 0.0,
    scale: float = 1.0,
    out: Reals | None = None,
) -> Reals:
    """Lower triangle of ``out <- keep out + scale sum_i weights_i x_i x_iᵀ`` over rows x_i.

    The streaming sum of batches is ``gram(batch, keep=1, out=G)``, their exponential average
    ``gram(batch, keep=beta, scale=(1 - beta) / len(batch), out=G)``.

    In compiled code ``gram(rows, weights, keep, scale, work, out)`` with rows (m, n); weights None
    or (m,); work (block, n) for any block >= 1; out (n, n). The workspace is not touched without
    weights.

    Cost: m n^2 flops (SYRK); weights add one pass over the rows.

    Parameters
    ----------
    rows : array_like, (m, n)
        float32 or float64; integers become float64.
    weights : array_like, (m,), optional
        Non-negative; one by default.
    keep : float
        Non-negative. With 0 the old content of ``out`` does not matter.
    scale : float
    out : ndarray, (n, n), optional
        C-contiguous, of the dtype of ``rows``. Above its diagonal nothing is written.

    Returns
    -------
    ndarray, (n, n)
        ``out``, or a new array with zeros above the diagonal (`mirror_lower` fills them).

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    rows = array("rows", rows, ("m", "n"))
    n = rows.shape[1]
    return _accumulate(_gram, {"rows": rows}, rows, weights, keep, scale, out, (n, n))


@compiled_as(_cross_gram)
def cross_gram(
    left: ArrayLike,
    rows: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    keep: float = 0.0,
    scale: float = 1.0,
    out: Reals | None = None,
) -> Reals:
    """``out <- keep out + scale sum_i weights_i y_i x_iᵀ`` over pairs of rows y_i, x_i.

    The companion of `gram` for the right-hand sides of a regression: row k of it belongs to
    output k.

    In compiled code ``cross_gram(left, rows, weights, keep, scale, work, out)`` with left (m, p);
    rows (m, n); weights None or (m,); work (block, n) for any block >= 1; out (p, n). The workspace
    is not touched without weights.

    Cost: 2 m p n flops (GEMM).

    Parameters
    ----------
    left : array_like, (m, p)
    rows : array_like, (m, n)
        float32 or float64; integers become float64. Sets the dtype.
    weights, keep, scale
        As in `gram`.
    out : ndarray, (p, n), optional
        C-contiguous, of the dtype of ``rows``.

    Returns
    -------
    ndarray, (p, n)

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    rows = array("rows", rows, ("m", "n"))
    left = array("left", left, (len(rows), "p"), rows)
    shape = (left.shape[1], rows.shape[1])
    sides = {"left": left, "rows": rows}
    return _accumulate(_cross_gram, sides, rows, weights, keep, scale, out, shape)


@compiled_as(_mirror_lower)
def mirror_lower(matrix: ArrayLike, *, out: Reals | None = None) -> Reals:
    """The symmetric matrix whose lower triangle is that of ``matrix``.

    In compiled code ``mirror_lower(matrix, out)`` with matrix, out (n, n).

    Cost: one pass over memory.

    Parameters
    ----------
    matrix : array_like, (n, n)
        float32 or float64; integers become float64. Above its diagonal nothing is read.
    out : ndarray, (n, n), optional
        C-contiguous, of the dtype of ``matrix``; may be ``matrix`` itself.

    Returns
    -------
    ndarray, (n, n)

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape.
    """
    source = array("matrix", matrix, ("n", "n"))
    apart = {} if out is matrix else {"matrix": source}
    out = destination(out, source.shape, source.dtype, **apart)
    _mirror_lower(source, out)
    return out
