"""The reference server behind the proxy: it sends no positions and heals nothing; our client does."""

from pathlib import Path

import pytest

from tests.client.runtimes import RUNTIMES, Runtime
from tests.testing.use import Use

pytestmark = pytest.mark.interop

every_adapter = pytest.mark.parametrize(
    "runtime", [runtime for runtime in RUNTIMES if runtime.remote], ids=lambda runtime: runtime.name
)


@every_adapter
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("profile", ["hostile", "silent", "reorder", "cut"])
def test_a_hostile_wire_before_the_reference_server(binary: Path, runtime: Runtime, seed: int, profile: str) -> None:
    runtime.run(Use(seed, profile, [str(binary), "exec-server", "--listen", "stdio"]))
