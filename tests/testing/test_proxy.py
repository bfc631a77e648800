"""The proxy as a program, before servers that are only a few lines of Python."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from execserver.testing import PROFILES

SECONDS = 20
ROOT = Path(__file__).parents[2]

SAY_LINES = """
import json
for n in range(200):
    print(json.dumps({"jsonrpc": "2.0", "method": "process/output", "params": {"processId": "p", "seq": n}}))
"""
ECHO = """
import sys
for line in sys.stdin:
    print(line, end="", flush=True)
"""


def proxy(*arguments: str, server: str) -> list[str]:
    return [sys.executable, "-m", "execserver.testing", *arguments, "--", sys.executable, "-c", server]


def run(command: list[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, env=env, check=False)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    outputs = [run(proxy("--seed", seed, "--profile", "strangers", server=SAY_LINES)).stdout for seed in "778"]
    assert outputs[0] == outputs[1] != outputs[2]


def test_the_servers_exit_code_is_the_proxys() -> None:
    assert run(proxy(server="raise SystemExit(7)")).returncode == 7


def test_what_the_client_sends_reaches_the_server_whole_and_its_end_too() -> None:
    lines = (
        b'{"id":1,"method":"result"}\n\n{"id":2,"method":"x","params":{"result":1,"error":2}}\nnot JSON\nno line end'
    )
    assert run(proxy("--profile", "clean", server=ECHO), lines).stdout == lines + b"\n"


def test_answers_to_requests_that_the_server_never_made_do_not_reach_it() -> None:
    lines = (
        b'{"id":1,"result":{}}\n{"id":2,"method":"ping"}\n{"id":"server-3","error":{"code":-32601,"message":"no"}}\n'
    )
    done = run(proxy("--profile", "clean", "--verbose", server=ECHO), lines)
    assert done.stdout == b'{"id":2,"method":"ping"}\n'
    assert b"answers to requests 2" in done.stderr


def test_silence_lets_go_of_what_is_held() -> None:
    line = json.dumps({"jsonrpc": "2.0", "method": "process/output", "params": {"seq": 1}}).encode() + b"\n"
    command = proxy("--set", "delay=1", "--set", "merge=1", "--profile", "clean", server=ECHO)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(line)
        child.stdin.flush()
        assert child.stdout.readline() == line  # while both ends are open
        child.stdin.close()


def test_a_cut_ends_the_server_as_well() -> None:
    forever = 'import time\nwhile True: print(\'{"method":"x"}\', flush=True); time.sleep(0.001)'
    done = run(proxy("--set", "cut=1", "--set", "cut_within=500", "--profile", "clean", "--verbose", server=forever))
    assert len(done.stdout) < 500
    assert done.returncode == -signal.SIGTERM % 256
    assert b"cut the connection" in done.stderr


def test_a_client_that_closes_its_end_ends_the_server_as_well() -> None:
    forever = 'import time\nwhile True: print(\'{"method":"x"}\', flush=True); time.sleep(0.001)'
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = proxy("--profile", "clean", server=forever)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.wait(SECONDS) != 0


def test_sigterm_ends_the_server_as_well(tmp_path: Path) -> None:
    server = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = proxy("--profile", "clean", server=server)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        child.terminate()
        child.wait(SECONDS)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_setting_that_is_none_is_refused() -> None:
    for setting in ("nonsense=1", "drop=often", "drop"):
        done = run(proxy("--set", setting, server=ECHO))
        assert done.returncode == 2
        assert b"--set" in done.stderr


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_can_be_named(name: str) -> None:
    done = run(proxy("--profile", name, server="pass"))
    assert done.returncode == (0 if name != "cut" else done.returncode)
    assert b"Traceback" not in done.stderr
