"""What all public functions of operators share: axes, threads, results, and words for mistakes."""

import inspect

import numpy as np
import pytest
from cases.penalties import CASES
from fastadmm.kernels.core import parallel

from fastadmm import kernels

STEP = 0.5
ROWS = [case for case in CASES if case.shape == "row"]
SEVERAL = [case for case in CASES if case.shape != "matrix"]


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_an_axis_holds_the_rows(case):
    """In place, into a strided result, and into one of the function's own."""
    v = 2 * np.random.default_rng(0).normal(size=(2, 3, 12))
    arguments = case.prox_arguments(12, STEP)
    expected = case.prox(v, *arguments)
    for axis in (0, 1, -2, 2, -1):
        turned = np.moveaxis(v, -1, axis).copy()
        x = case.prox(turned, *arguments, axis=axis)
        np.testing.assert_array_equal(np.moveaxis(x, axis, -1), expected)
        for out in (np.zeros((*turned.shape, 2))[..., 0], np.zeros(turned.shape), turned):
            assert case.prox(turned, *arguments, axis=axis, out=out) is out
            np.testing.assert_array_equal(np.moveaxis(out, axis, -1), expected)


@pytest.mark.parametrize("case", SEVERAL, ids=str)
def test_any_number_of_threads_gives_the_same_bits(case, monkeypatch):
    """Seven rows, or 1,897 entries, are cut unevenly by two, three and five."""
    monkeypatch.setattr(parallel, "GRAIN", 1)
    n = 12 if case.shape == "row" else 271
    v = 2 * np.random.default_rng(0).normal(size=(7, n))
    arguments = case.prox_arguments(n, STEP)
    expected = case.prox(v, *arguments)
    for threads in (2, 3, 5, 100):
        np.testing.assert_array_equal(case.prox(v, *arguments, threads=threads), expected)
        x = v.copy()
        np.testing.assert_array_equal(case.prox(x, *arguments, threads=threads, out=x), expected)


def test_threads_cut_what_belongs_to_a_row_or_an_entry(monkeypatch):
    monkeypatch.setattr(parallel, "GRAIN", 1)
    rng = np.random.default_rng(1)
    v, step = rng.normal(size=(7, 7)), rng.uniform(0.1, 2, 7)
    wide, entries = rng.normal(size=(7, 271)), rng.uniform(0.1, 2, (7, 271))
    logits, labels = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    for call in (
        lambda threads: kernels.prox_l1(wide, entries, 0.5, threads=threads),
        lambda threads: kernels.prox_l2_norm(v, step, 0.5, threads=threads),
        lambda threads: kernels.project_box(wide, -entries, entries, threads=threads),
        # as many columns as rows: the weights of columns are not cut
        lambda threads: kernels.prox_total_variation(v, step, step[1:], threads=threads),
        lambda threads: kernels.prox_sparse_group_lasso(v, [0, 7], 1.0, step, threads=threads),
        lambda threads: kernels.prox_cross_entropy_loss(logits, labels, step, threads=threads),
        lambda threads: kernels.prox_squared_loss(wide, entries, 0.5, entries, threads=threads),
        lambda threads: kernels.tanh_activation(wide, threads=threads),
    ):
        np.testing.assert_array_equal(call(3), call(1))


def test_small_work_stays_on_one_thread():
    v = np.ones((4, parallel.GRAIN // 4))
    parallel._pool.cache_clear()
    kernels.prox_l2_norm(v, threads=8)
    assert parallel._pool.cache_info().currsize == 0


OPERATORS = [
    function
    for function in (getattr(kernels, name) for name in kernels.__all__)
    if "out" in getattr(inspect.signature(function), "parameters", {})
]


@pytest.mark.parametrize("function", OPERATORS, ids=lambda function: function.__name__)
def test_results_are_asked_for_by_keyword(function):
    parameters = inspect.signature(function).parameters
    for name in {"out", "axis", "threads"} & set(parameters):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_no_array_of_numbers_is_refused_in_our_words(case):
    arguments = case.prox_arguments(12, STEP)
    for wrong in ([[1.0, 2.0], [3.0]], "text", None, {}, [1j], object()):
        for function, name, others in (
            (case.prox, "v", arguments),
            (case.value, "x", case.value_arguments(12)),
        ):
            with pytest.raises((TypeError, ValueError), match=rf"^{name} (is|has) .*: expected"):
                function(wrong, *others)
    v = case.sample(np.float64, 12)
    frozen = np.zeros_like(v)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"^out is read-only: expected a writable array"):
        case.prox(v, *arguments, out=frozen)
    assert not frozen.any()
    with pytest.raises(TypeError, match=r"^out is list: expected an array of float64"):
        case.prox(v, *arguments, out=[0.0])


def test_axis_and_threads_are_checked():
    v = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"axis is 2: expected one of the 2 axes of an array"):
        kernels.project_simplex(v, axis=2)
    with pytest.raises(TypeError, match="axis is float: expected an integer"):
        kernels.prox_l2_norm(v, axis=0.5)
    with pytest.raises(ValueError, match="threads is 0: expected a positive integer"):
        kernels.prox_l1(v, threads=0)
    with pytest.raises(TypeError, match="threads is str: expected a non-negative integer"):
        kernels.prox_l1(v, threads="2")


def _hostile(rng):
    """Something that may come as an argument."""
    kinds = (
        lambda: rng.normal(size=rng.integers(0, 4, rng.integers(0, 4))),
        lambda: rng.normal(size=rng.integers(0, 4, 2)).astype(np.float32),
        lambda: rng.integers(-2, 9, rng.integers(0, 4, rng.integers(0, 3))),
        lambda: rng.choice([0.0, -1.0, np.nan, np.inf, 2.5, 1e300]),
        lambda: rng.choice([0, -1, 3, 10**6]).item(),
        lambda: [None, "x", [[1.0], [2.0, 3.0]], (), 1j, True, {}][rng.integers(0, 7)],
    )
    return kinds[rng.integers(0, len(kinds))]()


def test_ten_thousand_wrong_calls_raise_or_return():
    """No crash, and no error but those that are documented."""
    rng = np.random.default_rng(0)
    functions = [case.prox for case in CASES] + [case.value for case in CASES]
    with np.errstate(all="ignore"):
        for i in range(10_000):
            function = functions[i % len(functions)]
            arguments = [_hostile(rng) for _ in range(rng.integers(1, 4))]
            keywords = {"out": _hostile(rng)} if function.__name__[0] == "p" and i % 3 == 0 else {}
            try:
                function(*arguments, **keywords)
            except (TypeError, ValueError) as error:
                told = str(error)
            else:
                told = ""
            assert len(told.splitlines()) <= 1, (function.__name__, arguments, told)
