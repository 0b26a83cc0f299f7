"""Cached kernels that are damaged, foreign, of others, or on a disk without room."""

import os
import pickle
import warnings
from functools import partial

import numpy as np
from fastadmm.kernels.core import cache, jit

from .watch import Case, Fault


def twice(x):
    """The kernel that is cached."""
    return x + x


class Bomb:
    """A pickle that makes a folder when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def cases(rng, folder, count):
    """As many as asked for; each damages the file of a kernel that has been cached."""
    for number in range(count):
        name, damage = _damage(rng, folder, number)
        yield Case(name, partial(load, folder, damage))


def load(folder, damage):
    """A warning at most, the right number, nothing executed, and a good file afterwards."""
    before, jit.CACHE_FOLDER = jit.CACHE_FOLDER, folder
    try:
        jit.jit(twice)(1.5)
        (path,) = folder.glob("*.nbc")
        damage(path)
        cache._warn.cache_clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            if jit.jit(twice)(1.5) != 3:
                raise Fault("silent: a wrong number")
        again = jit.jit(twice)
        if again(1.5) != 3 or (path.is_file() and not sum(again.stats.cache_hits.values())):
            raise Fault("silent: the file stays damaged")
    finally:
        jit.CACHE_FOLDER = before
        for each in folder.iterdir():
            each.rmdir() if each.is_dir() else each.unlink()
    if (folder / "executed").exists():
        raise Fault("silent: a foreign pickle was executed")


def _damage(rng, folder, number):
    kind = number % 7
    place, more = rng.random(), bytes(rng.integers(0, 256, 40, np.uint8))

    def flip(path):
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= 1 << number % 8
        path.write_bytes(content)

    def cut(path):
        content = path.read_bytes()
        path.write_bytes(content[: int(place * len(content))])

    def put(path):
        content = path.read_bytes()
        stop = int(place * len(content))
        path.write_bytes(content[:stop] + more + content[stop:])

    def bomb(path):
        path.write_bytes(pickle.dumps(Bomb(folder / "executed")))

    def writable(path):
        cache._write(path, pickle.dumps(Bomb(folder / "executed")))
        path.chmod(0o622 if place < 0.5 else 0o660)

    def another(path):
        cache._write(path, pickle.dumps((("another", "key"), ())))

    def nothing(path):
        path.unlink()

    chosen = (flip, cut, put, bomb, writable, another, nothing)[kind]
    return f"{chosen.__name__} at {place:.4f}", chosen
