"""What is known of one process, whoever asks: how far its events go, where it exited and closed. No I/O.

One `Facts` is shared by all subscriptions to a process, so that the two events which are never evicted, and which say
more when pushed than a page can say, are kept once and never lost with a full buffer.
"""

from execserver.client.events import Closed, Exited, Usage
from execserver.client.inbound import TextPage
from execserver.wire import process as wire


class Facts:
    """The shared state of one process; see the module's docstring."""

    def __init__(self, process_id: str) -> None:
        self.process_id = process_id
        self.pid: int | None = None
        self.highest = 0  # the highest seq that is known to exist
        self.exited: Exited | None = None
        self.closed: Closed | None = None
        self.exit_code: int | None = None  # known from a page although nobody knows where the exit is

    def note_exited(self, push: wire.Exited) -> None:
        """Take ``process/exited``. What a page told before was poorer, but its number may already be delivered."""
        seq = push.seq if self.exited is None else self.exited.seq
        duration = None if push.duration_ms is None else push.duration_ms / 1000
        usage = None if push.usage is None else Usage(push.usage.user_ms / 1000, push.usage.system_ms / 1000)
        exited = Exited(seq, push.exit_code, push.signal, push.reason, duration, usage)
        _check_order(exited, self.closed)
        self.exited = exited
        self.exit_code = push.exit_code
        self.highest = max(self.highest, seq)

    def note_closed(self, push: wire.Closed) -> None:
        """Take ``process/closed``."""
        seq = push.seq if self.closed is None else self.closed.seq
        closed = Closed(seq, push.reason, push.stdout_bytes, push.stderr_bytes)
        _check_order(self.exited, closed)
        self.closed = closed
        self.highest = max(self.highest, seq)

    def note_page(self, page: TextPage, missing: list[tuple[int, int]]) -> None:
        """Take what a page says of the end, and infer from ``missing`` what it does not say.

        ``missing`` are the ranges of numbers up to ``page.next_seq`` that are nobody's, in order. Eviction takes the
        oldest, so a range behind a chunk of the page can only be the exit or the close.
        """
        self.highest = max(self.highest, page.next_seq - 1, page.chunks[-1].seq if page.chunks else 0)
        if page.closed and self.closed is None:
            if page.closed_seq is not None:
                self.closed = Closed(page.closed_seq)
            elif not page.chunks or page.next_seq - 1 > page.chunks[-1].seq:
                self.closed = Closed(page.next_seq - 1)  # the page reaches the end: closed has the highest number
        if page.exited and self.exited is None and page.exit_code is not None:
            self.exit_code = page.exit_code
            seq = page.exit_seq if page.exit_seq is not None else self._infer_exit(page, missing)
            if seq is not None:
                self.exited = Exited(seq, page.exit_code)

    def _infer_exit(self, page: TextPage, missing: list[tuple[int, int]]) -> int | None:
        """Find the exit among what is missing from a page of a server that sends no ``exitSeq``, or None."""
        whole = self.closed is not None and self.closed.seq < page.next_seq
        candidates = [(first, last) for first, last in missing if not whole or first != page.next_seq - 1]
        if whole and candidates and candidates[-1][1] == page.next_seq - 1:  # the last of it is closed
            candidates[-1] = (candidates[-1][0], page.next_seq - 2)
        if not candidates:
            return None
        first, last = candidates[-1]
        # Before every chunk: evicted output may be there, and the exit only if it cannot be further on.
        leading = bool(page.chunks) and last < page.chunks[0].seq
        return None if leading and not whole and first != last else last


def _check_order(exited: Exited | None, closed: Closed | None) -> None:
    """Raise `ValueError` for a close with a number below that of the exit: who waits for the exit would not end."""
    if exited is not None and closed is not None and closed.seq <= exited.seq:
        raise ValueError(f"closed has the number {closed.seq}, and exited {exited.seq}")
