"""``python -m fastadmm``: the command line."""

from fastadmm.cli import main

main()
