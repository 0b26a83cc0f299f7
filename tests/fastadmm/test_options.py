"""Options: what their annotations do not allow is refused by name, wherever it comes from."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import pytest

from fastadmm import RNN, fit
from fastadmm.options import COUNTING, FRACTION, POSITIVE, check, one_of, read
from fastadmm.solvers import SOLVERS


@dataclass(frozen=True)
class Mine:
    size: Annotated[float, POSITIVE] = 1.0
    start: Annotated[float | None, POSITIVE] = None
    rounds: Annotated[int, COUNTING] = 1
    memory: Annotated[float, FRACTION] = 0.5
    name: Annotated[str | None, one_of(("a", "b"))] = None
    loud: bool = False

    def __post_init__(self):
        check(self)


REFUSED = [
    (dict(size="abc"), "size is 'abc': expected a positive number"),
    (dict(size=0), "size is 0: expected a positive number"),
    (dict(size=True), "size is True: expected a positive number"),
    (dict(size=None), "size is None: expected a positive number"),
    (dict(size=np.nan), "size is nan: expected a positive number"),
    (dict(size=np.inf), "size is inf: expected a positive number"),
    (dict(size=10**400), "size is 1000"),  # no float is so large
    (dict(size=np.ones((2, 2))), "size is array([[1., 1.], [1., 1.]]): expected a positive number"),
    (dict(start=-1.0), "start is -1.0: expected None or a positive number"),
    (dict(rounds=2.5), "rounds is 2.5: expected a positive integer"),
    (dict(rounds=2.0), "rounds is 2.0: expected a positive integer"),
    (dict(rounds=np.True_), "rounds is True: expected a positive integer"),
    (dict(rounds=np.int32(0)), "rounds is 0: expected a positive integer"),
    (dict(memory=1), "memory is 1: expected 0 <= memory < 1"),
    (dict(name=3), "name is 3: expected None or one of 'a', 'b'"),
    (dict(name=["a"]), "name is ['a']: expected None or one of 'a', 'b'"),
    (dict(loud="no"), "loud is 'no': expected True or False"),
    (dict(loud=1), "loud is 1: expected True or False"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_an_annotation_does_not_allow_is_refused_in_one_line(given, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        Mine(**given)
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 120
    assert "\n" not in str(refused.value)


def test_numbers_of_numpy_become_plain():
    """As JSON writes them; an integer where a float is expected is one."""
    mine = Mine(np.float32(0.5), 3, np.uint8(2), np.float16(0), np.str_("a"), np.bool_(True))
    assert json.dumps(asdict(mine)) == (
        '{"size": 0.5, "start": 3.0, "rounds": 2, "memory": 0.0, "name": "a", "loud": true}'
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "1e-3", 0.001),
        ("size", "2", 2),
        ("size", "abc", "abc"),
        ("start", "None", None),
        ("start", "null", None),
        ("rounds", "2.5", 2.5),
        ("name", "a", "a"),
        ("name", "3", "3"),
        ("name", "true", "true"),
        ("name", "none", None),
        ("loud", "True", True),
        ("loud", "false", False),
        ("loud", "no", "no"),
    ],
)
def test_texts_are_read_by_the_annotation(name, text, value):
    found = read(Mine, name, text)
    assert (found, type(found)) == (value, type(value))


SOLVERS_REFUSE = [
    ("condensed", dict(eta="abc"), "eta is 'abc': expected a positive number"),
    ("condensed", dict(safeguard="no"), "safeguard is 'no': expected True or False"),
    ("condensed", dict(gram_every=2.5), "gram_every is 2.5: expected a positive integer"),
    ("block", dict(sweeps=2.5), "sweeps is 2.5: expected an integer from 1 to 1000"),
    ("block", dict(certify="no"), "certify is 'no': expected True or False"),
    ("block", dict(regulariser=3), "regulariser is 3: expected None or one of 'l1', 'l2'"),
    ("admmirnn", dict(nu=np.nan), "nu is nan: expected a positive number"),
]


@pytest.mark.parametrize(("solver", "given", "message"), SOLVERS_REFUSE)
def test_solvers_refuse_before_any_work(solver, given, message):
    net = RNN(3, 4, 2)
    with pytest.raises(ValueError, match="^" + message):
        fit(net, np.zeros((4, 5, 3)), [0, 1, 0, 1], solver=solver, **given)
    assert net.is_new


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_option_of_every_solver_has_a_checked_type(solver):
    """None of them would take an object of an unknown kind."""
    kind = SOLVERS[solver].Options
    for name in asdict(kind()):
        with pytest.raises(ValueError, match=f"^{name} is <object"):
            kind(**{name: object()})
