"""`python -m benchmarks.clients`: one child's output through the server and each client, interleaved, in one run.

"The server alone" has a reader that only looks for the end. How fast the output comes depends on how many cores
the child, the server and the client have to share. What a client can take by itself is what it decodes in a second of
its own CPU; beside it stands the same of the server: the slower of the two decides where each has a core for itself.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import trio

import execserver.client.asyncio
import execserver.client.sync
import execserver.client.trio
from benchmarks.driver import awake_cores
from benchmarks.machine import describe, machine
from benchmarks.page import HALTING, PAGE, inserted
from execserver.client.events import Output
from execserver.wire.base64 import HAS_FAST

MEBIBYTES, REPEAT = 1024, 3
COMMAND = [sys.executable, "-m", "execserver"]


def _flood(size: int) -> list[str]:
    return ["head", "-c", str(size), "/dev/zero"]


def alone(size: int) -> float:
    """Read the bytes, and know only the last line. Return the seconds of CPU that the server took for them."""
    server = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with server:
        _send(server, {"id": 1, "method": "initialize", "params": {"clientName": "benchmark"}})
        _send(server, {"method": "initialized", "params": {}})
        _see_closed(server, ["true"])  # what is done once is done before
        before = _cpu_seconds(server.pid)
        _see_closed(server, _flood(size))
        cpu = _cpu_seconds(server.pid) - before
        assert server.stdin is not None
        server.stdin.close()
    return cpu


def _send(server: "subprocess.Popen[bytes]", message: object) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps(message).encode() + b"\n")
    server.stdin.flush()


def _see_closed(server: "subprocess.Popen[bytes]", argv: list[str]) -> None:
    params = {"processId": argv[0], "argv": argv}
    _send(server, {"id": argv[0], "method": "process/start", "params": params})
    assert server.stdout is not None
    end = b""
    while b"process/closed" not in end:
        end = end[-500:] + os.read(server.stdout.fileno(), 1 << 18)[-500:]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def by_trio(size: int) -> None:
    async def main() -> None:
        async with execserver.client.trio.connect() as server:
            process = await server.start(_flood(size))
            assert sum([len(event.data) async for event in process.events() if isinstance(event, Output)]) == size

    trio.run(main)


def by_asyncio(size: int) -> None:
    async def main() -> None:
        async with execserver.client.asyncio.connect() as server:
            process = await server.start(_flood(size))
            assert sum([len(event.data) async for event in process.events() if isinstance(event, Output)]) == size

    asyncio.run(main())


def by_sync(size: int) -> None:
    with execserver.client.sync.connect() as server:
        process = server.start(_flood(size))
        assert sum(len(event.data) for event in process.events() if isinstance(event, Output)) == size


ALONE = "the server alone"
CLIENTS: dict[str, Callable[[int], None]] = {
    "trio": by_trio,
    "asyncio": by_asyncio,
    "sync": by_sync,
}


def table(rates: Mapping[str, Sequence[float]], capacities: Mapping[str, Sequence[float]]) -> str:
    """The table of the documentation: of each, the median of its rounds, and beside it that of the server alone."""
    lines = ["| | MB/s | of alone | MB for a second of its CPU | of the server's |", "|---|---|---|---|---|"]
    for name in rates:
        rate, capacity = statistics.median(rates[name]), statistics.median(capacities[name])
        of_alone = rate / statistics.median(rates[ALONE])
        of_server = capacity / statistics.median(capacities[ALONE])
        lines.append(f"| {name} | {rate:,.0f} | {of_alone:.2f} | {capacity:,.0f} | {of_server:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients", description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=MEBIBYTES, help="of output, each time (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=REPEAT, help="rounds (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help=f"write the table into {PAGE.name}")
    options = parser.parse_args()
    if options.save and (options.mebibytes, options.repeat) != (MEBIBYTES, REPEAT):
        parser.error("--save writes a run of the usual size: not with --mebibytes or --repeat")
    size = options.mebibytes << 20
    rates: dict[str, list[float]] = {name: [] for name in (ALONE, *CLIENTS)}
    capacities: dict[str, list[float]] = {name: [] for name in (ALONE, *CLIENTS)}
    with awake_cores() as awake:
        for _ in range(options.repeat):
            began = time.perf_counter()
            cpu = alone(size)
            rates[ALONE].append(size / 1e6 / (time.perf_counter() - began))
            capacities[ALONE].append(size / 1e6 / cpu)
            for name, read in CLIENTS.items():
                began, cpu = time.perf_counter(), time.process_time()
                read(size)
                rates[name].append(size / 1e6 / (time.perf_counter() - began))
                capacities[name].append(size / 1e6 / (time.process_time() - cpu))
    encoder = f"{'with' if HAS_FAST else 'without'} pybase64"
    line = describe("make bench-clients", machine(awake=awake))
    text = f"{line.removesuffix('.')}, {encoder}.\n\n{table(rates, capacities)}"
    print(text)
    if options.save and awake:
        PAGE.write_text(inserted(PAGE, f"clients {encoder}", text))
    elif options.save:
        print(f"{HALTING}: the documentation stays", file=sys.stderr)


if __name__ == "__main__":
    main()
