"""`python -m benchmarks.clients`: one child's output through the server and each client, interleaved, in one run.

"alone" is the server with a reader that only counts bytes. A client that is no slower than that costs its program
nothing but its own CPU, which is shown beside it, for a second of which so much output is decoded.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import trio

import execserver.client.asyncio
import execserver.client.sync
import execserver.client.trio
from execserver.client.events import Output

COMMAND = [sys.executable, "-m", "execserver"]


def _flood(size: int) -> list[str]:
    return ["head", "-c", str(size), "/dev/zero"]


def alone(size: int) -> None:
    """Read the bytes, and know only the last line."""
    requests = [
        {"id": 1, "method": "initialize", "params": {"clientName": "benchmark"}},
        {"method": "initialized", "params": {}},
        {"id": 2, "method": "process/start", "params": {"processId": "p", "argv": _flood(size)}},
    ]
    server = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    with server:
        server.stdin.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        server.stdin.flush()
        end = b""
        while b"process/closed" not in end:
            end = end[-500:] + os.read(server.stdout.fileno(), 1 << 18)[-500:]
        server.stdin.close()


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


def by_threads(size: int) -> None:
    with execserver.client.sync.connect() as server:
        process = server.start(_flood(size))
        assert sum(len(event.data) for event in process.events() if isinstance(event, Output)) == size


READERS: dict[str, Callable[[int], None]] = {
    "alone": alone,
    "trio": by_trio,
    "asyncio": by_asyncio,
    "sync": by_threads,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients", description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024, help="of output, each time (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (default: %(default)s)")
    options = parser.parse_args()
    size = options.mebibytes << 20
    rates: dict[str, list[float]] = {name: [] for name in READERS}
    costs: dict[str, list[float]] = {name: [] for name in READERS}
    for _ in range(options.repeat):
        for name, read in READERS.items():
            began, cpu = time.perf_counter(), time.process_time()
            read(size)
            rates[name].append(size / 1e6 / (time.perf_counter() - began))
            costs[name].append(size / 1e6 / (time.process_time() - cpu))
    ground = statistics.median(rates["alone"])
    print(f"{'reader':<10}{'MB/s':>8}{'of alone':>10}{'MB a CPU second':>18}")
    for name in READERS:
        rate = statistics.median(rates[name])
        print(f"{name:<10}{rate:>8.0f}{rate / ground:>10.2f}{statistics.median(costs[name]):>18.0f}")


if __name__ == "__main__":
    main()
