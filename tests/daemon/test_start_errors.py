"""process/start that fails: each cause has its code and its kind, and releases the id: protocol, section 2."""

import errno
import os
from pathlib import Path

import pytest

from tests.daemon.life import RpcError
from tests.daemon.wire_client import Client


async def refused(client: Client, tty: bool, **params: object) -> RpcError:
    """Have a start refused, show that the id is free, and forget the life of the one that used it."""
    error = await client.refused("process/start", **{"processId": "p", "argv": ["true"], "tty": tty, **params})
    assert (await client.run("p", ["true"])).exit["exitCode"] == 0
    assert (await client.request("process/release", processId="p"))["released"] is True
    return error


modes = pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])


@modes
async def test_a_program_that_is_nowhere_is_program_not_found(client: Client, tty: bool, tmp_path: Path) -> None:
    for argv in (
        ["no-such-program-anywhere"],
        [""],
        ["/no/such/program"],
        ["./nothing-here"],
        [f"{tmp_path}/none", "x"],
    ):
        error = await refused(client, tty, argv=argv, cwd=str(tmp_path))
        assert (error.code, error.kind, error.data.get("errno")) == (-32603, "programNotFound", errno.ENOENT), argv


@modes
async def test_a_program_is_not_found_with_an_empty_path(client: Client, tty: bool, tmp_path: Path) -> None:
    error = await refused(client, tty, argv=["true"], env={"PATH": str(tmp_path)})
    assert (error.code, error.kind) == (-32603, "programNotFound")


@modes
async def test_a_missing_directory_is_cwd_not_found_and_not_program_not_found(client: Client, tty: bool) -> None:
    for cwd in ("/no/such/dir", "file:///no/such/dir"):
        error = await refused(client, tty, cwd=cwd)
        assert (error.code, error.kind, error.data.get("errno")) == (-32603, "cwdNotFound", errno.ENOENT), cwd


@modes
async def test_a_file_as_directory_is_not_a_directory(client: Client, tty: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = await refused(client, tty, cwd=str(tmp_path / "file"))
    assert (error.code, error.kind, error.data.get("errno")) == (-32603, "notADirectory", errno.ENOTDIR)


@modes
async def test_a_file_that_may_not_be_executed_is_permission_denied(client: Client, tty: bool, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    plain.chmod(0o644)
    for program in (plain, tmp_path):
        error = await refused(client, tty, argv=[str(program)])
        assert (error.code, error.kind, error.data.get("errno")) == (-32603, "permissionDenied", errno.EACCES)


@modes
async def test_a_file_that_is_no_program_is_exec_format(client: Client, tty: bool, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_bytes(b"\x00\x01\x02 no program")
    nonsense.chmod(0o755)
    error = await refused(client, tty, argv=[str(nonsense)])
    assert (error.code, error.kind, error.data.get("errno")) == (-32603, "execFormat", errno.ENOEXEC)


@modes
async def test_arguments_beyond_the_kernels_limit_are_too_long(client: Client, tty: bool) -> None:
    for argv in (["true", "x" * 200_000], ["true", *["y" * 100_000] * 100]):
        error = await refused(client, tty, argv=argv)
        assert (error.code, error.kind, error.data.get("errno")) == (-32603, "argumentListTooLong", errno.E2BIG)


@modes
async def test_a_nul_anywhere_is_an_invalid_argument(client: Client, tty: bool) -> None:
    for params in (
        {"argv": ["tr\0ue"]},
        {"argv": ["true", "a\0b"]},
        {"arg0": "a\0b"},
        {"cwd": "/tmp\0x"},
        {"cwd": "file:///tmp%00x"},
        {"env": {"A": "b\0c"}},
        {"env": {"A\0": "b"}},
    ):
        error = await refused(client, tty, **params)
        assert error.code in (-32602, -32603), params
        assert error.kind in ("invalidArgument", "invalidParams"), (params, error.kind)


@modes
async def test_a_name_of_a_variable_that_no_environment_can_hold_is_refused(client: Client, tty: bool) -> None:
    for env in ({"": "x"}, {"A=B": "x"}):
        error = await refused(client, tty, env=env)
        assert error.code in (-32602, -32603), env


async def test_a_lone_surrogate_is_an_error_and_not_the_end(client: Client) -> None:
    for n, params in enumerate(
        (
            '"argv":["true","\\ud800"]',
            '"argv":["\\udfff"]',
            '"argv":["true"],"env":{"A":"\\ud800"}',
            '"argv":["true"],"cwd":"/\\ud800"',
        )
    ):
        line = f'{{"id":"s{n}","method":"process/start","params":{{"processId":"p",{params}}}}}\n'
        await client.send_bytes(line.encode())
        # whichever layer refuses it: nothing crashes, nothing starts, and the connection lives
        await client.ping()
        assert client.life("p").events == []


async def test_empty_argv_is_refused_in_words(client: Client) -> None:
    error = await client.refused("process/start", processId="p", argv=[])
    assert error.code == -32602
    assert "argv must not be empty" in error.message


async def test_a_cwd_that_names_no_local_directory_is_bad_params(client: Client) -> None:
    spellings: list[object] = [
        "",
        "relative",
        "./x",
        "~",
        "file://elsewhere/tmp",
        "file://127.0.0.1/tmp",
        "file:tmp",
        "file://",
        "http:///tmp",
        "http://localhost/tmp",
        "ssh://localhost/tmp",
        "C:\\windows",
        5,
        [],
    ]
    for cwd in spellings:
        error = await client.refused("process/start", processId="p", argv=["true"], cwd=cwd)
        assert error.code == -32602, (cwd, error.code, error.message)
        assert "cwd" in error.message, (cwd, error.message)


@modes
async def test_a_size_outside_its_bounds_is_bad_params(client: Client, tty: bool) -> None:
    sizes: list[object] = [
        {"rows": 0, "cols": 80},
        {"rows": 24, "cols": 0},
        {"rows": 65536, "cols": 80},
        {"rows": -1, "cols": 80},
        {"rows": 24.5, "cols": 80},
        {"rows": "24", "cols": 80},
        {"rows": 24},
        [],
        "24x80",
    ]
    for size in sizes:
        error = await refused(client, tty, size=size)
        assert error.code == -32602, size


async def test_times_that_are_none_are_bad_params(client: Client) -> None:
    values: list[object] = [-1, 1.5, "100", True, []]
    for name in ("timeoutMs", "idleTimeoutMs", "drainMs"):
        for value in values:
            error = await client.refused("process/start", processId="p", argv=["true"], **{name: value})
            assert error.code == -32602, (name, value)


async def test_a_failed_start_leaves_nothing_in_the_list_and_pushes_nothing(client: Client) -> None:
    await client.refused("process/start", processId="p", argv=["/no/such/program"])
    assert (await client.request("process/list"))["processes"] == []
    assert (await client.refused("process/read", processId="p")).message == "unknown process id p"
    await client.ping()
    assert "p" not in client.lives


async def test_many_failed_starts_leave_no_descriptor(client: Client) -> None:
    for n in range(100):
        await client.refused("process/start", processId="p", argv=["/no/such/program"], pipeStdin=True, tty=n % 2 == 1)
        await client.refused("process/start", processId="p", argv=["true"], cwd="/no/such/dir", tty=n % 2 == 1)
    # the fixture compares descriptors at the end; an early look names the culprit
    assert len(os.listdir(f"/proc/{client.pid}/fd")) < 40
    await client.run("p", ["true"])
