"""Each adapter and the real daemon, with the proxy between them. A seed is a connection with several processes.

What a wire can do to a client is tried by the thousand in `test_conversations`; here a few seeds show that the adapters
move bytes, wait and end as the model of an adapter there does.
"""

import pytest

from tests.client.runtimes import RUNTIMES, Runtime

from .use import Use

every_adapter = pytest.mark.parametrize(
    "runtime", [runtime for runtime in RUNTIMES if runtime.remote], ids=lambda runtime: runtime.name
)


@every_adapter
@pytest.mark.parametrize("seed", range(6))
def test_a_hostile_wire_is_survived_without_a_word(runtime: Runtime, seed: int) -> None:
    runtime.run(Use(seed, "hostile"))


@every_adapter
@pytest.mark.parametrize("profile", ["silent", "strangers", "reorder"])
def test_each_kind_of_mischief_is_survived_without_a_word(runtime: Runtime, profile: str) -> None:
    runtime.run(Use(100, profile))


@every_adapter
@pytest.mark.parametrize("profile", ["cut", "garbage"])
@pytest.mark.parametrize("seed", range(4))
def test_the_end_of_a_wire_is_the_end_for_everybody_and_nothing_hangs(
    runtime: Runtime, seed: int, profile: str
) -> None:
    runtime.run(Use(seed, profile))
