"""Convergence of `block` and `admmirnn` on all digits at once: accuracy, residuals, certificates.

python -m bench.convergence         writes results/convergence.json
"""

from fastadmm.kernels.operators.activation_codes import ACTIVATIONS

from bench import machine
from fastadmm import RNN, datasets, fit

ITERATIONS = {"block": {1: 200, 0.1: 1000, 0.5: 1000, 2: 1000}, "admmirnn": {1: 1000}}


def run(solver, gain=1, epochs=200, activation="tanh", **options):
    """One run on digits with 64 hidden units in double precision."""
    task = datasets.digits()
    net = RNN(task.inputs, 64, task.outputs, activation, gain, seed=0, dtype="float64")
    result = fit(
        net, task.X, task.y, solver=solver, epochs=epochs, batch_size=None,
        validation=task.held_out, **options,
    )  # fmt: skip
    last = result.history[-1]
    found = {
        "solver": solver, "activation": activation, "gain": gain, "iterations": epochs,
        "status": result.status, "seconds": result.train_seconds, "kkt": result.kkt,
        "test_accuracy": last["validation_accuracy"], "primal": last["primal"],
        "dual": last["dual"], "train_loss": last["train_loss"],
    }  # fmt: skip
    if result.certificate:
        found["checks"] = result.certificate.checks
        found["violation"] = result.certificate.violation
    print({k: v for k, v in found.items() if k != "kkt"}, flush=True)
    return found


def main():
    """Accuracy over gains, then 200 certified iterations of every activation."""
    runs = [
        run(solver, gain, epochs)
        for solver, gains in ITERATIONS.items()
        for gain, epochs in gains.items()
    ]
    runs += [
        run(solver, activation=activation, certify=True)
        for solver in ITERATIONS
        for activation in ACTIVATIONS
    ]
    machine.store("convergence", runs)


if __name__ == "__main__":
    main()
