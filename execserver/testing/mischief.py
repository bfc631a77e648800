"""The server's bytes in, the same in a worse state out: what stands between a client and a server. No I/O, no clock.

Rules:

1. What is done to the n-th line depends on the seed, the profile and n: not on how its bytes arrived, nor on when.
2. Every answer arrives, unless the profile drops answers: what a client asks for must come for a test to end.
3. What is held back leaves after so many lines, or ticks of silence. `finish` lets all of it go.
4. What is held is bounded: when it is more, the oldest goes.
"""

import math
from collections import Counter
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

import msgspec
from msgspec import UNSET, Struct, UnsetType

from execserver.lines import LineSplitter, Oversized
from execserver.testing import strangers
from execserver.testing.profile import PROFILES, Profile

LINE_BYTES = 128 << 20
HELD_BYTES = 4 << 20
PAUSE_SECONDS = 0.02  # the longest: about the patience of a client that waits for what may only be late


@dataclass(frozen=True)
class Pause:
    """Wait before the next piece is written."""

    seconds: float


Step = bytes | Pause


class _Head(Struct):
    method: str | UnsetType = UNSET
    id: msgspec.Raw | UnsetType = UNSET


_decode_head = msgspec.json.Decoder(_Head).decode


class Mischief:
    """One connection, in the direction from the server to the client; see the module's rules.

    Each method gives what is to be written: pieces, each in a write of its own, and pauses between them.
    """

    def __init__(self, seed: int, profile: Profile = PROFILES["hostile"]) -> None:
        self._profile = profile
        self._on_lines = Random(f"{seed} lines")
        self._on_bytes = Random(f"{seed} bytes")  # of its own: ticks must not change what is done to later lines
        self._lines = LineSplitter(LINE_BYTES)
        self._now = 0  # lines and ticks
        self._taken = 0
        self._held: list[tuple[int, int, bytes]] = []  # a heap: when it is due, when it came, the line
        self._held_bytes = 0
        self._unwritten = b""
        self._left = self._bytes_until_the_cut()
        self.done: Counter[str] = Counter()  # what has been done so far, by name
        self.over = False  # the connection has been cut: nothing more comes, and both ends are to be closed

    @property
    def holding(self) -> bool:
        """Whether something waits for `tick`."""
        return bool(self._held or self._unwritten) and not self.over

    def feed(self, data: bytes) -> list[Step]:
        """Take what the server has written."""
        return [step for line in self._lines.feed(data) for step in self._take(line)]

    def tick(self) -> list[Step]:
        """Take it that a while has passed in silence, say 10 ms. Whoever is `holding` needs it."""
        self._now += 1
        self._release()
        return self._write(everything=True)

    def finish(self) -> list[Step]:
        """Take the end of the server's output."""
        steps = [step for line in self._lines.finish() for step in self._take(line)]
        while self._held:
            self._release_first()
        return steps + self._write(everything=True)

    # Lines

    def _take(self, line: bytes | Oversized) -> list[Step]:
        assert isinstance(line, bytes), f"no server sends a line of more than {LINE_BYTES} bytes"
        first, self._taken = self._taken == 0, self._taken + 1
        self._now += 1
        self._release()
        profile = self._profile
        if first and self._happens("banner"):
            self._unwritten += strangers.banner(self._on_lines)
        elif not first:
            self._add_what_nobody_asked_for(line)
        if self._happens("member"):
            line = strangers.with_member(line)
        line += b"\r\n" if self._happens("crlf") else b"\n"
        if _is_notification(line):
            about_a_process = b'"process/' in line[:200]
            if about_a_process and self._happens("drop"):
                return self._write()
            if self._happens("duplicate"):
                self._hold(line, self._on_lines.randint(0, profile.delay_lines))
            delayed = self._happens("delay")
        else:
            if self._happens("drop_answer"):
                return self._write()
            delayed = self._happens("delay_answer")
        if delayed and profile.delay_lines:
            self._hold(line, self._on_lines.randint(1, profile.delay_lines))
        else:
            self._unwritten += line
        return self._write()

    def _add_what_nobody_asked_for(self, line: bytes) -> None:
        if self._happens("stranger"):
            self._unwritten += strangers.stranger(self._on_lines) + b"\n"
        if self._happens("request"):
            self._unwritten += strangers.request(self._on_lines, self.done["request"]) + b"\n"
        if self._happens("garbage"):
            self._unwritten += strangers.garbage(self._on_lines, line) + b"\n"

    def _happens(self, kind: str) -> bool:
        happens: bool = self._on_lines.random() < getattr(self._profile, kind)
        self.done[kind] += happens
        return happens

    # Time

    def _hold(self, line: bytes, lines: int) -> None:
        heappush(self._held, (self._now + lines, self._taken, line))
        self._held_bytes += len(line)
        while self._held_bytes > HELD_BYTES:
            self._release_first()

    def _release(self) -> None:
        while self._held and self._held[0][0] <= self._now:
            self._release_first()

    def _release_first(self) -> None:
        _, _, line = heappop(self._held)
        self._held_bytes -= len(line)
        self._unwritten += line

    # Bytes

    def _write(self, *, everything: bool = False) -> list[Step]:
        if self.over:
            self._unwritten = b""
        if not self._unwritten:
            return []
        data, at = self._unwritten, len(self._unwritten)
        draw = self._on_bytes.random()
        pauses = self._on_bytes.random() < self._profile.pause
        if not everything and draw < self._profile.merge:
            return []
        pieces = [data]
        if draw < self._profile.merge + self._profile.split:
            at = self._on_bytes.randint(1, len(data))
            pieces = [data[:at], data[at:]] if everything else [data[:at]]
        self._unwritten = b"" if everything else data[at:]
        steps: list[Step] = []
        for piece in pieces:
            if pauses:
                steps.append(Pause(self._on_bytes.uniform(0, PAUSE_SECONDS)))
            steps.append(piece[: max(0, self._left)])
            self._left -= len(piece)
        if self._left <= 0:
            self.over = True
            self._held.clear()
            self._unwritten = b""
        return [step for step in steps if step]

    def _bytes_until_the_cut(self) -> int:
        random = Random(self._on_lines.random())
        if random.random() >= self._profile.cut:
            return 1 << 62
        return round(math.exp(random.uniform(0, math.log(self._profile.cut_within)))) - 1


def _is_notification(line: bytes) -> bool:
    try:
        head = _decode_head(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # nothing of ours to judge: it passes
    return head.method is not UNSET and head.id is UNSET
