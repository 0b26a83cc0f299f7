"""Microbenchmarks, races and their stored results; from the root, ``python -m bench.NAME``."""
