"""The cost model: its counts against a counted run, its seconds in closed form, its choices."""

import dataclasses
import itertools

import numpy as np
import pytest
from cases.launcher import mpirun, needs_mpirun
from fastadmm.mpi import cost
from fastadmm.mpi.machine import TYPICAL, Machine, calibrate
from reference import condensed as reference

from fastadmm import RNN
from fastadmm.problem import make_problem
from fastadmm.solvers import SOLVERS, counts
from fastadmm.solvers.condensed import Condensed, CondensedOptions

WORK = cost.Work(n_cases=1000, n_timepoints=24, batch=64, steps=24, inputs=5, hidden=12, outputs=3)
IDEAL = Machine(0, 1e30, 1e30, flops=1e9, weight_flops=1e30, half_batch=0, overhead=0)


class Counted(np.ndarray):
    """Counts the flops of matrix products."""

    flops = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = [np.asarray(x) for x in inputs]
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.matmul:
            Counted.flops += 2 * result.size * plain[0].shape[-1]
        return np.asarray(result).view(Counted)


def test_counts_of_condensed_are_those_of_the_twin(monkeypatch):
    """Within the terms of lower order that one of them leaves out."""
    h, c, d, steps, batch = WORK.hidden, WORK.outputs, WORK.dense, WORK.steps, 4
    net = RNN(WORK.inputs, h, c, dtype="float64")
    rng = np.random.default_rng(0)
    X, y = rng.random((batch, steps, WORK.inputs)), rng.integers(0, c, (batch, steps))
    monkeypatch.setattr(Counted, "flops", 0)
    for name in ("zeros", "empty", "concatenate", "ones"):
        make = getattr(np, name)
        monkeypatch.setattr(
            reference.np, name, lambda *args, make=make, **kw: make(*args, **kw).view(Counted)
        )
    theta, phi = net.theta.view(Counted), net.phi.view(Counted)
    reference.sums(theta, phi, "tanh", X.view(Counted), y, "softmax_cross_entropy", "all", True)
    counted = counts(dataclasses.replace(WORK, every=True), "condensed")
    per_step = counted.sweep - cost.ELEMENTWISE * h + counted.rows
    per_output = counted.sweep_output - cost.ELEMENTWISE * c + counted.rows_output
    all_grams = (2 - 1 / CondensedOptions.gram_every) * (d**2 + (h + 1) ** 2)  # the twin's are full
    expected = steps * batch * (per_step + per_output + all_grams)
    assert Counted.flops == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("solver", tuple(SOLVERS))
def test_reductions_are_those_of_the_algorithm(solver):
    """(H + n/2) n + (C + (H+1)/2)(H+1) numbers, Grams at every iteration."""
    h, c, n = WORK.hidden, WORK.outputs, WORK.columns
    sums, grams = h * n + c * (h + 1), n**2 / 2 + (h + 1) ** 2 / 2
    expected = {
        "condensed": sums + grams / CondensedOptions.gram_every,
        "block": sums + grams,
        "admmirnn": 2 * (sums + grams),
    }
    assert counts(WORK, solver).reduced == pytest.approx(expected[solver], rel=0.05)


@pytest.mark.parametrize("solver", tuple(SOLVERS))
def test_threads_follow_the_work(solver):
    """One where a step is soon over, all where it is long, and fewer where ranks share it."""
    large = dataclasses.replace(WORK, n_cases=4096, batch=4096, hidden=64)
    assert cost.useful_threads(WORK, counts(WORK, solver), 1, 64) == 1
    assert cost.useful_threads(large, counts(large, solver), 1, 64) == 64
    counted = [
        cost.useful_threads(large, counts(large, solver), ranks, 10**6) for ranks in (1, 4, 10**6)
    ]
    assert counted[0] == pytest.approx(4 * counted[1], rel=0.2)
    assert counted[2] == 1


def test_all_reduce_in_closed_form():
    machine = Machine(latency=3.0, sum_bandwidth=10.0)
    assert cost.all_reduce(1, 100, machine) == 0
    assert cost.all_reduce(2, 100, machine) == 2 * 3 + 10
    assert cost.all_reduce(4, 100, machine) == 4 * 3 + 15
    assert cost.all_reduce(5, 100, machine) == 6 * 3 + 16


@pytest.mark.parametrize(("parts", "m"), [(1, 1), (2, 1), (2, 8), (4, 2), (8, 64), (24, 4)])
def test_pipeline_efficiency(parts, m):
    """Without messages the sweeps of P ranks take (M + P - 1) / M of their share."""
    alone = cost.predict(WORK, counts(WORK, "condensed"), cost.Layout(1, 1), IDEAL)
    piped = cost.predict(WORK, counts(WORK, "condensed"), cost.Layout(parts, 1, m), IDEAL)
    output = 64 * counts(WORK, "condensed").sweep_output / IDEAL.flops  # on the last rank
    ratio = (piped.sweeps - output * (m + parts - 1) / m) / (alone.sweeps - output)
    assert ratio == pytest.approx((m + parts - 1) / (m * parts))


def test_messages_and_uneven_parts():
    machine = dataclasses.replace(IDEAL, latency=1.0)
    spent = cost.predict(WORK, counts(WORK, "condensed"), cost.Layout(3, 2, 4), machine)
    assert spent.edges == pytest.approx(2 * (4 + 3 - 1))
    assert spent.reductions == pytest.approx(2 * 3)
    spent = cost.predict(WORK, counts(WORK, "block"), cost.Layout(3, 2), machine)
    assert spent.edges == pytest.approx(2)
    slow = dataclasses.replace(IDEAL, bandwidth=1.0)
    spent = cost.predict(WORK, counts(WORK, "block"), cost.Layout(3, 2), slow)
    assert spent.edges == pytest.approx(2 * 2 * 32 * 12 * 4)  # both ways 2 B_local H numbers
    for solver in tuple(SOLVERS):  # 64 sequences on 5 ranks: the largest part has 13
        five = cost.predict(WORK, counts(WORK, solver), cost.Layout(1, 5), IDEAL)
        one = cost.predict(WORK, counts(WORK, solver), cost.Layout(1, 1), IDEAL)
        assert five.seconds / one.seconds == pytest.approx(13 / 64, rel=1e-9)


@pytest.mark.parametrize("solver", tuple(SOLVERS))
@pytest.mark.parametrize("size", [1, 2, 6, 7, 12, 64, 2000])
def test_the_choice_is_the_fastest(solver, size):
    machine = dataclasses.replace(TYPICAL, half_batch=30.0)
    layout, prediction = cost.choose(size, WORK, counts(WORK, solver), machine)
    assert layout.size == size
    assert layout == cost.choose(size, WORK, counts(WORK, solver), machine)[0]
    grids = [(p, size // p) for p in range(1, size + 1) if size % p == 0]
    for (p, q), m in itertools.product(grids, (1, 2, 4, 8, 16, 32, 64)):
        other = cost.predict(WORK, counts(WORK, solver), cost.Layout(p, q, m), machine)
        assert prediction.seconds <= other.seconds or m > -(-64 // q)


def test_many_steps_of_few_sequences_are_cut_in_time():
    stream = cost.Work(1, 10**6, 1, 10**6, 4, 256, 3, every=True)
    assert cost.choose(4, stream, counts(stream, "block"))[0].time == 4
    images = cost.Work(60_000, 28, 4096, 28, 28, 128, 10)
    assert cost.choose(4, images, counts(images, "condensed"))[0] == cost.Layout(1, 4, 1)


@pytest.mark.parametrize("tokens", [False, True])
def test_memory_is_that_of_a_solver(tokens):
    rng = np.random.default_rng(0)
    work = dataclasses.replace(WORK, hidden=64, every=tokens, tokens=tokens)
    net = RNN(work.inputs, 64, 3)
    X = rng.random((1000, 24, 5)) if not tokens else rng.integers(0, 5, (1000, 24))
    y = rng.integers(0, 3, (1000, 24) if tokens else 1000)
    problem, data = make_problem(net, X, y, readout="all" if tokens else "last")
    X, y = data.X, data.y
    solver = Condensed(net, problem, CondensedOptions(), work.batch, work.steps, 1, 1)

    own = "fastadmm.solvers", "fastadmm.unfolded", "fastadmm.layers"

    def memories(thing):
        """Of all arrays that the solver holds, each once."""
        if isinstance(thing, np.ndarray):
            while isinstance(thing.base, np.ndarray):
                thing = thing.base
            return {id(thing): thing.nbytes}
        if not isinstance(thing, tuple | list):
            has_own = type(thing).__module__.startswith(own) and hasattr(thing, "__dict__")
            thing = vars(thing).values() if has_own else ()
        return {key: size for each in thing for key, size in memories(each).items()}

    held = memories([value for name, value in vars(solver).items() if name != "_views"])
    actual = sum(held.values()) + X.nbytes + y.nbytes
    assert cost.predict(work, counts(work, "condensed"), cost.Layout(1, 1)).memory == pytest.approx(
        actual, rel=0.2
    )
    shared = cost.predict(work, counts(work, "condensed"), cost.Layout(4, 10)).memory
    least = dataclasses.replace(work, n_cases=1, batch=1, steps=1, n_timepoints=1)
    weights = cost.predict(least, counts(least, "condensed"), cost.Layout(1, 1)).memory
    assert shared - weights < (actual - weights) / 20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: counts(WORK, "adam"), "solver is 'adam': expected one of 'condensed'"),
        (lambda: dataclasses.replace(WORK, hidden=0), "hidden is 0: expected a positive integer"),
        (
            lambda: cost.choose(0, WORK, counts(WORK, "block")),
            "size is 0: expected a positive number of ranks",
        ),
        (lambda: Machine(bandwidth=0), "bandwidth is 0: expected a positive number"),
        (lambda: Machine(latency=-1), "latency is -1: expected at least 0"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_machine_files(tmp_path):
    machine = Machine(latency=1e-5, about={"network": "measured"})
    machine.save(tmp_path / "machine.json")
    assert Machine.load(tmp_path / "machine.json") == machine
    (tmp_path / "machine.json").write_text('{"latency": 1e-5}')
    assert Machine.load(tmp_path / "machine.json") == machine
    for content in ("nothing", '{"speed": 3}', '{"latency": "fast"}'):
        (tmp_path / "machine.json").write_text(content)
        with pytest.raises(ValueError, match="latency"):
            Machine.load(tmp_path / "machine.json")


def test_calibration_alone():
    machine = calibrate(flops=1e9, about={"shape": "H 3"})
    assert (machine.flops, machine.latency) == (1e9, 1e-6)
    assert machine.about == {"network": "one process: two ranks on a node assumed", "shape": "H 3"}


@needs_mpirun
def test_calibration_gives_all_ranks_the_same_numbers(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np\n"
        "from fastadmm.mpi import launch, machine\n"
        "comm = launch.world()\n"
        "found = machine.calibrate(comm)\n"
        "numbers = np.array([found.latency, found.bandwidth, found.sum_bandwidth])\n"
        "every = np.empty((comm.size, 3))\n"
        "comm.Allgather(numbers, every)\n"
        "assert (every == numbers).all() and (numbers > 0).all(), every\n"
    )
    code, _, err, _ = mpirun(3, program)
    assert code == 0, err


def test_one_stream_is_cut_along_time_and_nearly_shared():
    """Chunks that overlap: an efficiency of L / (L + (w + v) / 2), where a pipeline is idle."""
    work = cost.Work(1, 1_000_000, 1, 1_000_000, 4, 32, 1, every=True)
    found = Condensed.counts(work, CondensedOptions())
    alone = cost.choose(1, work, found)[1].seconds
    for size, least in ((2, 0.95), (64, 0.8)):
        layout, prediction = cost.choose(size, work, found)
        assert layout.time == size
        assert alone / (size * prediction.seconds) > least
    whole = Condensed.counts(work, CondensedOptions(overlap=False))
    assert cost.choose(1, work, whole)[1].seconds > 2 * alone
    assert cost.choose(64, work, whole)[1].seconds > 0.9 * cost.choose(1, work, whole)[1].sweeps
