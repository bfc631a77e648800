"""Terminals: a controlling terminal that behaves as one: protocol, sections 2 and 4."""

import base64
import hashlib
import os
from collections.abc import Callable

from tests import kernel
from tests.daemon.wire_client import Client


async def test_all_three_descriptors_are_one_terminal(client: Client) -> None:
    await client.sh("p", "for n in 0 1 2; do test -t $n && readlink /proc/$$/fd/$n; done; tty", tty=True)
    life = await client.until_closed("p")
    names = life.pty.decode().split()
    assert len(names) == 4
    assert set(names) == {names[0]}
    assert names[0].startswith("/dev/pts/")
    assert {event.params["stream"] for event in life.events if event.name == "output"} == {"pty"}


async def test_the_terminal_is_the_controlling_one(client: Client) -> None:
    await client.sh("p", "echo by way of /dev/tty >/dev/tty; ps -o tty= -p $$; tty", tty=True)
    words = (await client.until_closed("p")).pty.decode().split()
    assert words == ["by", "way", "of", "/dev/tty", words[4], f"/dev/{words[4]}"]


async def test_the_leader_is_in_the_foreground(client: Client) -> None:
    await client.sh("p", "ps -o tpgid= -o pgid= -p $$", tty=True)
    foreground, group = (await client.until_closed("p")).pty.split()
    assert foreground == group


async def test_the_size_is_24_by_80_unless_asked_for(client: Client) -> None:
    life = await client.run("p", ["stty", "size"], tty=True)
    assert life.pty == b"24 80\r\n"
    life = await client.run("q", ["stty", "size"], tty=True, size={"rows": 7, "cols": 300})
    assert life.pty == b"7 300\r\n"
    life = await client.run("r", ["stty", "size"], tty=True, size={"rows": 65535, "cols": 1})
    assert life.pty == b"65535 1\r\n"
    life = await client.run("s", ["stty", "size"], tty=True, size=None)
    assert life.pty == b"24 80\r\n"


async def test_without_a_terminal_there_is_none(client: Client) -> None:
    life = await client.run("p", ["sh", "-c", "tty; : </dev/tty"], size={"rows": 7, "cols": 7})
    assert life.stdout == b"not a tty\n"
    assert life.stderr != b"", "/dev/tty must not open: the daemon's own terminal is not the child's"


async def test_a_resize_is_seen_and_signalled(client: Client) -> None:
    await client.sh("p", "trap 'stty size; exit 0' WINCH; echo ready; sleep 1000 & wait", tty=True)
    await client.until_output("p", b"ready")
    assert await client.request("process/resize", processId="p", size={"rows": 50, "cols": 132}) == {}
    await client.until_output("p", b"50 132\r\n")
    assert (await client.until_closed("p")).exit["exitCode"] == 0


async def test_a_resize_without_a_terminal_is_refused(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    error = await client.refused("process/resize", processId="p", size={"rows": 50, "cols": 132})
    assert (error.code, error.kind) == (-32602, "notATerminal")
    await client.terminate("p")
    await client.until_closed("p")


async def test_a_resize_to_nonsense_or_of_nobody_is_refused(client: Client) -> None:
    await client.start("p", ["cat"], tty=True)
    sizes: list[object] = [{}, {"rows": 0, "cols": 1}, {"rows": 1, "cols": 65536}, {"rows": 1}, None, "80x24"]
    for size in sizes:
        assert (await client.refused("process/resize", processId="p", size=size)).code == -32602, size
    error = await client.refused("process/resize", processId="nobody", size={"rows": 1, "cols": 1})
    assert error.code in (-32600, -32602)
    await client.terminate("p", graceMs=0)
    await client.until_closed("p")
    await client.answer(await client.begin("process/resize", processId="p", size={"rows": 1, "cols": 1}))
    await client.ping()


async def test_what_is_typed_is_echoed_and_read(client: Client) -> None:
    await client.sh("p", 'echo ready; read line; echo "got $line"', tty=True)
    await client.until_output("p", b"ready")
    assert await client.write("p", b"typed\n") == "accepted"
    life = await client.until_closed("p")
    assert life.pty == b"ready\r\ntyped\r\ngot typed\r\n"


async def test_pipe_stdin_means_nothing_to_a_terminal(client: Client) -> None:
    for n, pipe_stdin in enumerate((False, True)):
        await client.sh(f"p{n}", 'read line; echo "got $line"', tty=True, pipeStdin=pipe_stdin)
        assert await client.write(f"p{n}", b"typed\n") == "accepted"
        assert b"got typed" in (await client.until_closed(f"p{n}")).pty


async def test_the_byte_of_ctrl_c_interrupts_the_foreground(client: Client) -> None:
    await client.sh("p", "echo ready; exec sleep 1000", tty=True)
    await client.until_output("p", b"ready")
    await client.write("p", b"\x03")
    life = await client.until_closed("p")
    assert (life.exit["exitCode"], life.exit["signal"], life.exit["reason"]) == (130, "SIGINT", "signal")


async def test_ctrl_backslash_and_ctrl_z_are_signals_too(client: Client) -> None:
    await client.sh("p", "ulimit -c 0; echo ready; exec sleep 1000", tty=True)
    await client.until_output("p", b"ready")
    await client.write("p", b"\x1c")
    assert (await client.until_closed("p")).exit["signal"] == "SIGQUIT"


async def test_a_shell_controls_its_jobs(client: Client) -> None:
    env = {"PATH": os.environ["PATH"], "PS1": "$ ", "ENV": "", "HOME": "/"}
    await client.start("p", ["/bin/bash", "--norc", "--noprofile", "-i"], tty=True, env=env)
    await client.write("p", b"sleep 1000\n")
    pid = (await client.request("process/list"))["processes"][0]["pid"]

    def sleeping(state: str, *, in_front: bool) -> Callable[[], bool]:
        def seen() -> bool:
            jobs = [one for one in kernel.descendants(pid) if one.name == "sleep" and one.group != pid]
            return any(one.state == state and (one.foreground == one.group) == in_front for one in jobs)

        return seen

    await kernel.settled(sleeping("S", in_front=True), "a job in a group of its own")
    await client.write("p", b"\x1a")
    await kernel.settled(sleeping("T", in_front=False), "a stopped job")
    await client.until_output("p", b"Stopped")
    await client.write("p", b"fg\n")
    await kernel.settled(sleeping("S", in_front=True), "a job that goes on")
    await client.write("p", b"\x03")
    await kernel.settled(lambda: not kernel.descendants(pid), "the end of the job")
    await client.write("p", b"echo al''ive\n")
    await client.until_output("p", b"alive")
    await client.write("p", b"exit 9\n")
    assert (await client.until_closed("p")).exit["exitCode"] == 9


async def test_close_stdin_sends_the_terminals_own_character(client: Client) -> None:
    await client.start("p", ["cat"], tty=True)
    assert await client.write("p", b"line\n", closeStdin=True) == "accepted"
    life = await client.until_closed("p")
    assert (life.pty.count(b"line\r\n"), life.exit["exitCode"]) == (2, 0)
    await client.sh("q", "stty eof ^X; echo ready; exec cat", tty=True)
    await client.until_output("q", b"ready")
    assert await client.write("q", b"", closeStdin=True) == "accepted"
    assert (await client.until_closed("q")).exit["exitCode"] == 0


async def test_close_stdin_behind_half_a_line_ends_the_input_too(client: Client) -> None:
    """One EOF character behind half a line only delivers the line; the end takes a second."""
    await client.start("p", ["sh", "-c", "stty -echo; echo ready; exec cat"], tty=True)
    await client.until_output("p", b"ready")
    assert await client.write("p", b"half", closeStdin=True) == "accepted"
    life = await client.until_closed("p")
    assert (life.pty, life.exit["exitCode"]) == (b"ready\r\nhalf", 0)


async def test_a_large_paste_arrives_whole(client: Client) -> None:
    await client.sh("p", "stty raw -echo; echo ready; head -c 200000 | sha256sum", tty=True)
    await client.until_output("p", b"ready")
    data = bytes(range(32, 127)) * 2106
    data = data[:200_000]
    assert await client.write("p", data) == "accepted"
    life = await client.until_closed("p")
    assert hashlib.sha256(data).hexdigest().encode() in life.pty


async def test_a_raw_terminal_is_byte_exact(client: Client) -> None:
    await client.sh("p", "stty raw -echo; echo ready; head -c 25600", tty=True)
    await client.until_output("p", b"ready\n")
    data = bytes(range(256)) * 100
    await client.write("p", data)
    life = await client.until_closed("p")
    assert life.pty == b"ready\n" + data


async def test_writes_to_a_terminal_that_nobody_reads_delay_nobody(client: Client) -> None:
    await client.sh("p", "stty raw -echo; echo ready; exec sleep 1000", tty=True)
    await client.until_output("p", b"ready")
    stuck = await client.begin("process/write", processId="p", chunk=base64.b64encode(b"x" * 300_000).decode())
    await client.ping()
    assert not client.answered(stuck)
    await client.terminate("p")
    await client.until_closed("p")
    assert (await client.answer(stuck))["result"]["status"] == "stdinClosed"


async def test_after_the_end_a_terminal_takes_nothing(client: Client) -> None:
    await client.run("p", ["true"], tty=True)
    assert await client.write("p", b"x") == "stdinClosed"


async def test_many_terminals_come_and_go(client: Client) -> None:
    for n in range(60):
        life = await client.run(f"p{n}", ["sh", "-c", f"echo {n}; exit {n}"], tty=True)
        assert (life.pty, life.exit["exitCode"]) == (b"%d\r\n" % n, n)


async def test_stdin_of_a_terminal_is_closed_to_nobody_else(client: Client) -> None:
    """Two terminals at once: what is typed into one is not seen in the other."""
    for name in ("p", "q"):
        await client.sh(name, 'read line; echo "got $line"', tty=True)
    await client.write("p", b"for p\n")
    await client.write("q", b"for q\n")
    assert b"got for p" in (await client.until_closed("p")).pty
    assert b"got for q" in (await client.until_closed("q")).pty
