"""What every client does with our server, whatever its runtime: one list, any difference is a failure."""

import contextlib
import os
import re
import signal
import sys
import tempfile

import pytest

from execserver.client.buffer import EVENT_BYTES
from execserver.client.names import (
    Closed,
    ClosedError,
    Disconnected,
    Exited,
    Lost,
    Output,
    ProcessFailed,
    RpcError,
    StartError,
    Text,
    decode,
)

from .runtimes import Runtime, Scenario

SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


@scenario
async def a_process_is_followed_from_its_first_event_to_its_close(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sh", "-c", "echo out; exit 3"], process_id="mine")
        assert (process.process_id, process.pid > 0) == ("mine", True)
        output, exited, closed = [event async for event in process.events()]
        assert output == Output(1, "stdout", b"out\n")
        assert (exited.seq, exited.exit_code, exited.signal, exited.reason) == (2, 3, None, "exit")
        assert exited.duration >= 0
        assert exited.usage.user >= 0
        assert closed == Closed(3, "endOfFile", 4, 0)


@scenario
async def every_subscription_is_complete_also_after_the_close(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sh", "-c", "echo out; exit 3"])
        first = [event async for event in process.events()]
        assert [event async for event in process.events()] == first
        assert [event async for event in process.events(after_seq=1)] == first[1:]
        assert [event async for event in process.events(after_seq=3)] == []
        assert [event async for event in process.events(after_seq=99)] == []


@scenario
async def subscriptions_at_once_do_not_disturb_each_other(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sh", "-c", "for i in 1 2 3 4 5; do echo $i; done; read x"], stdin="pipe")

        async def follow() -> list[object]:
            return [event async for event in process.events()]

        async def finish() -> None:
            assert (await server.run(["true"])).exit_code == 0
            await process.close_stdin()

        one, other, _ = await runtime.together(follow, follow, finish)
        assert one == other
        assert [event.seq for event in one] == list(range(1, len(one) + 1))


@scenario
async def breaking_out_of_the_loop_leaves_nothing_behind(runtime: Runtime) -> None:
    async with runtime.connect() as server, await server.start(["cat"], stdin="pipe") as process:
        await process.write(b"one")
        async for event in process.events():
            assert event.data == b"one"
            break
        await process.write(b"two")
        events = process.events(after_seq=1)
        assert (await anext(events)).data == b"two"


@scenario
async def what_is_written_comes_back_whole(runtime: Runtime) -> None:
    data = bytes(range(256)) * 4000  # four pieces
    async with runtime.connect() as server:
        process = await server.start(["cat"], stdin="pipe")

        async def write() -> None:
            await process.write(data)
            await process.close_stdin()
            await process.close_stdin()

        async def collect() -> bytes:
            return b"".join([event.data async for event in process.events() if isinstance(event, Output)])

        _, back = await runtime.together(write, collect)
        assert back == data
        with pytest.raises(RpcError) as caught:
            await process.write(b"more")
        assert caught.value.kind == "stdinClosed"


@scenario
async def run_collects_both_streams_and_their_end(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        result = await server.run(["sh", "-c", "cat; echo err >&2; kill -9 $$"], input=b"in")
        assert (result.exit_code, result.signal, result.reason) == (137, "SIGKILL", "signal")
        assert (result.stdout, result.stderr, result.complete, result.timed_out) == (b"in", b"err\n", True, False)
        with pytest.raises(ProcessFailed, match="exited with 3") as failed:
            await server.run(["sh", "-c", "echo why; exit 3"], check=True)
        assert failed.value.result.stdout == b"why\n"


@scenario
async def run_without_a_reader_of_its_input_succeeds(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        assert (await server.run(["true"], input=b"x" * 1_000_000, check=True)).complete


@scenario
async def run_keeps_head_and_tail(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        result = await server.run(["sh", "-c", "seq 100000; echo end"], max_output=20)
        assert result.stdout == b"1\n2\n3\n4\n5\n" + b"\n100000\nend\n"[-10:]
        assert (result.complete, result.omitted) == (True, 588895 + 4 - 20)
        result = await server.run(["sh", "-c", "echo out; echo err >&2"], max_output=0)
        assert (result.stdout, result.stderr, result.complete, result.omitted) == (b"", b"", True, 8)


@scenario
async def what_is_wrong_with_a_run_is_found_before_anything_is_started(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        for error, options, message in (
            (TypeError, {"input": "text"}, "input is bytes, not str: 'text'"),
            (TypeError, {"input": 3}, "input is bytes, not int: 3"),
            (TypeError, {"max_output": 1.5}, "max_output is a number of bytes or None, not 1.5"),
            (ValueError, {"max_output": -1}, "max_output is not negative: -1"),
            (ValueError, {"timeout": float("nan")}, "timeout is a number of seconds from 0 on, not nan"),
            (ValueError, {"timeout": float("inf")}, "timeout is a number of seconds from 0 on, not inf"),
            (ValueError, {"idle_timeout": -1}, "idle_timeout is a number of seconds from 0 on, not -1"),
            (ValueError, {"drain": -1}, "drain is a number of seconds from 0 on, not -1"),
            (TypeError, {"drain": "1"}, "not supported between"),
            (TypeError, {"tiemout": 3}, "there is no option tiemout; there are arg0, cwd, "),
        ):
            with pytest.raises(error, match=re.escape(message)):
                await server.run(["cat"], **options)
        with pytest.raises(TypeError, match="there is no option cwdd, shell; there are arg0"):
            await server.start(["cat"], shell=True, cwdd="/")
        assert await server.list() == []
        process = await server.start(["cat"], tty=None, stdin="pipe")
        with pytest.raises(TypeError, match="what is written is bytes, not int: 3"):
            await process.write(3)
        await process.close_stdin()
        assert [type(event) async for event in process.events()] == [Exited, Closed]


@scenario
async def a_timeout_keeps_what_came_until_then(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        result = await server.run(["sh", "-c", "echo partial; sleep 60"], timeout=0.5)
        assert (result.timed_out, result.reason, result.stdout) == (True, "timeout", b"partial\n")
        result = await server.run(["sh", "-c", "echo partial; sleep 60"], idle_timeout=0.5)
        assert (result.timed_out, result.reason, result.stdout) == (True, "idleTimeout", b"partial\n")
        with pytest.raises(ProcessFailed, match="sleep timed out"):
            await server.run(["sleep", "60"], idle_timeout=0.1, check=True)


@scenario
async def run_returns_although_a_background_child_holds_the_pipe(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        result = await server.run(["sh", "-c", "echo done; exec sleep 60 & exit 0"], drain=0.1)
        assert (result.exit_code, result.stdout, result.complete) == (0, b"done\n", False)


@scenario
async def a_failed_start_says_why_and_leaves_the_connection_usable(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        with pytest.raises(StartError) as caught:
            await server.start(["/no/such/program"])
        assert (caught.value.kind, caught.value.errno) == ("programNotFound", 2)
        with pytest.raises(StartError) as caught:
            await server.start(["true"], cwd="/no/such/directory")
        assert caught.value.kind == "cwdNotFound"
        process = await server.start(["cat"], process_id="one", stdin="pipe")
        with pytest.raises(StartError) as caught:
            await server.start(["true"], process_id="one")
        assert caught.value.kind == "processExists"
        await process.write(b"alive")
        assert (await anext(process.events())).data == b"alive"
        with pytest.raises(TypeError, match="no shell"):
            await server.start("ls -l")
        with pytest.raises(ValueError, match="stdin"):
            await server.start(["true"], stdin="inherit")


@scenario
async def the_exit_needs_nobody_to_read_the_events(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sh", "-c", "seq 100000; exit 5"])
        exited = await process.wait()
        assert (exited.exit_code, exited.reason) == (5, "exit")
        assert await process.wait() == exited


@scenario
async def signals_reach_the_group(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sh", "-c", "trap 'echo got; exit 9' USR1; echo ready; sleep 60 & wait"])
        events = process.events()
        assert (await anext(events)).data == b"ready\n"
        assert await process.signal("SIGUSR1") is True
        assert (await anext(events)).data == b"got\n"
        assert (await process.wait()).exit_code == 9
        assert await process.signal("interrupt") is False
        with pytest.raises(RpcError, match="signal"):
            await process.signal("SIGNONSENSE")


@scenario
async def leaving_the_block_ends_the_process(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        async with await server.start(["sleep", "60"]) as process:
            pass
        last = [event async for event in process.events()]
        assert [type(event) for event in last] == [Exited, Closed]
        assert last[0].reason == "terminated"
        assert await process.terminate(grace=0.1) is False
        with pytest.raises(KeyError):
            async with await server.start(["sleep", "60"]) as process:
                raise KeyError
        assert (await process.wait()).reason == "terminated"


@scenario
async def pages_are_read_by_hand(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sh", "-c", "echo a; read x; echo b"], stdin="pipe")
        page = await process.read(wait=10)
        assert page.chunks == (Output(1, "stdout", b"a\n"),)
        assert (page.next_seq, page.exited, page.closed, page.oldest_seq, page.dropped_bytes) == (2, False, False, 1, 0)
        assert (await process.read(after_seq=1)).chunks == ()
        await process.close_stdin()
        await process.wait()
        page = await process.read(after_seq=1, max_bytes=1, wait=10)
        assert (page.chunks, page.exited, page.exit_code) == ((Output(2, "stdout", b"b\n"),), True, 0)


@scenario
async def a_server_is_asked_about_itself(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        assert server.info.server_info.name == "execserver"
        assert server.disconnected is None
        await server.ping()
        process = await server.start(["cat"], stdin="pipe", metadata={"for": "me"})
        (listed,) = await server.list()
        assert (listed.process_id, listed.state, listed.metadata) == (process.process_id, "running", {"for": "me"})
        assert await process.release() is False
        await process.close_stdin()
        assert [type(event) async for event in process.events()] == [Exited, Closed]
        assert await process.release() is True
        assert await server.list() == []
        assert (await server.call("environment/info"))["platformOs"]
        with pytest.raises(RpcError) as caught:
            await server.call("no/such")
        assert (caught.value.code, caught.value.kind) == (-32601, "methodNotFound")


@scenario
async def a_terminal_has_a_size_that_changes(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sh", "-c", "stty size; read x; stty size; read x"], tty=(30, 100))
        events = process.events()
        said = b""
        while b"30 100" not in said:
            said += (await anext(events)).data
        await process.resize(31, 101)
        await process.write(b"\n")
        while b"31 101" not in said:
            said += (await anext(events)).data
        await process.close_stdin()
        assert isinstance([event async for event in events][-1], Closed)


@scenario
async def a_process_gets_the_directory_and_the_environment_that_it_is_given(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        run = server.run
        assert (await run(["pwd"], cwd="/usr")).stdout == b"/usr\n"
        with tempfile.TemporaryDirectory() as directory:
            os.makedirs(f"{directory}/a/b")
            os.symlink(f"{directory}/a/b", f"{directory}/link")
            result = await run(["pwd", "-P"], cwd=f"{directory}/link/..")
            assert result.stdout.decode() == os.path.realpath(f"{directory}/a") + "\n"
        assert (await run(["/usr/bin/env"], env={"A": "ä"})).stdout == "A=ä\n".encode()
        both = await run(["sh", "-c", "echo 1; echo 2 >&2; echo 3"], merge_stderr=True)
        assert (both.stdout, both.stderr, both.complete) == (b"1\n2\n3\n", b"", True)
        assert (await run(["sh", "-c", "echo $0"], arg0="me")).stdout == b"me\n"
        policy = {"inherit": "none", "set": {"B": "1"}}
        assert (await run(["/usr/bin/env"], env_policy=policy)).stdout == b"B=1\n"


@scenario
async def text_is_never_cut_in_a_character(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        script = "printf '\\303'; sleep 0.1; printf '\\244\\303'"
        process = await server.start(["sh", "-c", script])
        if runtime.name == "sync":
            texts = list(decode(process._wrapped.events()))
        else:
            texts = [event async for event in decode(process.events())]
        assert [event.text for event in texts if isinstance(event, Text)] == ["ä", "\N{REPLACEMENT CHARACTER}"]
        assert [type(event) for event in texts if not isinstance(event, Text)] == [Exited, Closed]


@scenario
async def a_slow_consumer_loses_nothing_that_the_server_has_and_delays_nobody(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sh", "-c", "echo ready; read x; head -c 4000000 /dev/zero"], stdin="pipe")
        slow_events, fast_events = process.events(buffer_bytes=2 << 20), process.events()
        for events in (slow_events, fast_events):
            assert (await anext(events)).data == b"ready\n"

        all_said: list[bool] = []

        async def slow() -> tuple[int, int, int]:
            received = chunks = lost = 0
            expected = 2
            async for event in slow_events:
                assert (event.first_seq if isinstance(event, Lost) else event.seq) == expected
                while not all_said:  # or more would be thrown away while it reads, how much is chance
                    await runtime.sleep(0.01)
                expected = event.seq + 1
                if isinstance(event, Output):
                    received += len(event.data)
                    chunks += 1
                if isinstance(event, Lost):
                    lost += event.dropped_bytes or 0
            return received, chunks, lost

        async def fast() -> int:
            total = 0
            async for event in fast_events:
                if isinstance(event, Output):
                    total += len(event.data)
                elif isinstance(event, Lost):  # on a machine that is busy
                    total += event.dropped_bytes or 0
            all_said.append(True)
            return total

        async def other() -> None:
            await process.write(b"\n")
            for _ in range(20):
                await server.ping()

        (received, chunks, lost), at_once, _ = await runtime.together(slow, fast, other)
        assert at_once == 4000000
        assert received + lost == 4000000
        # What the client holds, to which each chunk is a little longer, and the server retains: in whole chunks.
        assert received + chunks * EVENT_BYTES >= (3 << 20) - (128 << 10)


@scenario
async def a_consumer_that_pauses_at_each_event_loses_nothing_while_it_is_alone(runtime: Runtime) -> None:
    size = 16 << 20  # sixteen times what it may hold, and what the server retains
    async with runtime.connect() as server:
        process = await server.start(["head", "-c", str(size), "/dev/zero"])
        received = 0
        async for event in process.events():
            assert not isinstance(event, Lost)
            if isinstance(event, Output):
                received += len(event.data)
                await runtime.sleep(0)
        assert received == size


@scenario
async def a_consumer_that_is_slow_beside_others_who_follow_is_told_of_every_byte(runtime: Runtime) -> None:
    size = 16 << 20
    async with runtime.connect() as server:
        quiet = await server.start(["cat"], stdin="pipe")
        process = await server.start(["head", "-c", str(size), "/dev/zero"])

        async def slow() -> int:
            received = 0
            async for event in process.events():
                if isinstance(event, Output):
                    received += len(event.data)
                    await runtime.sleep(0.001)
                elif isinstance(event, Lost):  # on a machine that is busy
                    received += event.dropped_bytes or 0
            await quiet.close_stdin()
            return received

        async def follow() -> None:
            async for _ in quiet.events():
                pass

        received, _, exited = await runtime.together(slow, follow, process.wait)
        assert (received, exited.exit_code) == (size, 0)


@scenario
async def the_callers_error_leaves_as_itself(runtime: Runtime) -> None:
    with pytest.raises(KeyError, match="mine") as caught:
        async with runtime.connect():
            raise KeyError("mine")
    assert caught.value.__context__ is None


@scenario
async def whoever_uses_a_connection_that_he_closed_is_told_so(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        process = await server.start(["sleep", "60"])
        events = process.events()
    with pytest.raises(ClosedError):
        await server.run(["true"])
    with pytest.raises(ClosedError):
        await process.wait()
    with pytest.raises(ClosedError):
        async for _ in events:
            pass


@scenario
async def no_process_is_left_behind(runtime: Runtime) -> None:
    async with runtime.connect() as server:
        stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(end='1', flush=True); time.sleep(60)"
        process = await server.start([sys.executable, "-c", stubborn])
        assert (await anext(process.events())).data == b"1"
        pid = process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@scenario
async def a_daemon_that_is_killed_is_a_disconnect_after_all_that_came(runtime: Runtime) -> None:
    if not runtime.remote:
        return  # it would be this process
    async with runtime.connect() as server:
        daemon = int((await server.run(["sh", "-c", "echo $PPID"])).stdout)
        process = await server.start(["sh", "-c", "echo first; sleep 60"])
        silent = await server.start(["sleep", "60"])
        events = process.events()
        assert (await anext(events)).data == b"first\n"

        async def raises(call: object) -> Disconnected:
            with pytest.raises(Disconnected) as caught:
                await call()  # type: ignore[operator]
            return caught.value

        async def kill() -> None:
            await server.ping()
            os.kill(daemon, signal.SIGKILL)

        ended, _, _, _ = await runtime.together(
            lambda: raises(lambda: anext(events)),
            lambda: raises(silent.wait),
            lambda: raises(lambda: server.run(["sleep", "60"])),
            kill,
        )
        assert ended.last_seq == 1
        assert "killed by SIGKILL" in ended.reason
        assert server.disconnected == ended.reason
        for call in (server.ping, silent.wait, lambda: process.write(b"x"), lambda: server.start(["true"])):
            await raises(call)


@scenario
async def many_processes_are_followed_at_once(runtime: Runtime) -> None:
    count = 50 if runtime.name == "sync" else 200
    async with runtime.connect() as server:

        async def life(number: int) -> None:
            process = await server.start(["sh", "-c", f"echo {number}; exec cat"], stdin="pipe")
            events = process.events()
            assert (await anext(events)).data == f"{number}\n".encode()
            await process.close_stdin()
            assert [type(event) async for event in events] == [Exited, Closed]

        await runtime.together(*(lambda number=number: life(number) for number in range(count)))
        with contextlib.suppress(StopAsyncIteration):
            await server.ping()
