"""Sections that the docstrings of many kernels share."""

import inspect
from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable)

PASS = "\nCost: one pass over memory.\n"
VALUE_SECTIONS = """
Cost: one pass over memory.

Parameters
----------
x : array_like
    Point, of any shape: float32 or float64; integers become float64.
{parameters}
Returns
-------
float

Raises
------
TypeError, ValueError
    For another dtype, a shape that does not broadcast, or a number outside its domain.
"""
PROX_SECTIONS = """
Cost: one pass over memory.

Parameters
----------
v : array_like
    Point, of any shape: float32 or float64; integers become float64.
{parameters}out : ndarray, optional
    Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
threads : int
    How many may share the work; the result is the same for any number.

Returns
-------
ndarray, of the shape and dtype of ``v``

Raises
------
TypeError, ValueError
    For another dtype, a shape that does not broadcast, or a number outside its domain.
"""
WEIGHT = """weight : float or array_like
    Non-negative; one number, or one per entry.
"""
STEP = """step : float or array_like
    Positive; one number, or one per entry.
"""
ROW_VALUE_SECTIONS = """
Parameters
----------
x : array_like, (..., n)
    Rows: float32 or float64; integers become float64.
{parameters}
Returns
-------
float

Raises
------
TypeError, ValueError
    For another dtype, a shape that does not broadcast, or a number outside its domain.
"""
ROW_RESULT_SECTIONS = """
Parameters
----------
v : array_like, (..., n)
    Rows: float32 or float64; integers become float64.
{parameters}axis : int
    The axis of ``v`` that holds the entries of a row; one number per row has the other axes.
out : ndarray, optional
    Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
threads : int
    How many may share the rows; the result is the same for any number.

Returns
-------
ndarray, of the shape and dtype of ``v``

Raises
------
TypeError, ValueError
    For another dtype, a shape that does not broadcast, or a number outside its domain.
"""
ROW_STEP = """step : float or array_like, (...)
    Positive; one number, or one per row.
"""
ROW_WEIGHT = """weight : float or array_like, (...)
    Non-negative; one number, or one per row.
"""


def sharing(section: str) -> Callable[[Function], Function]:
    """Decorator that appends a common section to the docstring of every function of a family."""

    def decorate(function):
        if function.__doc__:
            function.__doc__ = inspect.cleandoc(function.__doc__) + "\n\n" + section.strip("\n")
        return function

    return decorate
