"""The protocol as data: every message, method, error code and kind. No I/O.

One module an audience, so that a daemon that only answers ``initialize`` does not pay for ``fs/*``:
``errors``, ``envelope``, ``session``, ``process``, ``files``, ``http``, and ``methods``, the table of all of them.
"""
