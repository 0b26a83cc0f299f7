"""Signals are requests to stop while training runs, and what they were before and after."""

import os
import signal
import threading

import numpy as np
import pytest

from fastadmm import RNN, fit, signals


@pytest.fixture(autouse=True)
def default_handlers():
    yield
    for number in signals.STOPPING:
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.parametrize("number", signals.STOPPING)
def test_noted_once(number):
    with signals.stop_requests():
        assert signals.requested() == 0
        os.kill(os.getpid(), number)
        assert signals.requested() == number
        with signals.stop_requests():  # inside another body: still to be obeyed
            assert signals.requested() == number
        assert signal.getsignal(number) != signal.SIG_DFL
    with signals.stop_requests():
        assert signals.requested() == 0


def test_noted_before_a_body_that_notes_more_is_still_obeyed():
    with signals.stop_requests():
        os.kill(os.getpid(), signal.SIGTERM)
        with signals.stop_requests(keyboard=True):
            assert signals.requested() == signal.SIGTERM


def test_a_signal_of_the_past_does_not_end_a_run_in_another_thread():
    with signals.stop_requests():
        os.kill(os.getpid(), signal.SIGUSR1)
    seen = []

    def body():
        with signals.stop_requests():
            seen.append(signals.requested())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [0]


def test_keyboard_is_noted_on_request():
    with signals.stop_requests(keyboard=True):
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.requested() == signal.SIGINT

    with pytest.raises(KeyboardInterrupt), signals.stop_requests():
        os.kill(os.getpid(), signal.SIGINT)


def test_handlers_of_the_user_stay():
    seen = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with signals.stop_requests():
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.requested() == 0
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_other_threads_install_nothing():
    handlers = []

    def body():
        with signals.stop_requests():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_DFL]


def test_fit_stops_after_the_mini_batch():
    X = np.random.default_rng(0).standard_normal((20, 3, 2))
    y = (X[:, 0, 0] > 0).astype(int)

    def terminate(record):
        if record["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    result = fit(RNN(2, 3, 2), X, y, batch_size=4, epochs=9, callbacks=[terminate])
    assert (result.status, result.signal) == ("interrupted", signal.SIGTERM)
    assert [record["batches"] for record in result.history] == [5, 5, 1]
