"""A client that knows lines and nothing of the package: it sends what a test says, and waits with a bound."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import trio

from tests.daemon.life import OTHER, Event, Life, Message, Record, RpcError, result_of

# Whatever is waited for comes in milliseconds; this is for a machine that is busy with other things.
LIMIT = float(os.environ.get("EXECSERVER_TEST_LIMIT", "30"))
END_LIMIT = 5.0  # the protocol's: from the end of the session to the end of the daemon
LOADED = 3.0  # and what a busy machine may add to that
CHILDREN = Path(__file__).resolve().parents[1] / "children"


# Never used twice, as tests share a daemon; below is room for the ids that a test makes.
_ids = count(10**9)


class Client(Record):
    """One conversation with one daemon."""

    def __init__(
        self,
        process: "trio.Process | subprocess.Popen[bytes]",
        stdin: trio.abc.SendStream,
        stdout: trio.abc.ReceiveStream,
    ) -> None:
        super().__init__()
        self.process = process
        self.pid = process.pid
        self.stdin = stdin
        self.stdout = stdout
        self.torn = b""  # what followed the last LF: no daemon that ends by itself leaves half a line,
        self.may_be_torn = False  # unless nobody read, and the deadline of its last flush fell into one
        self.stderr = ""
        self.ended = False  # stdout is at its end
        self.survivors_allowed = False  # a test sets it when its processes rightly outlive their close
        self._lot = trio.lowlevel.ParkingLot()
        self._sending = trio.Lock()
        self._reading = trio.Event()
        self._reading.set()
        self._for_good = False

    # --- what a test sends

    async def send_bytes(self, data: bytes) -> None:
        async with self._sending:
            with trio.fail_after(LIMIT):
                await self.stdin.send_all(data)

    async def send(self, *messages: object) -> None:
        """Send lines in one write, so that the daemon finds them together."""
        await self.send_bytes(b"".join(json.dumps(one).encode() + b"\n" for one in messages))

    async def notify(self, method: str, **params: object) -> None:
        await self.send({"jsonrpc": "2.0", "method": method, "params": params})

    async def begin(self, method: str, **params: object) -> int:
        """Send a request; its answer is for `answer`."""
        request_id = next(_ids)
        await self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return request_id

    async def request(self, method: str, **params: object) -> Message:
        """Send a request and return its result; an error answer raises `RpcError`."""
        return result_of(await self.answer(await self.begin(method, **params)))

    async def refused(self, method: str, **params: object) -> RpcError:
        """Send a request that must be answered with an error."""
        answer = await self.answer(await self.begin(method, **params))
        assert "error" in answer, f"{method} {params} was not refused: {answer}"
        return RpcError(answer["error"])

    async def close_stdin(self) -> None:
        await self.stdin.aclose()

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    # --- the methods that most tests need

    async def initialize(self) -> Message:
        result = await self.request("initialize", clientName="tests")
        await self.notify("initialized")
        return result

    async def start(self, process_id: str, argv: Sequence[str], **options: object) -> Message:
        """Start a process; its life is in `lives` from then on, in place of an earlier one with this id."""
        if self.life(process_id).closed:
            del self.lives[process_id]
        return await self.request("process/start", processId=process_id, argv=list(argv), **_complete(options))

    async def sh(self, process_id: str, script: str, *args: str, **options: object) -> Message:
        """Start a shell on a script of a line or two."""
        return await self.start(process_id, ["/bin/sh", "-c", script, "sh", *args], **options)

    async def child(self, process_id: str, name: str, *args: str, **options: object) -> Message:
        """Start one of the programs in tests/children."""
        path = CHILDREN / name
        interpreter = [sys.executable, "-I", "-S"] if path.suffix == ".py" else ["/bin/sh"]
        return await self.start(process_id, [*interpreter, str(path), *args], **options)

    async def write(self, process_id: str, data: bytes, **options: object) -> str:
        chunk = base64.b64encode(data).decode()
        status: str = (await self.request("process/write", processId=process_id, chunk=chunk, **options))["status"]
        return status

    async def read(self, process_id: str, **params: object) -> Message:
        return await self.request("process/read", processId=process_id, **params)

    async def terminate(self, process_id: str, **params: object) -> Message:
        return await self.request("process/terminate", processId=process_id, **params)

    async def ping(self) -> None:
        """Show that the connection lives: a request is answered, if only by a server that knows no ping."""
        await self.answer(await self.begin("ping"))

    # --- what a test waits for

    async def until(self, condition: Callable[[], object], what: str, seconds: float = LIMIT) -> None:
        """Wait until what has arrived meets the condition."""
        with trio.move_on_after(seconds):
            while not condition():
                if self.ended:
                    break
                await self._lot.park()
            else:
                return
        if condition():
            return
        reason = "stdout ended" if self.ended else f"nothing for {seconds} s"
        recent = "\n".join(json.dumps(one)[:300] for one in self.messages[-20:])
        raise AssertionError(f"{reason} while waiting for {what}\nlast lines:\n{recent}\n{self.complaints}")

    async def answer(self, request_id: object) -> Message:
        """Wait for the answer to a request, by the type and value of its id."""
        key = (type(request_id), request_id)
        await self.until(lambda: key in self.answers, f"the answer to id {request_id!r}")
        return self.answers[key]

    def answered(self, request_id: object) -> bool:
        return (type(request_id), request_id) in self.answers

    async def answer_to_nobody(self) -> Message:
        """Wait for an answer whose id is null, and take it."""
        await self.until(lambda: self.nobodys, "an answer with id null")
        return self.nobodys.pop(0)

    async def next_push(self, process_id: str, known: int = 0) -> Event:
        """Wait for more events of a process than are known."""
        life = self.life(process_id)
        await self.until(lambda: len(life.events) > known, f"event {known + 1} of {process_id}")
        return life.events[known]

    async def until_output(self, process_id: str, text: bytes, times: int = 1) -> Life:
        """Wait until the output of a process, on whichever stream, holds a text."""
        life = self.life(process_id)

        def arrived() -> bool:
            return any(life.data(stream).count(text) >= times for stream in ("stdout", "stderr", "pty"))

        await self.until(arrived, f"{text!r} from {process_id}")
        return life

    async def until_exited(self, process_id: str) -> Life:
        life = self.life(process_id)
        await self.until(lambda: life.exited, f"process/exited of {process_id}")
        return life

    async def until_closed(self, process_id: str) -> Life:
        life = self.life(process_id)
        await self.until(lambda: life.closed, f"process/closed of {process_id}")
        return life

    async def run(self, process_id: str, argv: Sequence[str], **options: object) -> Life:
        """Start a process and wait for its close."""
        await self.start(process_id, argv, **options)
        return await self.until_closed(process_id)

    async def until_dead(self, seconds: float = END_LIMIT + LOADED) -> int:
        """Wait for the end of the daemon; return the exit code."""
        assert isinstance(self.process, trio.Process), "a daemon that tests share is not theirs to end"
        with trio.move_on_after(seconds):
            return await self.process.wait()
        raise AssertionError(f"the daemon lives {seconds} s after its end was asked for\n{self.complaints}")

    async def until_gone(self) -> int:
        """Wait for the end of the daemon and of its stdout; return the exit code."""
        code = await self.until_dead()
        if self._reading.is_set():
            await self.until(lambda: self.ended, "the end of stdout")
        return code

    @property
    def complaints(self) -> str:
        """What explains a failure."""
        return f"breaches: {self.breaches}\nstderr:\n{self.stderr[-4000:]}"

    # --- a client that does not read

    def stop_reading(self, *, for_good: bool = False) -> None:
        """Leave what the daemon writes in the pipe, but for one last read that may be under way.

        ``for_good``: nor is it judged when the daemon has ended.
        """
        self._reading = trio.Event()
        self._for_good = for_good

    def read_on(self) -> None:
        if not self._for_good:
            self._reading.set()

    # --- what arrives

    async def receive(self) -> None:
        rest = b""
        while True:
            await self._reading.wait()
            try:
                data = await self.stdout.receive_some(2**18)
            except trio.ClosedResourceError:  # the test has closed it
                break
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.take(line)
            self._lot.unpark_all()
        self.torn = rest
        self.ended = True
        self._lot.unpark_all()

    async def receive_stderr(self, stderr: trio.abc.ReceiveStream) -> None:
        async for data in stderr:
            self.stderr = (self.stderr + data.decode(errors="replace"))[-100_000:]


def _complete(options: dict[str, object]) -> dict[str, object]:
    # the reference server has no defaults for these
    env = {} if options.get("envPolicy") else dict(os.environ)
    return {"cwd": "file:///", "env": env, "tty": False, **options} if OTHER else options
