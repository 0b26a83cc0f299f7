"""The certificate of block and admmirnn: silent where all is right, and finds every wrong sign."""

import numpy as np
import pytest
from cases.splitting import KINDS, enter, make, value
from fastadmm.kernels.operators import losses
from fastadmm.kernels.recurrent import exact_blocks, linearised_blocks
from reference.condensed import ACTIVATIONS

from fastadmm.solvers import SOLVERS, admmirnn

pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_no_block_update_raises_the_lagrangian(solver, activation, kind):
    own = make(solver, kind, activation, certify=True)
    if kind == "last":
        rises = []
        certify = own._certify

        def checked(block, *ascended):
            # the twin sees what the certificate sees
            certify(block, *ascended)
            if not ascended:
                rises.append(value(own))

        own._certify = checked
    for _ in range(6):
        own.k += 1
        record = own.iterate()
    assert own.certificate.violation is None
    assert own.certificate.checks == 6 * (5 if solver == "block" else 14)
    reported = own.problem.reported(value(own), own.terms, own.net.outputs)
    assert record.lagrangian == pytest.approx(reported, rel=1e-9)


WRONG_SIGNS = {
    "block": {
        "theta": ("theta", "theta"),
        "phi": ("phi", "phi"),
        "copy": ("consensus", "consensus"),
        "copy's multiplier": ("multiplier", "consensus multiplier"),
        "λ2 in states": (("update_states", 2), "states"),
        "W in states": (("update_states", 3), "states"),
        "V in states": (("update_states", 5), "states"),
        "λ1 before pre-activations": (("update_preactivations", 4), "preactivations"),
        "λ2 before pre-activations": (("update_preactivations", 5), "preactivations"),
        "λ3 before outputs": ("outputs", "outputs"),
        "ascent of λ1": (("ascent", "lambda1"), "lambda1"),
        "ascent of λ2": (("ascent", "lambda2"), "lambda2"),
        "ascent of λ3": (("ascent", "lambda3"), "lambda3"),
    },
    "admmirnn": {
        "λ3 before outputs": ("outputs", "o"),
        **{name: (("weights", name), name) for name in "cVbWU"},
        **{
            f"λ{place} in {sweep}": ((sweep, index), "states and pre-activations")
            for sweep in ("sweep_backward", "sweep_forward")
            for place, index in ((1, 6), (2, 7), (3, 9))
        },
        "ascent of λ1": (("ascent", "lambda1"), "lambda1"),
        "ascent of λ2": (("ascent", "lambda2"), "lambda2"),
        "ascent of λ3": (("ascent", "lambda3"), "lambda3"),
    },
}


class Descending(np.ndarray):
    """Subtracts where it should add."""

    def __iadd__(self, other):
        return self.__isub__(other)


def flip_argument(monkeypatch, module, name, place):
    """A kernel gets one argument with the wrong sign."""
    kernel = getattr(module, name)

    def wrong(*arguments):
        arguments = list(arguments)
        kept = arguments[place].copy()
        arguments[place][:] *= -1
        kernel(*arguments)
        if name != "update_preactivations":  # which overwrites its multipliers
            arguments[place][:] = kept

    monkeypatch.setattr(module, name, wrong)


def inject(monkeypatch, own, where):
    """A wrong sign in one place of a solver."""
    if where in ("theta", "phi"):
        solve, system = getattr(own, f"_solve_{where}"), getattr(own, where)

        def wrong_solve(*arguments):
            system.cross[:, -1] *= -1
            solve(*arguments)

        monkeypatch.setattr(own, f"_solve_{where}", wrong_solve)
    elif where == "consensus":
        prox = own.consensus.prox

        def wrong_prox(theta, phi, step):
            prox(theta, phi, step)
            theta *= -1

        own.consensus.prox = wrong_prox
    elif where == "multiplier":
        own.consensus.scaled = tuple(u.view(Descending) for u in own.consensus.scaled)
    elif where == "outputs":
        flip_outputs(monkeypatch, own)
    elif where[0] == "ascent":
        flip_ascent(monkeypatch, own, where[1])
    elif where[0] == "weights":
        flip_residual(monkeypatch, own, where[1])
    else:
        module = linearised_blocks if where[0].startswith("sweep") else exact_blocks
        flip_argument(monkeypatch, module, *where)


def flip_outputs(monkeypatch, own):
    if isinstance(own, SOLVERS["block"]):
        move = own.move_outputs

        def wrong(*arguments):
            own.lambda3 *= -1
            move(*arguments)

        monkeypatch.setattr(own, "move_outputs", wrong)
    else:
        prox = losses.prox

        def wrong_prox(targets, y, step, weight, out):
            dual = own.lambda3.reshape(targets.shape)
            prox(targets + 2 * step[:, None] * dual, y, step, weight, out)

        monkeypatch.setattr(losses, "prox", wrong_prox)


def flip_ascent(monkeypatch, own, name):
    in_block = "move_outputs" if name == "lambda3" else "_move_preactivations"
    method = in_block if isinstance(own, SOLVERS["block"]) else "_ascend"
    move = getattr(own, method)

    def wrong(*arguments):
        before = getattr(own, name).copy()
        move(*arguments)
        getattr(own, name)[:] = 2 * before - getattr(own, name)

    monkeypatch.setattr(own, method, wrong)


def flip_residual(monkeypatch, own, block):
    residual = admmirnn._residual
    for method in ("_exact_step", "_linearised_step"):
        step = getattr(own, method)

        def wrong(*arguments, step=step):
            sign = -1 if arguments[-1] == block else 1
            monkeypatch.setattr(admmirnn, "_residual", lambda *given: sign * residual(*given))
            step(*arguments)

        monkeypatch.setattr(own, method, wrong)


@pytest.mark.parametrize(
    ("solver", "mistake"), [(s, m) for s, mistakes in WRONG_SIGNS.items() for m in mistakes]
)
def test_a_wrong_sign_anywhere_is_found(monkeypatch, solver, mistake):
    where, block = WRONG_SIGNS[solver][mistake]
    regulariser = {"regulariser": "l1"} if "copy" in mistake else {}
    own = enter(solver, certify=True, **regulariser)
    for own.k in range(1, 4):
        own.iterate()
    assert own.certificate.violation is None
    inject(monkeypatch, own, where)
    for own.k in range(4, 9):
        own.iterate()
    assert own.certificate.violation["block"] == block


def test_a_violation_is_reported_with_block_and_iteration(monkeypatch):
    own = make("admmirnn", certify=True)
    sweep = own._run_sweep

    def uphill(*arguments):
        sweep(*arguments)
        own.a[:] += 1.0
        own._certify("spoilt")

    monkeypatch.setattr(own, "_run_sweep", uphill)
    own.k = 3
    own.iterate()
    violation = own.certificate.violation
    assert (violation["iteration"], violation["block"]) == (3, "spoilt")
    assert violation["after"] > violation["before"]


@pytest.mark.parametrize("name", ["l1", "l2", "group", "nonneg"])
def test_certificate_covers_the_consensus_copy(name):
    own = make("block", certify=True, regulariser=name, strength=0.01)
    for own.k in range(1, 6):
        own.iterate()
    assert own.certificate.checks == 5 * 6
    assert own.certificate.violation is None
