"""What the daemon writes to its stderr: the end of it is kept, for the reason in `Disconnected`."""

import sys

STDERR_BYTES = 16 << 10  # of it, that are kept


class Stderr:
    """The last bytes. With ``forward`` all of it goes to this program's stderr too."""

    def __init__(self, *, forward: bool) -> None:
        self._forward = forward
        self._data = b""

    def add(self, data: bytes) -> None:
        """Take what came next."""
        self._data = (self._data + data)[-STDERR_BYTES:]
        # Ours may be None (no console) or text without bytes behind it: then nothing is forwarded.
        if self._forward and (ours := getattr(sys.stderr, "buffer", None)) is not None:
            try:
                ours.write(data)
                ours.flush()
            except (OSError, ValueError):  # its reader has gone, or it is closed: no reason to end the connection
                self._forward = False

    @property
    def said(self) -> str:
        """What was kept, for an error; empty if nothing was."""
        text = self._data.decode(errors="replace").strip()
        return f"; its stderr ends: {text}" if text else ""
