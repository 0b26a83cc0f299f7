"""A slice of every attack; `make attack` runs all of them."""

import pytest

from hostile import attack, watch

SLICE = {
    "models": 120, "data": 80, "cache": 14, "numerics": 16, "kernels": 60, "commands": 16,
    "process": 1, "kills": 5,
}  # fmt: skip


@pytest.mark.parametrize("area", attack.AREAS)
def test_no_case_of_the_slice_is_a_fault(area):
    told = attack.attack(area, seed=1, count=SLICE[area])
    faults = [(name, fault) for _, name, fault, _ in told if fault]
    assert not faults


def test_faults_are_seen():
    """Each kind of them, so that silence means something."""

    def unclear():
        watch.refused(TypeError("'int' object is not subscriptable"))

    def unnamed():
        watch.refused(ValueError("it is wrong"), "eta")

    def hang():
        raise watch.Hang

    def memory():
        return bytes(watch.LEAST_MEMORY + 1)

    for run, kind in (
        (unclear, "unclear"), (unnamed, "unclear: does not name"), (hang, "hang"),
        (memory, "memory"), (lambda: {}["x"], "traceback: KeyError"),
    ):  # fmt: skip
        fault = watch.judge(watch.Case("", run))
        assert fault is not None
        assert fault.startswith(kind)
    assert watch.judge(watch.Case("", lambda: watch.refused(ValueError("eta is -1")))) is None
