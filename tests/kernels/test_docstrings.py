"""What `help` shows: the compiled signature of every kernel, and an index of all names."""

import inspect
import re

import pytest
from cases.calls import CALLS
from fastadmm.kernels.core.kinds import Array, Door, Either

from fastadmm import kernels


def _spelled(kind):
    """Lengths as prose has them, q for the shorter side of a matrix."""
    lengths = [length.split(" if ")[0].replace(" * ", " ") for length in kind.shape]
    lengths = [re.sub(r"max\((.*), 0\)", r"\1", length) for length in lengths]
    lengths = ["q" if length == "min(m, n)" else length for length in lengths]
    lengths = [length.replace("boundaries", "number of groups + 1") for length in lengths]
    lengths = [length.replace("groups + 1 - 1", "groups") for length in lengths]
    return f"({', '.join(lengths)}{',' * (len(lengths) == 1)})"


@pytest.mark.parametrize("name", CALLS)
def test_docstring_has_the_compiled_signature_and_every_shape(name):
    function = getattr(kernels, name)
    door = Door(name, function.kernel)
    text = " ".join(inspect.getdoc(function).split())
    (compiled,) = re.findall(rf"In compiled code ``{re.escape(str(door))}``(.*?)\.(?: |$)", text)
    for parameter in door.signature.parameters.values():
        kind = parameter.annotation
        for one in kind.kinds if isinstance(kind, Either) else (kind,):
            if isinstance(one, Array) and one.entries:
                assert ", arrays C-contiguous or 1-D" in compiled
            elif isinstance(one, Array):
                # names that share a shape stand together: "v, out (m, n); work (n,)"
                part = rf"\b{parameter.name}\b[^;]*{re.escape(_spelled(one))}"
                assert re.search(part, compiled), (parameter.name, compiled)


def test_index_has_every_name_and_fits_two_screens():
    indented = re.findall(r"^    (.*)$", kernels.__doc__, re.MULTILINE)
    names = [name.strip() for line in indented for name in line.split(",") if name.strip()]
    assert sorted(names) == kernels.__all__
    assert len(kernels.__doc__.splitlines()) <= 80
