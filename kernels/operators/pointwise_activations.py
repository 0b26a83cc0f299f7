"""Activations element by element: value and derivative.

``X_activation(a)`` is ``f(a)``, ``grad_X_activation(a)`` is ``f'(a)``; the kernels return
nothing. Each reads and writes every number once; tanh, sigmoid, softplus and SiLU cost an
exponential or two besides, softplus a logarithm too. The proxes are in
`fastadmm.kernels.operators.activation_proxes`; what training uses, in place with the derivative
read off the state, is in `fastadmm.kernels.operators.activations`.
"""

from numpy.typing import ArrayLike

from ..core.arguments import Reals, elementwise, number, real_array
from ..core.elementary import clip, exp, sigmoid, silu, softplus, tanh
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, RESULT


def _run(kernel, a, parameters, out, threads):
    return elementwise(kernel, real_array("a", a), parameters, out, threads)


@jit
def _identity_activation(a: ENTRIES, out: RESULT):
    for i in range(len(a)):
        out[i] = a[i]


@jit
def _grad_identity_activation(a: ENTRIES, out: RESULT):
    one = a.dtype.type(1)
    for i in range(len(a)):
        out[i] = one if a[i] == a[i] else a[i]


@compiled_as(_identity_activation)
def identity_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Identity, ``f(a) = a``.

    In compiled code ``identity_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_identity_activation, a, (), out, threads)


@compiled_as(_grad_identity_activation)
def grad_identity_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Derivative of `identity_activation`:

    ``f'(a) = 1``.

    In compiled code ``grad_identity_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_identity_activation, a, (), out, threads)


@jit
def _relu_activation(a: ENTRIES, out: RESULT):
    zero = a.dtype.type(0)
    for i in range(len(a)):
        out[i] = zero if a[i] < 0 else a[i]


@jit
def _grad_relu_activation(a: ENTRIES, out: RESULT):
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for i in range(len(a)):
        out[i] = one if a[i] > 0 else (zero if a[i] <= 0 else a[i])


@compiled_as(_relu_activation)
def relu_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """ReLU, ``f(a) = max(a, 0)``.

    In compiled code ``relu_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_relu_activation, a, (), out, threads)


@compiled_as(_grad_relu_activation)
def grad_relu_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Derivative of `relu_activation`:

    ``f'(a) = 1`` where ``a > 0``, else 0 (at 0 too).

    In compiled code ``grad_relu_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_relu_activation, a, (), out, threads)


@jit
def _leaky_relu_activation(a: ENTRIES, slope: NUMBER, out: RESULT):
    one, slope = a.dtype.type(1), a.dtype.type(slope)
    for i in range(len(a)):
        out[i] = (slope if a[i] < 0 else one) * a[i]


@jit
def _grad_leaky_relu_activation(a: ENTRIES, slope: NUMBER, out: RESULT):
    one, slope = a.dtype.type(1), a.dtype.type(slope)
    for i in range(len(a)):
        out[i] = one if a[i] > 0 else (slope if a[i] <= 0 else a[i])


@compiled_as(_leaky_relu_activation)
def leaky_relu_activation(
    a: ArrayLike, slope: float = 0.01, *, out: Reals | None = None, threads: int = 1
) -> Reals:
    """Leaky ReLU, ``f(a) = a`` where ``a > 0``, else ``slope a``.

    In compiled code ``leaky_relu_activation(a, slope, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    slope : float
        Slope below zero, non-negative.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_leaky_relu_activation, a, (number("slope", slope, 0),), out, threads)


@compiled_as(_grad_leaky_relu_activation)
def grad_leaky_relu_activation(
    a: ArrayLike, slope: float = 0.01, *, out: Reals | None = None, threads: int = 1
) -> Reals:
    """Derivative of `leaky_relu_activation`:

    ``f'(a) = 1`` where ``a > 0``, else ``slope`` (at 0 too).

    In compiled code ``grad_leaky_relu_activation(a, slope, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    slope : float
        Slope below zero, non-negative.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_leaky_relu_activation, a, (number("slope", slope, 0),), out, threads)


@jit
def _hard_tanh_activation(a: ENTRIES, out: RESULT):
    one = a.dtype.type(1)
    for i in range(len(a)):
        out[i] = clip(a[i], -one, one)


@jit
def _grad_hard_tanh_activation(a: ENTRIES, out: RESULT):
    zero, one = a.dtype.type(0), a.dtype.type(1)
    for i in range(len(a)):
        out[i] = one if abs(a[i]) < one else (zero if abs(a[i]) >= one else a[i])


@compiled_as(_hard_tanh_activation)
def hard_tanh_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Hard tanh, ``f(a) = clip(a, -1, 1)``.

    In compiled code ``hard_tanh_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_hard_tanh_activation, a, (), out, threads)


@compiled_as(_grad_hard_tanh_activation)
def grad_hard_tanh_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Derivative of `hard_tanh_activation`:

    ``f'(a) = 1`` where ``|a| < 1``, else 0 (at -1 and 1 too).

    In compiled code ``grad_hard_tanh_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_hard_tanh_activation, a, (), out, threads)


@jit
def _hard_sigmoid_activation(a: ENTRIES, out: RESULT):
    zero, one, three = a.dtype.type(0), a.dtype.type(1), a.dtype.type(3)
    sixth = a.dtype.type(1 / 6)
    for i in range(len(a)):
        out[i] = clip((a[i] + three) * sixth, zero, one)


@jit
def _grad_hard_sigmoid_activation(a: ENTRIES, out: RESULT):
    zero, three, sixth = a.dtype.type(0), a.dtype.type(3), a.dtype.type(1 / 6)
    for i in range(len(a)):
        out[i] = sixth if abs(a[i]) < three else (zero if abs(a[i]) >= three else a[i])


@compiled_as(_hard_sigmoid_activation)
def hard_sigmoid_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Hard sigmoid, ``f(a) = clip(a / 6 + 1/2, 0, 1)``, as in torch.

    In compiled code ``hard_sigmoid_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_hard_sigmoid_activation, a, (), out, threads)


@compiled_as(_grad_hard_sigmoid_activation)
def grad_hard_sigmoid_activation(
    a: ArrayLike, *, out: Reals | None = None, threads: int = 1
) -> Reals:
    """Derivative of `hard_sigmoid_activation`:

    ``f'(a) = 1/6`` where ``|a| < 3``, else 0 (at -3 and 3 too).

    In compiled code ``grad_hard_sigmoid_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_hard_sigmoid_activation, a, (), out, threads)


@jit
def _tanh_activation(a: ENTRIES, out: RESULT):
    for i in range(len(a)):
        out[i] = tanh(a[i])


@jit
def _grad_tanh_activation(a: ENTRIES, out: RESULT):
    one, four, two = a.dtype.type(1), a.dtype.type(4), a.dtype.type(2)
    for i in range(len(a)):
        e = exp(-two * abs(a[i]))
        out[i] = four * e / ((one + e) * (one + e))


@compiled_as(_tanh_activation)
def tanh_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """tanh, ``f(a) = tanh(a)``.

    In compiled code ``tanh_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_tanh_activation, a, (), out, threads)


@compiled_as(_grad_tanh_activation)
def grad_tanh_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Derivative of `tanh_activation`:

    ``f'(a) = 1 / cosh(a)^2``.

    In compiled code ``grad_tanh_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_tanh_activation, a, (), out, threads)


@jit
def _sigmoid_activation(a: ENTRIES, out: RESULT):
    for i in range(len(a)):
        out[i] = sigmoid(a[i])


@jit
def _grad_sigmoid_activation(a: ENTRIES, out: RESULT):
    one = a.dtype.type(1)
    for i in range(len(a)):
        e = exp(-abs(a[i]))
        out[i] = e / ((one + e) * (one + e))


@compiled_as(_sigmoid_activation)
def sigmoid_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Logistic sigmoid, ``f(a) = 1 / (1 + exp(-a))``.

    In compiled code ``sigmoid_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_sigmoid_activation, a, (), out, threads)


@compiled_as(_grad_sigmoid_activation)
def grad_sigmoid_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Derivative of `sigmoid_activation`:

    ``f'(a) = f(a) (1 - f(a))``.

    In compiled code ``grad_sigmoid_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_sigmoid_activation, a, (), out, threads)


@jit
def _softplus_activation(a: ENTRIES, out: RESULT):
    for i in range(len(a)):
        out[i] = softplus(a[i])


@jit
def _grad_softplus_activation(a: ENTRIES, out: RESULT):
    for i in range(len(a)):
        out[i] = sigmoid(a[i])


@compiled_as(_softplus_activation)
def softplus_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Softplus, ``f(a) = log(1 + exp(a))``.

    In compiled code ``softplus_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential and a logarithm per entry.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_softplus_activation, a, (), out, threads)


@compiled_as(_grad_softplus_activation)
def grad_softplus_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Derivative of `softplus_activation`:

    ``f'(a) = 1 / (1 + exp(-a))``.

    In compiled code ``grad_softplus_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_softplus_activation, a, (), out, threads)


@jit
def _silu_activation(a: ENTRIES, out: RESULT):
    for i in range(len(a)):
        out[i] = silu(a[i])


@jit
def _grad_silu_activation(a: ENTRIES, out: RESULT):
    for i in range(len(a)):
        out[i] = sigmoid(a[i]) + silu(a[i]) * sigmoid(-a[i])


@compiled_as(_silu_activation)
def silu_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """SiLU, ``f(a) = a / (1 + exp(-a))``.

    In compiled code ``silu_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_silu_activation, a, (), out, threads)


@compiled_as(_grad_silu_activation)
def grad_silu_activation(a: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Derivative of `silu_activation`:

    ``f'(a) = p + f(a) (1 - p)``, p the sigmoid of a.

    In compiled code ``grad_silu_activation(a, out)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    a : array_like
        Of any shape: float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``a``; may be ``a`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``a``

    Raises
    ------
    TypeError, ValueError
        For another dtype, or an ``out`` that does not fit.
    """
    return _run(_grad_silu_activation, a, (), out, threads)
