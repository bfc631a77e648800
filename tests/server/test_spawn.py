"""Real children as they are born: what they are given, and why some are not born at all."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from execserver.server.pipes import OutputPipes
from execserver.server.posix_child import PosixChild
from execserver.server.spawn import Command, spawn
from execserver.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, Fault
from tests.kernel import descriptors, nothing_left
from tests.support.real_child import ToldGuardian, ToldKin, command, ended, read_all, shell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")

ABOUT_ITSELF = """
import json, os
def is_open(fd):
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
try:
    terminal = os.ttyname(0), os.get_terminal_size(0), os.tcgetpgrp(0)
except OSError:
    terminal = None
blocked = [line.split()[1] for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))]
print(json.dumps({
    "pid": os.getpid(), "pgid": os.getpgid(0), "sid": os.getsid(0), "cwd": os.getcwd(), "env": dict(os.environ),
    "open": sorted(fd for fd in map(int, os.listdir("/proc/self/fd")) if is_open(fd)), "blocked": blocked,
    "terminal": terminal, "argv0": open("/proc/self/cmdline").read().split("\\0")[0],
    "stdin": os.readlink("/proc/self/fd/0"), "one_pipe": os.fstat(1).st_ino == os.fstat(2).st_ino,
}))
"""


def leaks(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # the descriptor of the listing itself
        return False


# What pytest was given without CLOEXEC. The daemon sets it on all that it was given.
LEAKED = [fd for fd in descriptors(os.getpid()) if fd > 2 and leaks(fd)]


class Spawned:
    """``guardian`` tells what it was told, in the order of it."""

    def __init__(self) -> None:
        self.guardian = ToldGuardian()
        self.kin = ToldKin()
        self.pipes = OutputPipes()

    def spawn(self, command: Command) -> PosixChild:
        return spawn(command, self.pipes, self.guardian, self.kin)

    def fault(self, command: Command) -> Fault:
        with pytest.raises(Fault) as caught:
            self.spawn(command)
        assert self.kin.reaped == []
        return caught.value

    async def about_itself(self, **changed: Any) -> Any:
        """What a child of ours finds out about itself."""
        child = self.spawn(command(sys.executable, "-I", "-S", "-c", ABOUT_ITSELF, **changed))
        said = await read_all(child.sources[0])
        assert (await ended(child)).exit_code == 0, said
        it = json.loads(said) | {"expected_pid": child.pid}
        it["open"] = [fd for fd in it["open"] if fd not in LEAKED]
        return it


def _own_status(name: str) -> str:
    status = Path("/proc/self/status").read_text()
    return status.partition(f"{name}:")[2].split()[0]


@pytest.fixture
def spawned() -> Iterator[Spawned]:
    """What spawns; nothing is left of it at the end."""
    with nothing_left():
        yield Spawned()


async def test_a_child_leads_its_own_session_with_nothing_but_its_three_descriptors(spawned: Spawned) -> None:
    it = await spawned.about_itself()
    assert it["pid"] == it["pgid"] == it["sid"] == it["expected_pid"]
    assert it["open"] == [0, 1, 2]
    assert (it["stdin"], it["terminal"], it["one_pipe"]) == ("/dev/null", None, False)


async def test_every_signal_is_at_its_default_and_unblocked(spawned: Spawned) -> None:
    was = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        it = await spawned.about_itself()
    finally:
        signal.signal(signal.SIGUSR1, was)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    blocked, by_us = (int(mask, 16) for mask in it["blocked"])
    python = sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))  # ignored by the interpreter itself
    launchers = (
        int(_own_status("SigIgn"), 16) & 0b11 << 31
    )  # glibc's own two, see `server.kernel`: the daemon resets them
    assert (blocked, by_us & ~python & ~launchers) == (0, 0)


async def test_its_environment_is_exact_and_its_directory_the_one_asked_for(spawned: Spawned, tmp_path: Path) -> None:
    here = os.getcwd()
    it = await spawned.about_itself(env={"ONLY": "\u00e9"}, cwd=str(tmp_path))
    assert {name: value for name, value in it["env"].items() if name != "LC_CTYPE"} == {"ONLY": "\u00e9"}
    assert it["cwd"] == str(tmp_path.resolve())
    assert os.getcwd() == here


@pytest.mark.parametrize("size", [None, (5, 6)])
async def test_argv0_is_what_it_sees_and_not_what_is_run(spawned: Spawned, size: Any) -> None:
    assert (await spawned.about_itself(arg0="other", size=size))["argv0"] == "other"


async def test_a_terminal_is_its_controlling_one_on_all_three_descriptors(spawned: Spawned) -> None:
    it = await spawned.about_itself(size=(31, 97))
    name, size, foreground = it["terminal"]
    assert name.startswith("/dev/pts/")
    assert (size, foreground) == ([97, 31], it["pid"])
    assert (it["stdin"], it["one_pipe"], it["open"]) == (name, True, [0, 1, 2])
    assert it["pid"] == it["sid"] == it["expected_pid"]


@pytest.mark.parametrize("merge_stderr", [False, True])
async def test_a_child_on_pipes_that_were_made_ahead_is_like_any_other(spawned: Spawned, merge_stderr: bool) -> None:
    try:
        for _ in range(3):
            it = await spawned.about_itself(merge_stderr=merge_stderr)
            assert (it["open"], it["one_pipe"]) == ([0, 1, 2], merge_stderr)
            spawned.pipes.make_ahead()
    finally:
        spawned.pipes.close()


async def test_merged_streams_are_one_pipe_and_keep_their_order(spawned: Spawned) -> None:
    child = spawned.spawn(shell("for i in 1 2 3; do echo o$i; echo e$i >&2; done", merge_stderr=True))
    assert [source.stream for source in child.sources] == ["stdout"]
    assert await read_all(child.sources[0]) == b"o1\ne1\no2\ne2\no3\ne3\n"
    await ended(child)


@pytest.mark.parametrize(
    ("given", "code", "kind", "number"),
    [
        ({"argv": ["/does/not/exist"]}, INTERNAL_ERROR, "programNotFound", errno.ENOENT),
        ({"argv": ["no-such-program-anywhere"]}, INTERNAL_ERROR, "programNotFound", errno.ENOENT),
        ({"argv": ["/"]}, INTERNAL_ERROR, "permissionDenied", errno.EACCES),
        ({"argv": ["/etc/passwd"]}, INTERNAL_ERROR, "permissionDenied", errno.EACCES),
        ({"argv": ["/etc/passwd/x"]}, INTERNAL_ERROR, "notADirectory", errno.ENOTDIR),
        ({"argv": ["true", "x" * 3_000_000]}, INTERNAL_ERROR, "argumentListTooLong", errno.E2BIG),
        ({"cwd": "/does/not/exist"}, INTERNAL_ERROR, "cwdNotFound", errno.ENOENT),
        ({"cwd": "/etc/passwd"}, INTERNAL_ERROR, "notADirectory", errno.ENOTDIR),
        ({"cwd": "/does/not/exist", "size": (1, 1)}, INTERNAL_ERROR, "cwdNotFound", errno.ENOENT),
        ({"cwd": "/etc/passwd", "argv": ["no such program"]}, INTERNAL_ERROR, "notADirectory", errno.ENOTDIR),
        ({"cwd": "/etc/passwd", "argv": ["/no/such/program"]}, INTERNAL_ERROR, "notADirectory", errno.ENOTDIR),
        ({"argv": ["/does/not/exist"], "size": (1, 1)}, INTERNAL_ERROR, "programNotFound", errno.ENOENT),
        ({"argv": ["true", "a\0b"]}, INVALID_PARAMS, "invalidArgument", None),
        ({"arg0": "a\0b"}, INVALID_PARAMS, "invalidArgument", None),
        ({"env": {"A": "\0"}}, INVALID_PARAMS, "invalidArgument", None),
        ({"argv": ["\ud800"]}, INVALID_PARAMS, "invalidArgument", None),
        ({"env": {"\ud800": ""}}, INVALID_PARAMS, "invalidArgument", None),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_what_cannot_be_born_says_why_and_leaves_nothing(
    spawned: Spawned, given: dict[str, Any], code: int, kind: str, number: int | None
) -> None:
    fault = spawned.fault(command("true", pipe_stdin=True)._replace(**given))
    assert (fault.code, fault.kind, fault.errno) == (code, kind, number)
    assert len(fault.message) < 400
    assert [what for what, _ in spawned.guardian.told] == (["intend", "failed"] if number else [])


async def test_what_is_not_a_program_says_so(spawned: Spawned, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no #! here")
    path.chmod(0o755)
    fault = spawned.fault(command(str(path)))
    assert (fault.kind, fault.errno) == ("execFormat", errno.ENOEXEC)


async def test_a_name_that_is_not_ascii_is_run(spawned: Spawned, tmp_path: Path) -> None:
    path = tmp_path / "\u00e9t\u00e9"
    path.symlink_to("/bin/true")
    assert (await ended(spawned.spawn(command(str(path))))).exit_code == 0


@pytest.mark.parametrize("tty", [False, True])
async def test_the_guardian_knows_of_a_child_before_it_exists_and_its_output_is_how(
    spawned: Spawned, tty: bool
) -> None:
    child = spawned.spawn(shell("readlink /proc/$$/fd/1; readlink /proc/$$/fd/2", size=(9, 9) if tty else None))
    (intended, links), begun = spawned.guardian.told
    assert (intended, begun) == ("intend", ("begin", links))
    out = (await read_all(child.sources[0])).split()
    said = out if tty else [*out, *(await read_all(child.sources[1])).split()]
    if not tty:
        assert len(links.split()) == 2
        assert links.split()[0].encode() == said[0]
        assert links.split()[1].encode() == said[1]
    else:
        assert set(said) == {links.encode()}
    await ended(child)


async def test_without_a_pidfd_the_child_is_ended_again(spawned: Spawned, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    fault = spawned.fault(command("sleep", "1000"))
    assert (fault.kind, fault.errno) == ("resourceExhausted", errno.EMFILE)
    assert [what for what, _ in spawned.guardian.told] == ["intend", "begin", "end"]


async def test_without_pidfds_at_all_nothing_is_tried(spawned: Spawned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    fault = spawned.fault(command("true"))
    assert (fault.code, fault.kind, spawned.guardian.told) == (INTERNAL_ERROR, "unsupportedPlatform", [])


async def test_without_a_c_library_that_changes_directories_nothing_is_tried(
    spawned: Spawned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execserver.server.spawn.is_available", lambda: False)
    fault = spawned.fault(command("true"))
    assert (fault.code, fault.kind, spawned.guardian.told) == (INTERNAL_ERROR, "unsupportedPlatform", [])


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("{0}/runs", None),
        ("{0}/none:{0}/runs", None),
        ("{0}/refused:{0}/runs", None),
        ("{0}/file/x:{0}/runs", None),
        ("none:runs", None),  # relative to the directory of the child
        ("refused:none", "permissionDenied"),
        ("{0}/none:{0}/refused", "permissionDenied"),
        ("{0}/refused:{0}/none", "permissionDenied"),
        ("{0}/directory", "permissionDenied"),
        ("{0}/none", "programNotFound"),
        ("", "programNotFound"),
    ],
)
@pytest.mark.parametrize("size", [None, (5, 6)])
async def test_a_name_is_looked_for_in_the_path_of_the_child(
    spawned: Spawned, tmp_path: Path, path: str, kind: str | None, size: Any
) -> None:
    for directory in ("runs", "refused", "directory/program"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "runs/program").symlink_to("/bin/true")
    (tmp_path / "refused/program").touch()
    it = command("program", cwd=str(tmp_path), env={"PATH": path.format(tmp_path)}, size=size)
    if kind is None:
        assert (await ended(spawned.spawn(it))).exit_code == 0
    else:
        assert spawned.fault(it).kind == kind


IN_A_PROGRAM_WITHOUT_STDIO = """
import os, trio
from execserver import local
said = os.dup(1)
async def main():
    for fd in 0, 1, 2:
        os.close(fd)
    async with local.connect() as server:
        for options in {}, {"tty": True}:
            os.write(said, (await server.run(["sh", "-c", "echo out; echo err >&2"], **options)).stdout)
trio.run(main)
"""


def test_a_program_that_has_closed_its_own_descriptors_spawns_like_any_other() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROGRAM_WITHOUT_STDIO], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"out\nout\r\nerr\r\n")


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EIO])
async def test_what_the_kernel_refuses_is_told_with_its_number(
    spawned: Spawned, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pipe2", refuse)
    fault = spawned.fault(command("true"))
    assert fault.kind == ("spawnFailed" if number == errno.EIO else "resourceExhausted")
    assert (fault.errno, spawned.guardian.told) == (number, [])
