"""Where the kernel lacks what the daemon rests on, that is said in one line, and everything can be imported.

Another kernel is simulated by taking away what it does not have, before anything of ours is imported.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ELSEWHERE = """
import os, select, signal, sys
import trio  # it chooses its own kernel's functions while it is imported
for module, names in (
    (os, ("pidfd_open", "pipe2", "O_TMPFILE", "O_PATH", "listxattr", "memfd_create", "waitid", "WNOWAIT", "P_ALL")),
    (select, ("epoll", "EPOLLIN", "POLLRDHUP")),
    (signal, ("pidfd_send_signal",)),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
"""


def run_elsewhere(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", ELSEWHERE + program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_kernel_without_pidfds_is_refused_in_one_line() -> None:
    done = run_elsewhere("from execserver.cli import main; sys.exit(main([]))")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "execserver: the daemon needs Linux 5.3 or newer (pidfd_open)\n"


@pytest.mark.parametrize("package", ["", "wire", "server", "client"])
def test_every_module_can_be_imported_elsewhere(package: str) -> None:
    files = (ROOT / "execserver" / package).glob("*.py")
    modules = sorted(".".join(filter(None, ("execserver", package, file.stem))) for file in files)
    modules.remove(".".join(filter(None, ("execserver", package, "__init__"))))
    done = run_elsewhere("import " + ", ".join(module for module in modules if not module.endswith("__main__")))
    assert done.stderr == ""
    assert done.returncode == 0
