"""What is kept of a daemon's stderr. What becomes of the rest is tried with real daemons, in `test_connection`."""

from execserver.client.stderr import STDERR_BYTES, Stderr


def test_nothing_is_said_of_a_daemon_that_said_nothing() -> None:
    stderr = Stderr(forward=False)
    assert stderr.said == ""
    stderr.add(b" \n")
    assert stderr.said == ""


def test_what_came_in_pieces_is_one_text() -> None:
    stderr = Stderr(forward=False)
    for piece in (b"out of l\xc3", b"\xbcck \xff", b"\n"):
        stderr.add(piece)
    assert stderr.said == "; its stderr ends: out of lück \N{REPLACEMENT CHARACTER}"


def test_the_end_says_most() -> None:
    stderr = Stderr(forward=False)
    stderr.add(b"first" + b"x" * STDERR_BYTES)
    stderr.add(b"last")
    assert stderr.said == "; its stderr ends: " + "x" * (STDERR_BYTES - 4) + "last"
