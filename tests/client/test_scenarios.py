"""One list of scenarios under trio, asyncio, threads and in process: see `scenarios` and `runtimes`."""

import pytest

from .runtimes import RUNTIMES, Runtime, Scenario
from .scenarios import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.name)
def test_scenario(runtime: Runtime, scenario: Scenario) -> None:
    runtime.run(scenario)
