"""When and where a run is saved, and what it goes on from: the part of `fit` about checkpoints."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from fastadmm import validation
from fastadmm.checkpoint import Checkpoint
from fastadmm.mpi.launch import alike
from fastadmm.validation import short


@dataclass
class Saving:
    """When and where checkpoints are written.

    Attributes
    ----------
    path : path or None
    seconds : float or None
        Of training between two of them.
    epochs : int or None
        Between two of them.
    asked : dict
        What a run that goes on has to be asked for, too.
    last : float
        Seconds of training at the last one.
    is_due_now : bool
        One is to be written after this step, on all ranks.
    """

    path: Path | None = None
    seconds: float | None = None
    epochs: int | None = None
    asked: dict = field(default_factory=dict)
    last: float = 0.0
    is_due_now: bool = False

    def is_late(self, now):
        """Whether the time since the last one is up."""
        return self.path is not None and self.seconds is not None and now > self.last + self.seconds

    def is_due_after(self, epoch, clock, epochs):
        """Whether one is due after an epoch; always after the last one."""
        by_count = self.epochs is not None and epoch % self.epochs == 0
        return by_count or epoch == epochs or self.is_late(clock())


def asked_for(path, every, resume, comm):
    """A `Saving`, and the checkpoint to go on from or None; collective.

    Files are the root's: it alone looks at them, and what it finds wrong is told by all ranks.

    Parameters
    ----------
    path, every, resume
        ``checkpoint``, ``checkpoint_every`` and ``resume`` of `fastadmm.fit`.
    comm : mpi4py.MPI.Comm or None

    Raises
    ------
    ValueError, FileNotFoundError
    """
    is_root, saved = comm is None or comm.rank == 0, None
    with alike(comm, (ValueError, TypeError, FileNotFoundError)):
        saving = _saving(validation.path(path, "checkpoint"), every)
        validation.path(resume, "resume")
        if resume == "auto" and saving.path is None:
            raise ValueError("resume is 'auto': it needs checkpoint, the file to look for")
        if is_root:
            saved = _saved(resume, saving.path)
    return saving, saved if comm is None else comm.bcast(saved)


def _saving(path, every):
    if every is not None and path is None:
        raise ValueError(
            f"checkpoint_every is {short(every)}: it needs checkpoint, the file to write"
        )
    if path is None:
        return Saving()
    every = "60s" if every is None else every
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|epochs?)?", str(every))
    number = float(found[1]) if found else 0.0
    counts_epochs = bool(found) and found[2] != "s"
    if isinstance(every, bool) or number <= 0 or (counts_epochs and number % 1):
        raise ValueError(
            f"checkpoint_every is {short(every)}: expected epochs, or seconds as in '60s'"
        )
    if counts_epochs:
        return Saving(Path(path), epochs=int(number))
    return Saving(Path(path), seconds=number)


def _saved(resume, path):
    """The checkpoint to go on from, or None; there has to be a folder for the next one."""
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"checkpoint is {path}: there is no folder {path.parent}")
    wanted = path if resume == "auto" else resume
    if wanted is None or (resume == "auto" and not Path(wanted).is_file()):
        return None
    return Checkpoint.read(wanted)
