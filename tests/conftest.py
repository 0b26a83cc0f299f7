"""What every test may rely on."""

import signal

# a run in the background of a script ignores Ctrl-C, and so would all that it starts
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
