"""First-order methods over proxes and operators of your own, from Python and in compiled code.

`admm` and `douglas_rachford` take two proxes, `fista` a gradient and a prox, `chambolle_pock` two
proxes and a linear map between them. All are functions compiled by ``numba.njit``, and get what
they need as ``data``, anything that Numba takes. Inside compiled code the solvers are part of your
own function, which can so be cached on disk.
"""

import importlib

_MODULE_OF = {
    "Solution": "solution",
    "admm": "splitting",
    "chambolle_pock": "primal_dual",
    "douglas_rachford": "splitting",
    "fista": "gradient",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__():
    return sorted([*globals(), *_MODULE_OF])
