"""What one session may hold, as far as it can be set. No I/O.

The bounds that cannot be set are constants of the modules that keep them; ``docs/reference/limits.md`` lists all.
"""

from typing import NamedTuple


class Limits(NamedTuple):
    """The limits that the command line sets."""

    max_line_bytes: int = 64 * 1024 * 1024  # of a line from the client, its ending not counted
    max_in_flight: int = 256  # requests that wait at the same time
    retain_bytes: int = 1024 * 1024  # output of each process that can be read again
    retain_seconds: float = 80.0  # that a closed process is kept; the reference server's


DEFAULTS = Limits()
