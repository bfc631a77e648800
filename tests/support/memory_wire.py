"""A wire without descriptors: a `Wire` of `execserver.server.stdio`, whose other end the test holds."""

import trio


class MemoryWire:
    """``room`` is what it still takes of our output; None is no limit."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.output = b""
        self.writes: list[bytes] = []
        self._input = bytearray()
        self._input_ended = False
        self._arrived = trio.Event()
        self._reader_moved = trio.Event()
        self._gone = trio.Event()
        self._outputs = trio.lowlevel.ParkingLot()

    # What a client does.

    def send(self, data: bytes) -> None:
        self._input += data
        self._arrived.set()

    def end_input(self) -> None:
        self._input_ended = True
        self._arrived.set()

    def read(self, count: int | None) -> None:
        """Let so much more come out; None lets everything."""
        self.room = None if count is None else (self.room or 0) + count
        self._reader_moved.set()

    async def wait_output(self) -> None:
        """Return when more has come out."""
        await self._outputs.park()

    def hang_up(self) -> None:
        """Close the end that reads."""
        self._gone.set()
        self._reader_moved.set()

    # What the server does.

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._input and not self._input_ended:
            self._arrived = trio.Event()
            await self._arrived.wait()
        data = bytes(self._input)
        self._input.clear()
        return data

    def write(self, data: bytes | memoryview) -> int:
        if self._gone.is_set():
            raise BrokenPipeError
        if self.room == 0:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        if self.room is not None:
            self.room -= len(taken)
        self.writes.append(taken)
        self.output += taken
        self._outputs.unpark_all()
        return len(taken)

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()
        while self.room == 0 and not self._gone.is_set():
            self._reader_moved = trio.Event()
            await self._reader_moved.wait()

    async def wait_gone(self) -> None:
        await self._gone.wait()

    def input_has_ended(self) -> bool:
        return self._input_ended
