"""Every public kernel, called from Python with arguments of any kind."""

import inspect

import numpy as np

from fastadmm import kernels

from .watch import Case, Fault, refused

ALLOWED = ValueError, TypeError, np.linalg.LinAlgError
N = 6


def cases(rng, folder, count):
    """As many as asked for; each calls one kernel once."""
    public = {name: getattr(kernels, name) for name in kernels.__all__}
    found = [name for name, each in public.items() if callable(each) and not inspect.isclass(each)]
    for _ in range(count):
        name = str(rng.choice(found))
        yield _call(rng, name, public[name])


def _call(rng, name, function):
    arguments = {}
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        is_optional = parameter.default is not parameter.empty
        if is_optional and rng.random() < 0.6:
            continue
        arguments[key] = hostile(rng) if rng.random() < 0.35 else plausible(rng, key)
    told = ", ".join(f"{key}={_short(value)}" for key, value in arguments.items())

    def run():
        frozen = {
            key: (value, value.tobytes()) for key, value in arguments.items()
            if isinstance(value, np.ndarray) and not value.flags.writeable
            and not value.dtype.hasobject
        }  # fmt: skip
        try:
            with np.errstate(all="ignore"):
                function(**arguments)
        except ALLOWED as error:
            refused(error)
        for key, (value, before) in frozen.items():
            if value.tobytes() != before:
                raise Fault(f"silent: {key} is read-only, and was written")

    return Case(f"{name}({told})"[:300], run)


def _short(value):
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{'' if value.flags.writeable else ' read-only'}"
    return repr(value)[:30]


def plausible(rng, key):
    """What the argument may well be."""
    if key in ("step", "weight", "rho", "delta", "tolerance", "scale", "shift"):
        return float(rng.choice([0.1, 0.5, 1.0, 2.0]))
    if key in ("tokens", "y", "labels"):
        return rng.integers(0, 3, N)
    if key in ("groups",):
        return [0, 2, 4, N]
    if key in ("axis",):
        return int(rng.choice([-1, 0]))
    if key in ("n_tokens", "threads", "max_iter", "k"):
        return int(rng.integers(1, 5))
    shape = ((N,), (N, N), (3, N), (N, 3))[rng.integers(4)]
    array = rng.standard_normal(shape)
    if shape == (N, N) and rng.random() < 0.5:
        array = array @ array.T + np.eye(N)
    return array.astype(str(rng.choice(["f8", "f8", "f4", "i8"])))


def hostile(rng):
    """What no argument is, or only some are."""
    frozen = np.frombuffer(np.zeros(N).tobytes())
    kinds = (
        None, True, -1, 0, 10**12, 2**70, 1e300, float("nan"), float("inf"), -float("inf"), "x", "",
        b"x", (), [], [[1, 2], [3]], [1.0, "x"], {}, object(), 1j, len, kernels, np.float16(1),
        np.zeros(0), np.zeros((0, N)), np.zeros((N, 0)), np.zeros((2, 3, N)), np.array(3.0),
        np.full(N, np.nan), np.full(N, np.inf), np.full(N, 1e308), np.full(N, -1), frozen,
        frozen.reshape(2, 3), np.zeros(N, "c16"), np.zeros(N, "f2"), np.zeros(N, "?"),
        np.array(["a"] * N), np.array([None] * N), np.zeros(N, ">f8"), np.zeros(2 * N)[::2],
        np.zeros((N, N))[::-1], np.asfortranarray(np.eye(N)), np.full(N, 2**62),
        np.zeros(N, "M8[s]"), range(N), memoryview(bytes(8)),
    )  # fmt: skip
    return kinds[rng.integers(len(kinds))]
