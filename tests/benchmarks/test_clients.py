"""What `make bench-clients` prints is the table of the page."""

from benchmarks.clients import ALONE, CLIENTS, table
from benchmarks.driver import ROOT


def test_each_client_is_called_by_its_module_and_set_beside_the_server_alone() -> None:
    rates = {ALONE: [900.0, 1167.0, 1300.0], "sync": [1241.0]}
    capacities = {ALONE: [1988.0], "sync": [1000.0, 1569.0, 1569.0]}
    assert table(rates, capacities).splitlines()[2:] == [
        "| the server alone | 1,167 | 1.00 | 1,988 | 1.00 |",
        "| sync | 1,241 | 1.06 | 1,569 | 0.79 |",
    ]
    assert all((ROOT / "execserver" / "client" / f"{name}.py").exists() for name in CLIENTS)
