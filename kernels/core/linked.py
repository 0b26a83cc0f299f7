"""Kernels that only compiled code calls: optimised, but never machine code of their own.

Numba turns every function into machine code, and with it what its callers have inlined from it:
kernel by kernel up to the one that Python calls. Where nothing but compiled code calls a kernel,
its own is never run. Without it compiling what a training calls takes a fifth less time.
"""

from typing import Any

from llvmlite.binding import parse_bitcode
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult


class Library(JITCodeLibrary):
    """Optimised code to be linked into that of callers; it has no address."""

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def serialize_using_object_code(self) -> Any:
        """What is kept on disk: the code as callers link it."""
        return self.serialize_using_bitcode()


class LinkedOnly(Compiler):
    """Numba's compiler, up to the code that is linked."""

    def compile_extra(self, func: Any) -> Any:
        """A function for the types that this was made for."""
        self.state.flags.no_compile = True
        self.state.library = Library(self.state.targetctx.codegen(), func.__qualname__)
        found = super().compile_extra(func)._replace(entry_point=_entry())
        found.target_context.insert_user_function(found.entry_point, found.fndesc, [found.library])
        return found


def is_linked_only(parts: tuple) -> bool:
    """Whether what `CompileResult._reduce` has made is of such a kernel."""
    _, kind, _ = parts[0]
    return kind == "bitcode"


def restored(
    context, libdata, fndesc, environment, signature, objectmode, lifted, annotation, *reloaded
):  # fmt: skip
    """What `LinkedOnly` has compiled, from what `CompileResult._reduce` has made of it."""
    name, _, bitcode = libdata
    library = Library(context.codegen(), name)
    library._final_module = parse_bitcode(bitcode)
    library._finalize_final_module()
    reload_init, referenced = reloaded
    return CompileResult(
        typing_context=context.typing_context, target_context=context, entry_point=_entry(),
        typing_error=None, type_annotation=annotation, signature=signature, objectmode=objectmode,
        lifted=lifted, fndesc=fndesc, library=library, call_helper=None, environment=environment,
        metadata=None, reload_init=reload_init, referenced_envs=referenced,
    )  # fmt: skip


def _entry():
    """By what Numba tells this compiled function from others; it wants a function written in C."""
    return [].append
