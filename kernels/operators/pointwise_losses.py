"""Element-wise losses: value, and value with gradient, in one pass.

``X_loss(z, y)`` is the weighted sum of a loss over all entries, ``grad_X_loss(z, y)`` its gradient
with respect to ``z``. Sums are accumulated in double precision. Both read every array once; the
logistic and Poisson losses cost an exponential per entry besides. The proxes are in
`fastadmm.kernels.operators.loss_proxes`.

Labels of the logistic and hinge losses are -1 and 1: one product ``y z``, the margin, then serves
all three.
"""

from numpy.typing import ArrayLike

from ..core.arguments import Reals, coefficient, companion, elementwise, labels, number, real_array
from ..core.coordinates import at, like
from ..core.elementary import clip, exp, sigmoid, softplus
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, PER_ENTRY, RESULT


def _value(kernel, z, y, parameters, weight):
    z = real_array("z", z)
    y = companion("y", y, z)
    flat = z.ravel()  # a view where z is contiguous
    return kernel(flat, y, *parameters, coefficient("weight", weight, z))


def _gradient(kernel, z, y, parameters, weight, out, threads):
    z = real_array("z", z)
    y = companion("y", y, z)
    return elementwise(kernel, z, (y, *parameters, coefficient("weight", weight, z)), out, threads)


def checked_delta(delta):
    return number("delta", delta, 0, above=True)


def checked_quantile(quantile):
    return number("quantile", quantile, 0, above=True, below=1)


@jit(reassociate=True)
def _squared_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY):
    half = z.dtype.type(0.5)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        r = z[i] - y[i]
        total += at(weight, i) * (half * r * r)
    return total


@jit(reassociate=True)
def _grad_squared_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY, out: RESULT):
    half = z.dtype.type(0.5)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        r = z[i] - y[i]
        total += at(weight, i) * (half * r * r)
        out[i] = at(weight, i) * r
    return total


@compiled_as(_squared_loss)
def squared_loss(z: ArrayLike, y: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Squared loss, ``sum_i weight_i / 2 (z_i - y_i)^2``.

    In compiled code ``squared_loss(z, y, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _value(_squared_loss, z, y, (), weight)


@compiled_as(_grad_squared_loss)
def grad_squared_loss(
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `squared_loss`, ``weight (z - y)``.

    In compiled code ``grad_squared_loss(z, y, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _gradient(_grad_squared_loss, z, y, (), weight, out, threads)


@jit(reassociate=True)
def _absolute_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        r = z[i] - y[i]
        total += at(weight, i) * abs(r)
    return total


@jit(reassociate=True)
def _grad_absolute_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY, out: RESULT):
    one = z.dtype.type(1)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        r = z[i] - y[i]
        total += at(weight, i) * abs(r)
        out[i] = at(weight, i) * (one if r > 0 else (-one if r < 0 else r))
    return total


@compiled_as(_absolute_loss)
def absolute_loss(z: ArrayLike, y: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Absolute loss, ``sum_i weight_i |z_i - y_i|``.

    In compiled code ``absolute_loss(z, y, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _value(_absolute_loss, z, y, (), weight)


@compiled_as(_grad_absolute_loss)
def grad_absolute_loss(
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `absolute_loss`, ``weight sign(z - y)``.

    The subgradient 0 is taken at ``z_i = y_i``.

    In compiled code ``grad_absolute_loss(z, y, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _gradient(_grad_absolute_loss, z, y, (), weight, out, threads)


@jit(reassociate=True)
def _huber_loss(z: ENTRIES, y: ENTRIES, delta: NUMBER, weight: PER_ENTRY):
    half, delta = z.dtype.type(0.5), z.dtype.type(delta)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        r = clip(z[i] - y[i], -delta, delta)
        total += at(weight, i) * (r * ((z[i] - y[i]) - half * r))
    return total


@jit(reassociate=True)
def _grad_huber_loss(z: ENTRIES, y: ENTRIES, delta: NUMBER, weight: PER_ENTRY, out: RESULT):
    half, delta = z.dtype.type(0.5), z.dtype.type(delta)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        r = clip(z[i] - y[i], -delta, delta)
        total += at(weight, i) * (r * ((z[i] - y[i]) - half * r))
        out[i] = at(weight, i) * r
    return total


@compiled_as(_huber_loss)
def huber_loss(z: ArrayLike, y: ArrayLike, delta: float = 1.0, weight: ArrayLike = 1.0) -> float:
    """Huber loss, ``sum_i weight_i h(z_i - y_i)``.

    ``h(r) = r^2 / 2`` where ``|r| <= delta`` and ``delta (|r| - delta / 2)`` beyond.

    In compiled code ``huber_loss(z, y, delta, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``z`` or broadcast to it.
    delta : float
        Positive; where the loss turns linear.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _value(_huber_loss, z, y, (checked_delta(delta),), weight)


@compiled_as(_grad_huber_loss)
def grad_huber_loss(
    z: ArrayLike,
    y: ArrayLike,
    delta: float = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `huber_loss`, ``weight clip(z - y, -delta, delta)``.

    In compiled code ``grad_huber_loss(z, y, delta, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``z`` or broadcast to it.
    delta : float
        Positive; where the loss turns linear.
    weight : float or array_like
        Non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _gradient(_grad_huber_loss, z, y, (checked_delta(delta),), weight, out, threads)


@jit(reassociate=True)
def _quantile_loss(z: ENTRIES, y: ENTRIES, quantile: NUMBER, weight: PER_ENTRY):
    below = z.dtype.type(quantile)
    above = z.dtype.type(1) - below
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        r = z[i] - y[i]
        total += at(weight, i) * ((above if r > 0 else -below) * r)
    return total


@jit(reassociate=True)
def _grad_quantile_loss(z: ENTRIES, y: ENTRIES, quantile: NUMBER, weight: PER_ENTRY, out: RESULT):
    below = z.dtype.type(quantile)
    above = z.dtype.type(1) - below
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        r = z[i] - y[i]
        total += at(weight, i) * ((above if r > 0 else -below) * r)
        out[i] = at(weight, i) * (above if r > 0 else (-below if r < 0 else r))
    return total


@compiled_as(_quantile_loss)
def quantile_loss(
    z: ArrayLike, y: ArrayLike, quantile: float = 0.5, weight: ArrayLike = 1.0
) -> float:
    """Quantile (pinball) loss, ``sum_i weight_i max(q (y_i - z_i), (q - 1) (y_i - z_i))``.

    In compiled code ``quantile_loss(z, y, quantile, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``z`` or broadcast to it.
    quantile : float
        Above 0 and below 1.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _value(_quantile_loss, z, y, (checked_quantile(quantile),), weight)


@compiled_as(_grad_quantile_loss)
def grad_quantile_loss(
    z: ArrayLike,
    y: ArrayLike,
    quantile: float = 0.5,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `quantile_loss`, ``weight (1 - q)`` above ``y``, ``-weight q`` below.

    The subgradient 0 is taken at ``z_i = y_i``.

    In compiled code ``grad_quantile_loss(z, y, quantile, weight, out)``, arrays C-contiguous or
    1-D. It returns the loss.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``z`` or broadcast to it.
    quantile : float
        Above 0 and below 1.
    weight : float or array_like
        Non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _gradient(_grad_quantile_loss, z, y, (checked_quantile(quantile),), weight, out, threads)


@jit(reassociate=True)
def _logistic_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        m = y[i] * z[i]
        total += at(weight, i) * softplus(-m)
    return total


@jit(reassociate=True)
def _grad_logistic_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY, out: RESULT):
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        m = y[i] * z[i]
        total += at(weight, i) * softplus(-m)
        out[i] = at(weight, i) * (-y[i] * sigmoid(-m))
    return total


@compiled_as(_logistic_loss)
def logistic_loss(z: ArrayLike, y: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Logistic loss, ``sum_i weight_i log(1 + exp(-y_i z_i))``.

    In compiled code ``logistic_loss(z, y, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential and a logarithm per entry.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _value(_logistic_loss, z, labels("y", y), (), weight)


@compiled_as(_grad_logistic_loss)
def grad_logistic_loss(
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `logistic_loss`, ``-weight y / (1 + exp(y z))``.

    In compiled code ``grad_logistic_loss(z, y, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss.

    Cost: one pass over memory, an exponential and a logarithm per entry.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _gradient(_grad_logistic_loss, z, labels("y", y), (), weight, out, threads)


@jit(reassociate=True)
def _hinge_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY):
    zero, one = z.dtype.type(0), z.dtype.type(1)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        m = one - y[i] * z[i]
        total += at(weight, i) * (zero if m < 0 else m)
    return total


@jit(reassociate=True)
def _grad_hinge_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY, out: RESULT):
    zero, one = z.dtype.type(0), z.dtype.type(1)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        m = one - y[i] * z[i]
        total += at(weight, i) * (zero if m < 0 else m)
        out[i] = at(weight, i) * (-y[i] if m > 0 else (zero if m <= 0 else m))
    return total


@compiled_as(_hinge_loss)
def hinge_loss(z: ArrayLike, y: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Hinge loss, ``sum_i weight_i max(0, 1 - y_i z_i)``.

    In compiled code ``hinge_loss(z, y, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _value(_hinge_loss, z, labels("y", y), (), weight)


@compiled_as(_grad_hinge_loss)
def grad_hinge_loss(
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `hinge_loss`, ``-weight y`` where ``y z < 1``.

    The subgradient 0 is taken at ``y_i z_i = 1``.

    In compiled code ``grad_hinge_loss(z, y, weight, out)``, arrays C-contiguous or 1-D. It returns
    the loss.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _gradient(_grad_hinge_loss, z, labels("y", y), (), weight, out, threads)


@jit(reassociate=True)
def _squared_hinge_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY):
    half, zero, one = z.dtype.type(0.5), z.dtype.type(0), z.dtype.type(1)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        m = one - y[i] * z[i]
        m = zero if m < 0 else m
        total += at(weight, i) * (half * m * m)
    return total


@jit(reassociate=True)
def _grad_squared_hinge_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY, out: RESULT):
    half, zero, one = z.dtype.type(0.5), z.dtype.type(0), z.dtype.type(1)
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        m = one - y[i] * z[i]
        m = zero if m < 0 else m
        total += at(weight, i) * (half * m * m)
        out[i] = at(weight, i) * (-y[i] * m)
    return total


@compiled_as(_squared_hinge_loss)
def squared_hinge_loss(z: ArrayLike, y: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Squared hinge loss, ``sum_i weight_i / 2 max(0, 1 - y_i z_i)^2``.

    In compiled code ``squared_hinge_loss(z, y, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _value(_squared_hinge_loss, z, labels("y", y), (), weight)


@compiled_as(_grad_squared_hinge_loss)
def grad_squared_hinge_loss(
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `squared_hinge_loss`, ``-weight y max(0, 1 - y z)``.

    In compiled code ``grad_squared_hinge_loss(z, y, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss.

    Cost: one pass over memory.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _gradient(_grad_squared_hinge_loss, z, labels("y", y), (), weight, out, threads)


@jit(reassociate=True)
def _poisson_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        e = exp(z[i])
        total += at(weight, i) * (e - y[i] * z[i])
    return total


@jit(reassociate=True)
def _grad_poisson_loss(z: ENTRIES, y: ENTRIES, weight: PER_ENTRY, out: RESULT):
    total, weight = 0.0, like(weight, z)
    for i in range(len(z)):
        e = exp(z[i])
        total += at(weight, i) * (e - y[i] * z[i])
        out[i] = at(weight, i) * (e - y[i])
    return total


@compiled_as(_poisson_loss)
def poisson_loss(z: ArrayLike, y: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Poisson loss with the logarithmic link, ``sum_i weight_i (exp(z_i) - y_i z_i)``.

    The negative log-likelihood of counts y with rate ``exp(z)``, without ``log(y!)``.

    In compiled code ``poisson_loss(z, y, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets (for counts: non-negative), of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _value(_poisson_loss, z, y, (), weight)


@compiled_as(_grad_poisson_loss)
def grad_poisson_loss(
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `poisson_loss`, ``weight (exp(z) - y)``.

    In compiled code ``grad_poisson_loss(z, y, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss.

    Cost: one pass over memory, an exponential per entry.

    Parameters
    ----------
    z : array_like
        Predictions, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets (for counts: non-negative), of the shape of ``z`` or broadcast to it.
    weight : float or array_like
        Non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _gradient(_grad_poisson_loss, z, y, (), weight, out, threads)
