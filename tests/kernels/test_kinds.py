"""What compiled callers may pass: every kernel with arrays it was not written for."""

import inspect
import re

import numba
import numpy as np
import pytest
from cases.calls import CALLS
from fastadmm.kernels.core.kinds import Array, Door, Either, Kind
from fastadmm.kernels.core.rows import transpose
from numba import njit
from numba.core.errors import TypingError

from fastadmm import kernels


def _strided(a):
    """A copy whose last axis has a stride of two."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def _apart(a):
    """A copy whose rows are contiguous and apart; of a vector, just a copy."""
    wide = np.zeros((*a.shape[:-1], a.shape[-1] + 3), a.dtype)
    wide[..., :-3] = a
    return wide[..., :-3]


def _read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _deeper(a):
    """The same entries with an axis more."""
    return a.reshape(2, -1) if a.ndim == 1 and a.size % 2 == 0 else a[np.newaxis]


VARIANTS = {
    "deeper": _deeper,
    "fortran": np.asfortranarray,
    "strided": _strided,
    "rows apart": _apart,
    "integers": lambda a: a.astype(np.int64),
    "other dtype": lambda a: a.astype(np.float32),
    "read-only": _read_only,
}


def _door(name):
    return Door(name, getattr(kernels, name).kernel)


def _types(arguments):
    return [numba.typeof(argument) for argument in arguments]


def _varied(name, variant, i):
    """Arguments of a kernel, the one at place i in a variant."""
    arguments = list(CALLS[name]())
    arguments[i] = VARIANTS[variant](arguments[i])
    return arguments


def _arrays(name):
    return [i for i, value in enumerate(CALLS[name]()) if isinstance(value, np.ndarray)]


def _is_taken(name, variant, i):
    """Whether the kernel takes an argument in a variant; if not, it is refused by its name."""
    door = _door(name)
    try:
        door.check(_types(_varied(name, variant, i)), {})
    except TypingError as error:
        (line,) = re.sub(r"\x1b\[\d*m", "", str(error)).splitlines()  # bold, beside colorama
        parameter = list(door.signature.parameters)[i]
        named = r"\w+" if variant == "other dtype" else parameter  # the first sets the dtype
        assert re.match(rf"{named} of {re.escape(str(door))} is .*: expected ", line)
        return False
    return True


def _is_packed(name, i):
    kinds = _door(name).check(_types(CALLS[name]()), {})
    return getattr(list(kinds.values())[i][0], "packed", False)


def _using(name):
    function = getattr(kernels, name)
    return njit(lambda *arguments: function(*arguments))


@pytest.mark.parametrize("name", CALLS)
def test_what_is_taken_gives_the_right_result(name):
    """One call, in which each array comes in another of the variants that are taken."""
    plain, arguments = CALLS[name](), list(CALLS[name]())
    for place, i in enumerate(_arrays(name)):
        others = {"integers", "other dtype", "strided" if _is_packed(name, i) else ""}
        taken = [v for v in VARIANTS if v not in others and _is_taken(name, v, i)]
        if taken:
            arguments[i] = VARIANTS[taken[place % len(taken)]](arguments[i])
    value = getattr(kernels, name).kernel(*plain)
    result = _using(name)(*arguments)
    assert result is value or result == pytest.approx(value, rel=1e-12)
    for argument, expected in zip(arguments, plain, strict=True):
        if isinstance(argument, np.ndarray):
            np.testing.assert_allclose(argument.ravel(), expected.ravel(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", CALLS)
def test_integers_are_taken_only_where_they_count(name):
    integers = ("y", "groups", "tokens", "places")
    parameters = list(_door(name).signature.parameters)
    for i in _arrays(name):
        came_as_integers = CALLS[name]()[i].dtype.kind == "i"
        assert _is_taken(name, "integers", i) == came_as_integers
        assert not came_as_integers or parameters[i] in integers


@pytest.mark.parametrize("name", CALLS)
def test_results_are_not_read_only(name):
    for i, parameter in enumerate(_door(name).signature.parameters):
        if parameter == "out":
            assert not _is_taken(name, "read-only", i)


@pytest.mark.parametrize("name", CALLS)
def test_other_lengths_are_refused_before_the_kernel_runs(name):
    """Every array one shorter, but for the first, which sets the lengths, and free workspace."""
    door = _door(name)
    letters = set()
    for i, (kind, _) in enumerate(door.check(_types(CALLS[name]()), {}).values()):
        if not isinstance(kind, Array):
            continue
        for axis, length in enumerate(kind.shape):
            arguments = list(CALLS[name]())
            arguments[i] = np.delete(arguments[i], 0, axis)
            if length in letters or not length.isidentifier():
                if "if" in length:
                    continue
                with pytest.raises(ValueError, match=r"has another shape: expected \("):
                    door.choose(*_types(arguments))(*arguments)
            letters.add(length)


@pytest.mark.parametrize("name", [*CALLS, "conjugate_gradients"])
def test_every_argument_has_its_kind(name):
    for parameter in _door(name).signature.parameters.values():
        kind = parameter.annotation
        if parameter.name in ("apply", "data", "precondition"):
            assert kind is inspect.Parameter.empty
            continue
        assert isinstance(kind, Kind)
        for one in kind.kinds if isinstance(kind, Either) else (kind,):
            assert not set(getattr(one, "shape", ())) & set(_door(name).signature.parameters)


def _message(function, *arguments):
    with pytest.raises(TypingError) as caught:
        function(*arguments)
    return str(caught.value)


def test_messages_name_kernel_argument_what_came_and_what_is_expected():
    v, out = np.ones(3), np.ones(3)
    prox = _using("prox_l1")
    signature = "prox_l1(v, step, weight, out)"
    assert (
        f"v of {signature} is array(int64, 1d, C): expected an array of any shape, C-contiguous or "
        "1-D, of float32 or float64"
    ) in _message(prox, np.array([1, 2, 3]), 1.0, 0.5, out)
    assert f"out of {signature} is array(float32, 1d, C): expected float64" in _message(
        prox, v, 1.0, 0.5, out.astype(np.float32)
    )
    assert f"out of {signature} is readonly array(float64, 1d, C): expected a writable" in _message(
        prox, v, 1.0, 0.5, _read_only(out)
    )
    assert f"step of {signature} is none: expected a number or an array" in _message(
        prox, v, None, 0.5, out
    )
    assert f"{signature} in compiled code: missing a required argument: 'out'" in _message(
        prox, v, 1.0, 0.5
    )
    ridge = _using("factor_ridge")
    assert (
        "rows of factor_ridge(rows, delta, factor) is array(float64, 2d, F): expected an array "
        "(m, n) with contiguous rows, of float32 or float64"
    ) in _message(ridge, np.asfortranarray(np.ones((5, 3))), 1.0, np.ones((3, 3)))
    with pytest.raises(
        ValueError, match=r"out of prox_l1\(.*\) has another shape: expected \(n,\)"
    ):
        prox(v, 1.0, 0.5, out[:2])


def test_a_keyword_is_an_argument_and_an_unknown_one_is_named():
    prox_l1 = kernels.prox_l1

    @njit
    def by_keyword(v, out):
        return prox_l1(v, step=1.0, out=out, weight=0.5)

    @njit
    def wrong(v, out):
        return prox_l1(v, 1.0, 0.5, output=out)

    v, out = np.array([1.0, -3.0]), np.zeros(2)
    assert by_keyword(v, out) == 0.5 * (0.5 + 2.5)
    np.testing.assert_array_equal(out, [0.5, -2.5])
    assert "prox_l1(v, step, weight, out) in compiled code: " in _message(wrong, v, out)


def test_rows_of_a_matrix_may_be_apart_but_not_strided_or_overlapping():
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(20, 10))
    factor, expected = np.zeros((5, 5)), np.zeros((5, 5))
    use = _using("factor_ridge")
    for rows in (wide[::2, :5], wide[3:, 5:]):
        assert use(rows, 1.0, factor) == 0
        kernels.factor_ridge.kernel(np.ascontiguousarray(rows), 1.0, expected)
        np.testing.assert_allclose(factor, expected, rtol=1e-13)
    for rows in (wide[:, ::2], wide[::-1, :5], np.broadcast_to(wide[:1, :5], (20, 5))):
        with pytest.raises((ValueError, TypingError), match=r"expected (an array|contiguous rows)"):
            use(rows, 1.0, factor)


def test_internal_kernels_have_no_entry_from_python():
    """Called there they would crash; Numba keeps their type, which alone holds no reference."""
    with pytest.raises(TypeError, match="transpose is called from compiled code only"):
        transpose(np.ones((2, 2)), np.ones((2, 2)))
    out = np.zeros((3, 2))
    njit(lambda a, out: transpose(a, out))(np.arange(6.0).reshape(2, 3), out)
    np.testing.assert_array_equal(out, [[0, 3], [1, 4], [2, 5]])
