"""Dashboard: what ``genred run`` shows on a terminal, and ``genred watch`` of a daemon elsewhere.

::

    Snapshot, View, log lines --render--> Picture (single or table) --Painter--> rows --> Terminal
                ^                                                                            |
                +--------------------------------- press <---------------------------- keys -+

`render`, and all that it is made of, is pure; `Dashboard` keeps the picture on the terminal; `Terminal` gives that back
as it was, whatever happens.
"""

from .live import Dashboard, Painter
from .logs import LogLine
from .picture import render
from .view import View

__all__ = ["Dashboard", "LogLine", "Painter", "View", "render"]
