"""A hostile wire, for tests of clients: `Mischief` without I/O, and ``python -m execserver.testing`` before any server.

A client that is whole on a clean pipe may hang on the first push that comes late. What is done to the server's lines
here is what other servers, ssh, containers and machines under load do to them, more often and from a seed.
"""

from execserver.testing.mischief import Mischief, Pause, Step
from execserver.testing.profile import PROFILES, Profile

__all__ = ["PROFILES", "Mischief", "Pause", "Profile", "Step"]
