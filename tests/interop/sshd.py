"""A real sshd on loopback, with keys and configuration of its own: nothing of the user's is read or changed.

As root it logs root in, else whoever runs the tests. It needs no privileges, no password database, and no PAM.
"""

import getpass
import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

READY_SECONDS = 20  # sshd listens within 50 ms; this is for a machine with much else to do
HOST = "host"  # what the client configuration calls it, and our documentation


@dataclass(frozen=True)
class Sshd:
    """A running daemon, and how to reach it."""

    process: subprocess.Popen[bytes]
    client_configuration: Path

    def ssh(self, *command: str, options: Sequence[str] = ()) -> list[str]:
        """The argv that runs a command there."""
        return ["ssh", *options, "-F", str(self.client_configuration), "-T", HOST, *command]

    def sessions(self) -> list[int]:
        """The pids of the processes that serve the connections, one each."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def find_sshd() -> str:
    """Its absolute path, which it insists on; skips (in CI: fails) where it is not installed."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None or shutil.which("ssh") is None:
        _missing("sshd is not installed (Debian: openssh-server)")
    return found


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def sshd(place: Path, environment: Mapping[str, str]) -> Iterator[Sshd]:
    """Run one, whose sessions have that environment; it and its sessions end with the block."""
    program = find_sshd()
    place.mkdir()
    for key in ("host_key", "key"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(place / key)]
        subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its empty directory for the privilege separation
    port = _free_port()
    (place / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {place}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {place}/key.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin yes\nPrintMotd no\nMaxStartups 100\n"
        "SetEnv " + " ".join(f'"{name}={value}"' for name, value in environment.items()) + "\n"
    )
    configuration = place / "ssh_config"
    configuration.write_text(
        f"Host {HOST}\nHostName 127.0.0.1\nPort {port}\nUser {getpass.getuser()}\nIdentityFile {place}/key\n"
        f"IdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {place}/known_hosts\nBatchMode yes\n"
        "StrictHostKeyChecking accept-new\nLogLevel ERROR\nConnectTimeout 10\n"
    )
    command = [program, "-D", "-e", "-f", str(place / "sshd_config")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _wait_until_it_listens(process)
            yield Sshd(process, configuration)
        finally:
            process.terminate()
            assert process.stderr is not None
            process.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_it_listens(process: subprocess.Popen[bytes]) -> None:
    assert process.stderr is not None
    deadline = time.monotonic() + READY_SECONDS
    said = b""
    while b"Server listening" not in said:
        ready, _, _ = select.select([process.stderr], [], [], max(0, deadline - time.monotonic()))
        piece = os.read(process.stderr.fileno(), 4096) if ready else b""
        assert piece, f"sshd did not begin to listen: {said.decode(errors='replace')}"
        said += piece
