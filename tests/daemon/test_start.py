"""process/start: what the child gets and what it does not: protocol, section 2."""

import json
import os
import signal
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import kernel
from tests.daemon.launching import environment, launch
from tests.daemon.wire_client import Client

# Started with signals ignored and blocked and an open descriptor, as by `nohup` in a careless script.
CARELESS_LAUNCHER = """
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGUSR1, signal.SIGTSTP):
    signal.signal(number, signal.SIG_IGN)
blocked = {signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD, signal.SIGTERM, signal.SIGWINCH}
signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
os.execv(sys.argv[1], sys.argv[1:])
"""


async def test_the_answer_names_the_process_and_its_pid(client: Client) -> None:
    result = await client.sh("p", "echo $$")
    life = await client.until_closed("p")
    assert result == {"processId": "p", "pid": int(life.stdout), "sandboxType": "none"}


async def test_the_child_leads_its_own_session_and_group(client: Client) -> None:
    for tty in (False, True):
        name = f"tty {tty}"
        pid = (await client.start(name, ["sleep", "1000"], tty=tty))["pid"]
        task = kernel.task(pid)
        assert task is not None
        assert (task.group, task.session) == (pid, pid)
        await client.terminate(name)
        await client.until_closed(name)


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])
async def test_the_child_has_no_descriptor_beyond_the_first_three(tty: bool) -> None:
    read, write = os.pipe()
    try:
        async with launch(pass_fds=[read, write]) as client:
            await client.start("other", ["sleep", "1000"], pipeStdin=True)
            life = await client.run("p", ["/bin/sh", "-c", "ls /proc/$$/fd; exit 0"], tty=tty, pipeStdin=True)
            await client.terminate("other")
            await client.until_closed("other")
    finally:
        os.close(read)
        os.close(write)
    # dash keeps the terminal open on 10 only when it is interactive
    assert (life.stdout + life.pty).split() == [b"0", b"1", b"2"]


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])
@pytest.mark.parametrize("careless", [False, True], ids=["clean launcher", "careless launcher"])
async def test_every_signal_is_at_its_default_and_unblocked(tty: bool, careless: bool) -> None:
    wrapper = [sys.executable, "-c", CARELESS_LAUNCHER] if careless else []
    async with launch(wrapper=wrapper) as client:
        life = await client.run("p", ["cat", "/proc/self/status"], tty=tty)
        fields = kernel.parse_status((life.stdout + life.pty).decode())
        assert (int(fields["SigBlk"], 16), int(fields["SigIgn"], 16)) == (0, 0), fields
        piped = await client.run("q", ["sh", "-c", "kill -PIPE $$; echo survived"])
        assert piped.exit["signal"] == "SIGPIPE"


async def test_stdin_is_dev_null_unless_a_pipe_is_asked_for(client: Client) -> None:
    life = await client.run("p", ["readlink", "/proc/self/fd/0"])
    assert life.stdout == b"/dev/null\n"
    life = await client.run("q", ["readlink", "/proc/self/fd/0"], pipeStdin=False)
    assert life.stdout == b"/dev/null\n"
    await client.start("r", ["sh", "-c", "readlink /proc/self/fd/0; cat"], pipeStdin=True)
    await client.until_output("r", b"pipe:")
    await client.write("r", b"fed", closeStdin=True)
    assert (await client.until_closed("r")).stdout.endswith(b"fed")


async def test_the_streams_are_separate(client: Client) -> None:
    life = await client.run("p", ["sh", "-c", "echo out; echo err >&2"])
    assert (life.stdout, life.stderr) == (b"out\n", b"err\n")
    assert (life.close["stdoutBytes"], life.close["stderrBytes"]) == (4, 4)


async def test_merged_stderr_keeps_the_true_order(client: Client) -> None:
    await client.child("p", "alternates_streams.sh", "300", mergeStderr=True)
    life = await client.until_closed("p")
    assert life.stdout == b"".join(b"out %d\nerr %d\n" % (n, n) for n in range(300))
    assert (life.stderr, life.close["stderrBytes"]) == (b"", 0)


async def test_no_shell_touches_the_arguments(client: Client) -> None:
    args = ["", " ", "a b", "$HOME", "*", "`id`", "ü\U0001f40d", "-n", "\\", "'\"", "new\nline", "x" * 50_000]
    life = await client.run(
        "p", [sys.executable, "-S", "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *args]
    )
    assert json.loads(life.stdout) == args


async def test_a_program_without_a_slash_is_looked_up_in_the_path(client: Client, tmp_path: Path) -> None:
    tool = tmp_path / "only-here"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    for n, env in enumerate([{"PATH": str(tmp_path)}, {"PATH": f"/usr/bin:{tmp_path}"}]):
        assert (await client.run(f"p{n}", ["only-here"], env=env)).stdout == b"found\n"


async def test_a_relative_program_is_looked_up_from_cwd(client: Client, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    for n, tty in enumerate((False, True)):
        life = await client.run(f"p{n}", ["./tool"], cwd=str(tmp_path), tty=tty)
        assert (life.stdout + life.pty).split() == [b"found"]


async def test_arg0_is_what_the_child_sees_and_argv_0_what_is_run(client: Client) -> None:
    for n, tty in enumerate((False, True)):
        life = await client.run(f"p{n}", ["cat", "/proc/self/cmdline"], arg0="renamed", tty=tty)
        assert life.stdout + life.pty == b"renamed\0/proc/self/cmdline\0"
        assert life.exit["exitCode"] == 0
    life = await client.run("null", ["cat", "/proc/self/cmdline"], arg0=None)
    assert life.stdout == b"cat\0/proc/self/cmdline\0"
    life = await client.run("empty", ["cat", "/proc/self/cmdline"], arg0="")
    assert life.stdout == b"\0/proc/self/cmdline\0"


async def test_cwd_is_a_uri_or_a_native_path_or_the_servers(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    odd = tmp_path / "blank % ü #?&+%41"
    plain.mkdir()
    odd.mkdir()
    spellings = {
        str(odd): odd,
        f"file://{quote(str(odd))}": odd,
        f"file://localhost{quote(str(odd))}": odd,
        f"file://{plain}": plain,
        f"file://{plain}/": plain,
        f"FILE://{plain}": plain,
        f"file:{plain}": plain,
        f"{plain}/../plain": plain,
        "/": Path("/"),
        "file:///": Path("/"),
    }
    async with launch(cwd=str(plain)) as client:
        for n, (spelling, place) in enumerate(spellings.items()):
            life = await client.run(f"p{n}", ["/bin/pwd", "-P"], cwd=spelling)
            assert life.stdout.decode() == f"{place}\n", spelling
            life = await client.run(f"t{n}", ["/bin/pwd", "-P"], cwd=spelling, tty=True)
            assert life.pty.decode() == f"{place}\r\n", spelling
        life = await client.run("default", ["/bin/pwd", "-P"])
        assert life.stdout.decode() == f"{plain}\n"
        life = await client.run("null", ["/bin/pwd", "-P"], cwd=None)
        assert life.stdout.decode() == f"{plain}\n"


async def test_a_given_environment_is_exact(client: Client) -> None:
    env = {"A": "1", "EMPTY": "", "ODD": "ü=x\ny", "lower": " "}
    for n, tty in enumerate((False, True)):
        life = await client.run(f"p{n}", ["/bin/cat", "/proc/self/environ"], env=env, tty=tty)
        raw = (life.stdout + life.pty).replace(b"\r\n", b"\n")
        assert sorted(raw.split(b"\0")) == sorted([f"{k}={v}".encode() for k, v in env.items()] + [b""])


async def test_an_empty_environment_is_empty(client: Client) -> None:
    for n, tty in enumerate((False, True)):
        life = await client.run(f"p{n}", ["/bin/cat", "/proc/self/environ"], env={}, tty=tty)
        assert (life.stdout, life.pty, life.exit["exitCode"]) == (b"", b"", 0)


async def test_without_env_the_child_has_the_servers_own_environment() -> None:
    env = environment(MARK="inherited", SECRET_TOKEN="kept too", TERM="xterm")
    async with launch(env=env) as client:
        for n, options in enumerate([{}, {"env": None, "envPolicy": None}]):
            life = await client.run(f"p{n}", ["/bin/cat", "/proc/self/environ"], **options)
            seen = dict(entry.split("=", 1) for entry in life.stdout.decode().split("\0") if entry)
            assert seen == env


async def test_term_is_not_invented() -> None:
    env = environment()
    env.pop("TERM", None)
    async with launch(env=env) as client:
        for n, tty in enumerate((False, True)):
            life = await client.run(f"p{n}", ["/bin/cat", "/proc/self/environ"], tty=tty)
            assert b"TERM=" not in life.stdout + life.pty


async def test_metadata_is_kept_and_shown(client: Client) -> None:
    metadata = {"threadId": "t", "nested": {"list": [1, 2.5, None, True], "ü": ""}, "big": 2**60}
    await client.start("p", ["cat"], pipeStdin=True, metadata=metadata)
    await client.start("q", ["cat"], pipeStdin=True)
    shown = {one["processId"]: one["metadata"] for one in (await client.request("process/list"))["processes"]}
    assert shown["p"] == metadata
    assert shown["q"] in (None, {})
    for name in ("p", "q"):
        await client.terminate(name)
        await client.until_closed(name)


async def test_an_id_is_taken_while_it_runs_and_while_it_is_retained(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    error = await client.refused("process/start", processId="p", argv=["true"])
    assert (error.code, error.message) == (-32600, "process p already exists")
    await client.terminate("p")
    await client.until_closed("p")
    error = await client.refused("process/start", processId="p", argv=["true"])
    assert (error.code, error.message) == (-32600, "process p already exists")
    assert (await client.request("process/release", processId="p"))["released"] is True
    assert (await client.run("p", ["echo", "again"])).stdout == b"again\n"


async def test_of_two_pipelined_starts_with_one_id_the_first_wins(client: Client) -> None:
    await client.send(
        *(
            {"id": f"s{n}", "method": "process/start", "params": {"processId": "p", "argv": ["echo", f"{n}"]}}
            for n in range(5)
        )
    )
    assert "result" in await client.answer("s0")
    for n in range(1, 5):
        assert (await client.answer(f"s{n}"))["error"]["code"] == -32600
    assert (await client.until_closed("p")).stdout == b"0\n"


async def test_ids_may_be_any_string(client: Client) -> None:
    for name in ("", " ", "a/b", "..", "\u0000", "x" * 4000, "日本"):
        assert (await client.run(name, ["printf", "ok"])).stdout == b"ok"


async def test_the_child_ignores_no_signal_of_the_server(client: Client) -> None:
    """SIGINT at its default ends a child; an ignored SIGINT would be inherited."""
    await client.sh("p", "echo ready; exec sleep 1000")
    await client.until_output("p", b"ready\n")
    await client.request("process/signal", processId="p", signal="interrupt")
    assert (await client.until_closed("p")).exit["signal"] == signal.Signals.SIGINT.name


async def test_core_limits_nice_and_umask_are_the_servers(client: Client) -> None:
    life = await client.run("p", ["sh", "-c", "umask; ulimit -n; nice"])
    expected = await client.run("q", ["sh", "-c", f"cat /proc/{client.pid}/limits"])
    soft = next(line.split()[3] for line in expected.stdout.decode().splitlines() if line.startswith("Max open files"))
    assert life.stdout.decode().split()[1:] == [soft, str(os.nice(0))]
    assert int(life.stdout.split()[0], 8) == int(kernel.status(client.pid)["Umask"], 8)
