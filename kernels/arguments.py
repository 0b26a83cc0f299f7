"""What the public functions of separable kernels do before a kernel runs: check and convert."""

import inspect

import numpy as np


def real_array(name, x):
    """``x`` as a float32 or float64 array; integers and booleans become float64."""
    x = np.asarray(x)
    if x.dtype in (np.float32, np.float64):
        return x
    if x.dtype.kind in "iub":
        return x.astype(np.float64)
    raise TypeError(f"{name} has dtype {x.dtype}: expected float32, float64 or integers")


def companion(name, y, like):
    """``y`` in the dtype of ``like``, contiguous and raveled, broadcast to its shape."""
    y = real_array(name, y).astype(like.dtype, copy=False)
    if y.shape != like.shape:
        try:
            y = np.broadcast_to(y, like.shape)
        except ValueError:
            raise ValueError(
                f"{name} has shape {y.shape}: expected {like.shape} or what broadcasts to it"
            ) from None
    return np.ascontiguousarray(y).reshape(-1)


def coefficient(name, value, like, *, positive=False, below=np.inf):
    """A checked number in the dtype of ``like``, or a raveled array of them."""
    value = real_array(name, value)
    low = value > 0 if positive else value >= 0
    if not np.all(low & (value < below)):
        wrong = value[~(low & (value < below))].flat[0]
        kind = "positive" if positive else "non-negative"
        limit = "finite" if below == np.inf else f"below {below}"
        raise ValueError(f"{name} is {wrong}: expected a {kind} number, {limit}")
    if value.ndim == 0:
        return like.dtype.type(value)
    return companion(name, value, like)


def labels(name, y):
    """``y`` after a check that its entries are -1 or 1."""
    y = real_array(name, y)
    wrong = np.abs(y) != 1
    if wrong.any():
        raise ValueError(
            f"{name} contains {y[wrong].flat[0]}: expected labels -1 or 1 (2 y - 1 of labels 0, 1)"
        )
    return y


def slope_below(slope):
    """Checked slope of a leaky ReLU."""
    return float(coefficient("slope", slope, np.empty((), np.float64)))


def checked_out(out, like):
    """``out`` after a check that it has the shape and dtype of ``like``; a new array for None."""
    if out is None:
        return np.empty(like.shape, like.dtype)
    if not isinstance(out, np.ndarray) or out.dtype != like.dtype:
        kind = getattr(out, "dtype", type(out).__name__)
        raise TypeError(f"out is {kind}: expected an array of {like.dtype}")
    if out.shape != like.shape:
        raise ValueError(f"out has shape {out.shape}: expected {like.shape}")
    return out


def elementwise(kernel, x, arguments, out):
    """Run ``kernel(x, *arguments, out)`` on raveled arrays; return ``out`` in the shape of x."""
    result = checked_out(out, x)
    flat = np.ascontiguousarray(x).reshape(-1)
    fits = result.flags.c_contiguous and (
        result is x or not any(np.may_share_memory(result, a) for a in (flat, *arguments))
    )
    written = result.reshape(-1) if fits else np.empty(x.size, x.dtype)
    kernel(flat, *arguments, written)
    if not fits:
        result[...] = written.reshape(x.shape)
    return result


def sharing(section):
    """Decorator that appends a common section to the docstring of every function of a family."""

    def decorate(function):
        if function.__doc__:
            function.__doc__ = inspect.cleandoc(function.__doc__) + "\n\n" + section.strip("\n")
        return function

    return decorate
