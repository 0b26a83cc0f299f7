"""Progress of training on standard error: a live bar on a terminal, plain lines elsewhere."""

import math
import sys


def make_reporter(verbose, plan, problem):
    """Reporter for a run: silent, live or plain; a context manager."""
    if not verbose:
        return Reporter()
    if sys.stderr.isatty():
        return LiveReporter(plan)
    return PlainReporter(plan)


class Reporter:
    """Says nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def note(self, text):
        """Before training: what takes so long."""

    def batch(self, loss, sequences):
        """After a mini-batch: its loss and its number of sequences."""

    def epoch(self, record):
        """After an epoch: its record in the history."""


def describe(record, epochs):
    """An epoch in one line."""
    loss = math.nan if record["train_loss"] is None else record["train_loss"]
    text = f"epoch {record['epoch']}/{epochs}  loss {loss:.4f}"
    if record["validation_loss"] is not None:
        text += f"  validation {record['validation_loss']:.4f}"
    if record["validation_accuracy"] is not None:
        text += f"  accuracy {record['validation_accuracy']:.2%}"
    return text


class PlainReporter(Reporter):
    """One flushed line an epoch."""

    def __init__(self, plan):
        self.plan = plan

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def epoch(self, record):
        sequences = self.plan.n_cases * record["batches"] / self.plan.batches
        rate = sequences / max(record["seconds"], 1e-9)
        line = f"{describe(record, self.plan.epochs)}  {rate:,.0f} sequences/s"
        print(line, file=sys.stderr, flush=True)


class LiveReporter(Reporter):
    """A bar with loss, accuracy and sequences per second."""

    def __init__(self, plan):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.plan = plan
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.task = self.bar.add_task("training", total=plan.epochs * plan.batches, rate="")
        self.scored = ""

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def note(self, text):
        self.bar.update(self.task, description=text)

    def batch(self, loss, sequences):
        # a sequence cut into windows counts once all its windows are done
        per_batch = sequences * self.plan.steps / self.plan.n_timepoints
        speed = self.bar.tasks[0].speed or 0.0
        self.bar.update(
            self.task,
            advance=1,
            description=f"loss {loss:.4f}{self.scored}",
            rate=f"{speed * per_batch:,.0f} sequences/s",
        )

    def epoch(self, record):
        if record["validation_accuracy"] is not None:
            self.scored = f"  accuracy {record['validation_accuracy']:.2%}"
        self.bar.console.print(describe(record, self.plan.epochs), highlight=False)
