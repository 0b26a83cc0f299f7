# What the package loads when it is asked for, for type checkers and editors.

from . import asynchronous as asynchronous
from . import cost as cost
from . import exchange as exchange
from . import grid as grid
from . import launch as launch
from . import machine as machine
from . import partition as partition
from . import serial as serial
from . import transfer as transfer
