"""What is imported before `initialize` is answered: an agent waits for it each time it launches a daemon.

Measured with ``-X importtime``, which names every module that is loaded, in the order of their ends.
"""

import subprocess
import sys

# Beside what `import trio, msgspec` loads by itself. Whoever adds a line adds to every start: is it needed by then?
OURS = {
    "execserver",
    "execserver.__main__",
    "execserver.cli",
    "execserver.lines",
    "execserver.server",
    "execserver.server.bulk",
    "execserver.server.child",
    "execserver.server.confinement",
    "execserver.server.daemon",
    "execserver.server.descendants",
    "execserver.server.eager",
    "execserver.server.ending",
    "execserver.server.environment",
    "execserver.server.family",
    "execserver.server.guardian",
    "execserver.server.idleness",
    "execserver.server.kernel",
    "execserver.server.ledger",
    "execserver.server.limits",
    "execserver.server.log",
    "execserver.server.method",
    "execserver.server.openssl",
    "execserver.server.outbox",
    "execserver.server.paths",
    "execserver.server.pipes",
    "execserver.server.posix_child",
    "execserver.server.posix_spawn",
    "execserver.server.process",
    "execserver.server.processes",
    "execserver.server.push",
    "execserver.server.record",
    "execserver.server.retention",
    "execserver.server.rpc",
    "execserver.server.scheduling",
    "execserver.server.serve",
    "execserver.server.session",
    "execserver.server.spawn",
    "execserver.server.stderr",
    "execserver.server.stdin",
    "execserver.server.stdio",
    "execserver.wire",
    "execserver.wire.base",
    "execserver.wire.base64",
    "execserver.wire.envelope",
    "execserver.wire.errors",
    "execserver.wire.names",
    "execserver.wire.process",
    "execserver.wire.session",
}
# What the lines above need. Some of it trio and msgspec load too, or `pathlib` for them: not each version of them does.
OTHERS = {
    "array",
    "fcntl",
    "importlib.util",
    "pwd",
    "resource",
    "termios",
    "urllib",
    "urllib.parse",
    "uuid",
}
# Where there is such a thing: the extra `fast`, libuuid when Python was built, the insides of some releases of Python.
OPTIONAL = {
    "_uuid",
    "importlib._abc",
    "ipaddress",
    "pybase64",
    "pybase64._license",
    "pybase64._pybase64",
    "pybase64._version",
}

ANSWERED = "-- initialize is answered --"
# What a user starts. What follows the answer (the import of the dispatcher) is marked off by the hook that begins it.
DAEMON = f"""
import sys
from execserver.server.rpc import Rpc
prepare = Rpc.prepare
def mark_and_prepare(self):
    print({ANSWERED!r}, file=sys.stderr, flush=True)
    prepare(self)
Rpc.prepare = mark_and_prepare
from execserver.__main__ import main
sys.exit(main([]))
"""
INITIALIZE = b'{"id":1,"method":"initialize","params":{"clientName":"test"}}\n'


def modules_loaded(code: str, stdin: bytes = b"") -> tuple[set[str], bytes]:
    """What a program imports up to the mark, if it prints one, and its stdout."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], input=stdin, capture_output=True, timeout=60, check=True
    )
    before = done.stderr.decode().partition(ANSWERED)[0]
    lines = [line.rpartition("|")[2].strip() for line in before.splitlines() if line.startswith("import time:")]
    return set(lines[1:]), done.stdout


def test_nothing_but_what_is_listed_is_imported_before_initialize_is_answered() -> None:
    unavoidable, _ = modules_loaded("import trio, msgspec")
    loaded, stdout = modules_loaded(DAEMON, INITIALIZE)
    assert b'"sessionId"' in stdout
    assert sorted(loaded - unavoidable - OURS - OTHERS - OPTIONAL) == []
    assert sorted((OURS | OTHERS) - loaded) == [], "listed, and not imported any more"


def test_importing_the_package_imports_nothing_else() -> None:
    bare, _ = modules_loaded("")
    loaded, _ = modules_loaded("import execserver")
    assert loaded - bare == {"execserver"}
