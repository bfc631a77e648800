"""Numbered events: order, completeness, what the end says: protocol, section 3.

The client itself judges the numbers of every process of every test; here is what needs a particular child.
"""

import hashlib
import signal

import pytest

from tests import kernel
from tests.daemon.wire_client import Client


async def test_numbers_begin_at_1_and_close_has_the_highest(client: Client) -> None:
    await client.child("p", "alternates_streams.sh", "50")
    life = await client.until_closed("p")
    assert [event.seq for event in life.events] == list(range(1, len(life.events) + 1))
    assert [event.name for event in life.events[-2:]] == ["exited", "closed"]
    assert {event.name for event in life.events[:-2]} == {"output"}


async def test_a_silent_process_has_two_events(client: Client) -> None:
    life = await client.run("p", ["true"])
    assert [(event.name, event.seq) for event in life.events] == [("exited", 1), ("closed", 2)]


async def test_each_process_has_its_own_numbers(client: Client) -> None:
    for n in range(10):
        await client.sh(f"p{n}", 'for n in 1 2 3; do echo "$1 $n"; done', str(n))
    for n in range(10):
        life = await client.until_closed(f"p{n}")
        assert life.stdout == b"".join(b"%d %d\n" % (n, m) for m in (1, 2, 3))


async def test_every_member_of_exited_and_closed_is_there(client: Client) -> None:
    life = await client.run("p", ["sh", "-c", "echo out; echo err >&2; exit 9"])
    exited, closed = life.exit, life.close
    assert set(exited) >= {"processId", "seq", "exitCode", "sandboxDenied", "signal", "coreDumped", "reason"}
    assert (exited["exitCode"], exited["signal"], exited["reason"]) == (9, None, "exit")
    assert (exited["sandboxDenied"], exited["coreDumped"]) == (False, False)
    assert isinstance(exited["durationMs"], int)
    assert all(isinstance(exited["usage"][name], int) for name in ("userMs", "systemMs"))
    assert (closed["stdoutBytes"], closed["stderrBytes"], closed["reason"]) == (4, 4, "endOfFile")


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])
async def test_exit_codes_are_the_childs(client: Client, tty: bool) -> None:
    for code in (0, 1, 2, 42, 126, 127, 128, 137, 255):
        life = await client.run(f"p{code}", ["sh", "-c", f"exit {code}"], tty=tty)
        assert (life.exit["exitCode"], life.exit["signal"], life.exit["reason"]) == (code, None, "exit")


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])
async def test_death_by_a_signal_is_128_plus_its_number_and_its_name(client: Client, tty: bool) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGPIPE, signal.SIGUSR1):
        life = await client.run(number.name, ["sh", "-c", f"ulimit -c 0; kill -{int(number)} $$"], tty=tty)
        assert (life.exit["exitCode"], life.exit["signal"]) == (128 + number, number.name)
        assert (life.exit["reason"], life.exit["coreDumped"]) == ("signal", False)


async def test_a_real_time_signal_has_a_name_too(client: Client) -> None:
    life = await client.run("p", ["sh", "-c", "kill -40 $$"])
    assert life.exit["exitCode"] == 168
    assert isinstance(life.exit["signal"], str)
    assert life.exit["signal"].startswith("SIGRT")


async def test_what_the_process_wrote_is_all_numbered_before_its_exit(client: Client) -> None:
    for size in (1, 4096, 65536, 65537, 200_000, 1_000_000):
        life = await client.run(f"p{size}", ["head", "-c", str(size), "/dev/zero"])
        assert len(life.before_exit()) == size


async def test_both_streams_are_whole_before_the_exit_though_a_descendant_holds_them(client: Client) -> None:
    for n in range(30):
        name = f"p{n}"
        await client.sh(name, 'sleep 1000 & head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; echo "end"; exit 5')
        life = await client.until_exited(name)
        assert life.before_exit("stdout") == b"\0" * 60_000 + b"end\n"
        assert life.before_exit("stderr") == b"\0" * 60_000
        await client.terminate(name, graceMs=0)
        await client.until_closed(name)


async def test_own_output_precedes_the_exit_though_a_descendant_never_stops_writing(client: Client) -> None:
    for n in range(20):
        name = f"p{n}"
        await client.child(name, "leaves_endless_writer.sh")
        life = await client.until_exited(name)
        assert b"own output of the leader\n" in life.before_exit()
        assert life.exit["exitCode"] == 3
        await client.terminate(name, graceMs=0)
        await client.until_closed(name)


async def test_a_pty_is_whole_before_the_exit(client: Client) -> None:
    for n in range(20):
        name = f"p{n}"
        await client.sh(name, 'head -c 20000 /dev/zero | tr "\\0" x; echo; echo end; exit 5', tty=True)
        life = await client.until_exited(name)
        assert life.before_exit("pty") == b"x" * 20_000 + b"\r\nend\r\n"
        assert (await client.until_closed(name)).close["reason"] == "endOfFile"


async def test_totals_count_what_was_sent_with_a_pty_as_stdout(client: Client) -> None:
    life = await client.run("p", ["sh", "-c", "echo out; echo err >&2"], tty=True)
    assert (life.close["stdoutBytes"], life.close["stderrBytes"]) == (len(life.pty), 0)
    assert life.pty == b"out\r\nerr\r\n"


async def test_output_is_byte_exact(client: Client) -> None:
    everything = bytes(range(256)) * 1000
    await client.start("p", ["cat"], pipeStdin=True)
    assert await client.write("p", everything, closeStdin=True) == "accepted"
    life = await client.until_closed("p")
    assert hashlib.sha256(life.stdout).digest() == hashlib.sha256(everything).digest()
    assert life.close["stdoutBytes"] == len(everything)


async def test_a_character_cut_by_the_writer_arrives_in_pieces_and_whole(client: Client) -> None:
    await client.child("p", "cuts_characters.sh")
    assert (await client.until_closed("p")).stdout.decode() == "€\U0001f40d"


async def test_output_arrives_when_it_is_written_and_not_at_the_end(client: Client) -> None:
    await client.start("p", ["sh", "-c", "printf a; read x; printf b; read x; printf c"], pipeStdin=True)
    for n, letter in enumerate((b"a", b"b", b"c")):
        assert (await client.next_push("p", known=n)).data == letter
        await client.write("p", b"\n")
    await client.until_closed("p")


async def test_the_exit_is_sent_at_once_whoever_holds_the_pipes(client: Client) -> None:
    await client.child("p", "leaves_holder.sh")
    life = await client.until_exited("p")
    assert (life.exit["exitCode"], life.exit["reason"]) == (3, "exit")
    assert life.closed is None
    assert (await client.read("p"))["closed"] is False
    holder = int(life.stdout.split()[1])
    assert kernel.alive(holder), "a descendant is nobody's business until it is asked for"
    await client.terminate("p")
    assert (await client.until_closed("p")).close["reason"] == "endOfFile"


async def test_the_duration_and_the_cpu_time_are_plausible(client: Client) -> None:
    busy = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    life = await client.run("p", ["sh", "-c", busy])
    assert life.exit["usage"]["userMs"] + life.exit["usage"]["systemMs"] > 0
    assert life.exit["durationMs"] >= life.exit["usage"]["userMs"] - 20
    idle = await client.run("q", ["sleep", "0.3"])
    assert idle.exit["durationMs"] >= 280
    assert idle.exit["usage"]["userMs"] < 300


async def test_usage_includes_waited_for_children_of_the_child(client: Client) -> None:
    life = await client.run("p", ["sh", "-c", "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; true"])
    assert life.exit["usage"]["userMs"] >= 10


async def test_a_child_that_closes_its_streams_lives_until_it_exits(client: Client) -> None:
    await client.sh("p", "exec >&- 2>&-; read line; exit 4", pipeStdin=True)
    await client.ping()
    assert (await client.read("p"))["exited"] is False
    await client.write("p", b"\n")
    life = await client.until_closed("p")
    assert [event.name for event in life.events] == ["exited", "closed"]
    assert life.exit["exitCode"] == 4


async def test_tiny_writes_are_not_lost(client: Client) -> None:
    life = await client.run("p", ["sh", "-c", "n=0; while [ $n -lt 5000 ]; do echo $n; n=$((n+1)); done"])
    assert life.stdout == b"".join(b"%d\n" % n for n in range(5000))


async def test_output_beside_a_flood_arrives(client: Client) -> None:
    flood = client.life("flood")
    flood.sink = lambda event: None
    await client.start("flood", ["cat", "/dev/zero"])
    await client.start("echo", ["cat"], pipeStdin=True)
    for n in range(100):
        await client.write("echo", b"%d\n" % n)
        await client.until_output("echo", b"%d\n" % n)
    assert flood.totals["stdout"] > 0
    for name in ("flood", "echo"):
        await client.terminate(name, graceMs=0)
        await client.until_closed(name)
