"""The client of docs/howto/write-another-client.md keeps what its page demands, for more seeds than the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 30
PAGE = (ROOT / "docs/howto/write-another-client.md").read_text()


def run_tiny(seed: int, profile: str) -> "subprocess.CompletedProcess[bytes]":
    found = re.search(r"^```python\n# tiny\.py\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    proxy = [sys.executable, "-m", "execserver.testing", "--seed", str(seed), "--profile", profile, "--"]
    command = [sys.executable, "-c", found[1], *proxy, sys.executable, "-m", "execserver"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, timeout=SECONDS, env=env, check=False)


@pytest.mark.parametrize("seed", range(10, 18))
@pytest.mark.parametrize("profile", ["hostile"])
def test_the_example_survives_a_hostile_wire(seed: int, profile: str) -> None:
    assert run_tiny(seed, profile).stdout == b"(3, b'one\\ntwo\\n')\n"


@pytest.mark.parametrize("profile", ["silent", "strangers"])
def test_the_example_survives_each_mischief(profile: str) -> None:
    assert run_tiny(9, profile).stdout == b"(3, b'one\\ntwo\\n')\n"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("profile", ["cut", "garbage"])
def test_the_example_ends_with_an_error_or_with_all_of_it(seed: int, profile: str) -> None:
    done = run_tiny(seed, profile)
    if done.returncode == 0:
        assert done.stdout == b"(3, b'one\\ntwo\\n')\n"
    else:
        assert b"Error" in done.stderr
        assert done.stdout == b""
