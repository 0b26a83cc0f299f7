"""Cells: what happens in a step between the products, one file a cell.

A cell is a NamedTuple whose fields are its constants. Compiled code chooses by its class: every
file adds its own to the functions of `fastadmm.kernels.recurrent.cells.cell`.
"""
