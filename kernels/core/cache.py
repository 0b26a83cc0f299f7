"""Compiled kernels on disk: a folder that is nobody else's, and files that tell damage.

A file holds one kernel for one kind of arguments as a pickle: whoever can write it can run code. So
folders are made for their owner alone, and a folder or a file of somebody else, or one that group
or others may write, is never read. Everything else that can be wrong with a file (truncated, other
bytes, of another version) or with the disk costs a warning, and the kernel is compiled anew.
"""

import functools
import hashlib
import importlib.metadata
import os
import pickle
import stat
import sys
import tempfile
import warnings
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core import config as _config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from .linked import is_linked_only, restored

config: Any = _config
"""Numba's settings, which come to be as it is loaded: no checker can know them."""

_CHECKSUM = 4  # bytes before the pickle


def open_folder() -> Path | None:
    """Folder of the kernels of this version and source, made where it is missing.

    Returns
    -------
    path or None
        None where the environment switches caching off, and, with a warning, where the folder
        cannot be written or is not safe.
    """
    try:
        folder = _requested_folder()
    except RuntimeError:  # no home directory to expand
        folder = Path("~/.cache/fastadmm")
    obstacle = None if folder is None else _obstacle(folder)
    if obstacle is None:
        return folder
    warnings.warn(
        f"compiled kernels are not kept: {obstacle}. "
        "Set FASTADMM_CACHE to a writable folder of your own, or to 0 to silence this",
        RuntimeWarning,
        stacklevel=3,
    )
    return None


def _requested_folder():
    """Folder that the environment asks for, None where it switches caching off."""
    own = os.environ.get("FASTADMM_CACHE", "")
    if own == "0":
        return None
    version = importlib.metadata.version("fastadmm")
    base = own or config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fastadmm" / f"{version}-{_source_digest()}"


def _source_digest():
    """Digest of the kernels' own text: editing one file outdates the kernels inlined from it."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _obstacle(folder):
    """Why a folder cannot hold kernels, None where it can."""
    try:
        for each in (*reversed(folder.parents), folder):
            each.mkdir(mode=stat.S_IRWXU, exist_ok=True)
        for each in (folder.parent, folder):
            reason = _unsafe(each.stat())
            if reason is not None:
                return f"{each} {reason}, and what is kept there is code"
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return f"{folder} is not writable"
    return None


def _unsafe(status):
    """Why others may have chosen what a file or a folder holds, None where they cannot have."""
    if status.st_uid != os.geteuid():
        return f"belongs to another user ({status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "may be written by others (chmod go-w)"
    return None


@functools.cache  # one is enough, whatever goes wrong for how many kernels
def _warn(message):
    warnings.warn(message, RuntimeWarning, stacklevel=2)


class Files(NullCache):
    """What Numba asks for kernels that are compiled already, in place of its own cache on disk.

    Parameters
    ----------
    function : callable
        The kernel's source; closures of one source have names of their own, see `jit.distinct`.
    folder : path
    parallel : bool
        It is compiled for threads.
    """

    def __init__(self, function: Any, folder: Path, parallel: bool):
        self.folder, self.name = folder, f"{function.__module__}.{function.__qualname__}"
        code = function.__code__
        self.source, self.parallel = (code.co_code, _stamp(code.co_filename)), parallel

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(self.folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kernel for some types, None where there is none on disk, or a damaged one."""
        target_context.refresh()
        try:
            path, key = self._place(sig, target_context.codegen())
            found, parts = _read(path)
            if found != key:
                return None
            rebuilt = restored if is_linked_only(parts) else CompileResult._rebuild
            return rebuilt(target_context, *parts)
        except FileNotFoundError:
            return None
        except Exception as error:  # damaged files raise all sorts of them
            _warn(f"kernels are compiled anew, since {path} cannot be used ({_told(error)})")
            return None

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Keep a kernel that has been compiled."""
        if cres.library.has_dynamic_globals or any(not loop.can_cache for loop in cres.lifted):
            return
        try:
            path, key = self._place(sig, cres.codegen)
            _write(path, dumps((key, cres._reduce())))
        except Exception as error:
            _warn(f"compiled kernels are not kept in {self.folder} ({_told(error)})")

    def _place(self, types, codegen):
        """Where the kernel is kept, and what has to be equal for it to be the one."""
        kind = types, codegen.magic_tuple(), self.parallel, bool(config.BOUNDSCHECK)
        digest = hashlib.sha256(repr(kind).encode()).hexdigest()[:16]
        path = self.folder / f"{self.name}.{sys.implementation.cache_tag}.{digest}.nbc"
        return path, (numba.__version__, self.name, self.source, kind)


@functools.cache
def _stamp(path):
    status = os.stat(path)
    return status.st_mtime, status.st_size


def _told(error):
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _read(path):
    """What `_write` has written. The open file is asked whose it is, so that none takes its place.

    Raises
    ------
    PermissionError, ValueError
        Where others may have written it, or it is damaged; a pickle may raise anything.
    """
    with open(path, "rb") as file:
        reason = _unsafe(os.fstat(file.fileno()))
        if reason is not None:
            raise PermissionError(f"it {reason}")
        content = file.read()
    checksum, content = content[:_CHECKSUM], memoryview(content)[_CHECKSUM:]
    if checksum != zlib.crc32(content).to_bytes(_CHECKSUM, "big"):
        raise ValueError("it is damaged")
    return pickle.loads(content)


def _write(path, content):
    """Write a file that is whole or not there, for the owner alone whatever the umask is."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb", opener=partial(os.open, mode=stat.S_IRUSR | stat.S_IWUSR)) as file:
            file.write(zlib.crc32(content).to_bytes(_CHECKSUM, "big") + content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
