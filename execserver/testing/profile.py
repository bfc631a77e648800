"""How much of each mischief is done, and the named mixtures of it. No I/O."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Profile:
    """The probability of each kind of mischief, for each line unless it says otherwise."""

    drop: float = 0.0
    """A notification about a process is lost. Others are never dropped: nothing can bring them back."""
    drop_answer: float = 0.0
    """An answer is lost: no client can heal that, other than by its own deadline. In no named profile."""
    duplicate: float = 0.0
    """A notification comes once more, at once or later."""
    delay: float = 0.0
    """A notification is held back, so that others overtake it."""
    delay_answer: float = 0.0
    """An answer is held back, so that notifications and other answers overtake it."""
    delay_lines: int = 8
    """How many lines, or ticks of silence, something is held back at most. No probability."""
    member: float = 0.0
    """A message gets a member that nobody knows."""
    stranger: float = 0.0
    """An unknown notification, an event of an unknown process, a stray answer or a blank line comes before it."""
    request: float = 0.0
    """A request from the server comes before it; its id may be one that the client uses itself."""
    garbage: float = 0.0
    """Something that is no message comes before it. Only after the first line: before it that would be a banner."""
    banner: float = 0.0
    """Lines of text come before the first line. For each connection."""
    crlf: float = 0.0
    """A line ends with CR LF."""
    split: float = 0.0
    """What is to be written is cut at any byte, and the rest waits for what comes next."""
    merge: float = 0.0
    """A line is not written yet but together with the next."""
    pause: float = 0.0
    """There is a pause of up to 20 ms before a piece is written."""
    cut: float = 0.0
    """The connection ends at some byte, in the middle of a line or not. For each connection."""
    cut_within: int = 20_000
    """The last byte at which it may end. No probability. Early bytes are likelier: the handshake is delicate."""


_BYTES = Profile(split=0.4, merge=0.3, crlf=0.1, pause=0.05)
_REORDER = replace(_BYTES, delay=0.4, delay_answer=0.2)
_HOSTILE = replace(
    _REORDER, drop=0.2, duplicate=0.2, delay=0.3, member=0.2, stranger=0.2, request=0.1, banner=0.5, delay_lines=16
)

PROFILES = {
    "clean": Profile(),
    "bytes": _BYTES,  # every line comes, in order, however cut and glued
    "reorder": _REORDER,
    "duplicate": replace(_REORDER, duplicate=0.5),
    "lossy": replace(_BYTES, drop=0.5),
    "silent": Profile(drop=1.0),  # not one notification about a process arrives
    "strangers": replace(_BYTES, member=0.5, stranger=0.5, request=0.3, banner=1.0),
    "hostile": _HOSTILE,  # all that a client must survive without a word
    "cut": replace(_HOSTILE, cut=1.0),  # all of it, and the connection ends somewhere
    "garbage": replace(_HOSTILE, garbage=0.05),  # and what no client can survive: it must say so
}
