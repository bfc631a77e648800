"""What the launcher gives the daemon as stdin and stdout, and how it gets it back."""

import os
import signal
import socket
import subprocess
import sys

import trio

from tests.daemon.launching import COMMAND, ROOT, environment, launch


async def test_the_descriptors_that_were_lent_come_back_as_they_were() -> None:
    """O_NONBLOCK belongs to the open file description, which is the launcher's as well."""
    read, write = os.pipe()
    out_read, out_write = os.pipe()
    try:
        process = await trio.lowlevel.open_process(COMMAND, stdin=read, stdout=out_write, env=environment())
        os.write(write, b'{"id":1,"method":"no/such"}\n')
        with trio.fail_after(30):
            await trio.lowlevel.wait_readable(out_read)
            os.close(write)
            write = -1
            assert await process.wait() == 0
        assert os.get_blocking(read)
        assert os.get_blocking(out_write)
    finally:
        for descriptor in (read, write, out_read, out_write):
            if descriptor >= 0:
                os.close(descriptor)


async def test_a_regular_file_as_stdin_is_served(tmp_path: os.PathLike[str]) -> None:
    """No epoll takes a regular file; a script of requests is still served to its end."""
    path = f"{tmp_path}/requests"
    lines = [
        '{"id":1,"method":"initialize","params":{"clientName":"file"}}',
        '{"method":"initialized"}',
        '{"id":2,"method":"process/read","params":{"processId":"nobody"}}',
    ]
    with open(path, "w+") as requests, trio.fail_after(30):
        requests.write("\n".join(lines))
        requests.seek(0)
        done = await trio.run_process(COMMAND, stdin=requests, capture_stdout=True, env=environment(), check=False)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 2
    assert b"unknown process id nobody" in done.stdout


async def test_a_regular_file_as_stdout_takes_every_line(tmp_path: os.PathLike[str]) -> None:
    """No epoll takes it either."""
    path = f"{tmp_path}/answers"
    requests = b'{"id":1,"method":"no/such"}\n' * 5000
    with open(path, "w+b") as answers, trio.fail_after(30):
        done = await trio.run_process(COMMAND, stdin=requests, stdout=answers, env=environment(), check=False)
        answers.seek(0)
        assert (done.returncode, answers.read().count(b"\n")) == (0, 5000)


async def test_a_terminal_may_be_the_wire() -> None:
    """As when somebody types requests: what the terminal echoes is not ours, and its hang-up is the end."""
    ours, theirs = os.openpty()
    try:
        process = await trio.lowlevel.open_process(COMMAND, stdin=theirs, stdout=theirs, env=environment())
        os.close(theirs)
        os.write(ours, b'{"id":1,"method":"no/such"}\n')
        seen = b""
        with trio.fail_after(30):
            while b"-32601" not in seen:
                await trio.lowlevel.wait_readable(ours)
                seen += os.read(ours, 4096)
            os.write(ours, b"\x04")
            assert await process.wait() == 0
    finally:
        os.close(ours)


async def test_a_bare_environment_is_enough() -> None:
    async with launch(wrapper=["env", "-i", f"PYTHONPATH={ROOT}"]) as client:
        assert (await client.run("p", ["/bin/echo", "hi"])).stdout == b"hi\n"
        info = await client.request("environment/info")
        assert info["shell"]["path"].startswith("/")
        assert info["tempDir"].startswith("file:///")


async def test_a_directory_whose_name_is_no_text_is_named_and_used(tmp_path: os.PathLike[str]) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(odd)
    async with launch(wrapper=["sh", "-c", 'cd "$(printf "$0")" && exec "$@"', f"{tmp_path}/\\377"]) as client:
        uri = (await client.request("environment/info"))["cwd"]
        assert uri.endswith("/%FF")
        for n, options in enumerate(({}, {"cwd": uri})):
            assert (await client.run(f"p{n}", ["/bin/pwd", "-P"], **options)).stdout == odd + b"\n"
        await client.request("process/list")


async def test_a_directory_that_is_removed_under_the_daemon_does_not_end_it(tmp_path: os.PathLike[str]) -> None:
    place = f"{tmp_path}/place"
    os.mkdir(place)
    async with launch(cwd=place) as client:
        os.rmdir(place)
        await client.request("environment/info")
        assert (await client.run("p", ["/bin/echo", "hi"], cwd="/")).stdout == b"hi\n"
        await client.answer(await client.begin("process/start", processId="q", argv=["true"]))
        await client.ping()


async def test_dev_null_as_stdin_is_an_end_of_file() -> None:
    with trio.fail_after(30):
        done = await trio.run_process(
            COMMAND, stdin=subprocess.DEVNULL, capture_stdout=True, env=environment(), check=False
        )
    assert (done.returncode, done.stdout) == (0, b"")


async def test_a_socket_may_be_the_wire() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await trio.lowlevel.open_process(
            COMMAND, stdin=theirs.fileno(), stdout=theirs.fileno(), env=environment()
        )
        theirs.close()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        with trio.fail_after(30):
            await stream.send_all(b'{"id":1,"method":"no/such"}\n')
            assert b"-32601" in await stream.receive_some()
            await stream.send_eof()
            assert await process.wait() == 0


async def test_a_launcher_that_ignores_signals_does_not_make_the_daemon_deaf() -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    async with launch(wrapper=[sys.executable, "-c", ignoring]) as client:
        client.kill(signal.SIGTERM)
        assert await client.until_gone() == 0
