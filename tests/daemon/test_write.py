"""process/write: what is accepted has been taken by the kernel, in order: protocol, section 4."""

import base64
import hashlib

from tests.daemon.wire_client import Client
from tests.kernel import settled, task

MIB = 2**20


async def start_stopped(client: Client, then: str) -> None:
    """Start a child that stops itself and reads when it is continued; return when it has stopped."""
    pid = (await client.sh("p", f"kill -STOP $$; {then}", pipeStdin=True))["pid"]
    await settled(lambda: (found := task(pid)) is not None and found.state == "T", "the child has stopped itself")


async def test_what_is_written_is_what_the_child_reads(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    assert await client.write("p", b"hello\n") == "accepted"
    await client.until_output("p", b"hello\n")
    assert await client.write("p", bytes(range(256)), closeStdin=True) == "accepted"
    assert (await client.until_closed("p")).stdout == b"hello\n" + bytes(range(256))


async def test_an_empty_chunk_is_accepted(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    assert await client.write("p", b"") == "accepted"
    assert await client.write("p", b"", closeStdin=True) == "accepted"
    assert (await client.until_closed("p")).stdout == b""


async def test_writes_reach_the_child_in_the_order_they_were_sent(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    parts = [bytes([65 + n % 26]) * (30_000 + n) for n in range(60)]
    requests = [
        await client.begin("process/write", processId="p", chunk=base64.b64encode(part).decode()) for part in parts
    ]
    requests.append(await client.begin("process/write", processId="p", chunk="", closeStdin=True))
    life = await client.until_closed("p")
    assert hashlib.sha256(life.stdout).digest() == hashlib.sha256(b"".join(parts)).digest()
    for request in requests:
        assert (await client.answer(request))["result"] == {"status": "accepted"}


async def test_accepted_means_that_the_kernel_took_all_of_it(client: Client) -> None:
    await client.child("p", "stops_itself.sh", pipeStdin=True)
    await client.until_output("p", b"ready\n")
    first = await client.begin("process/write", processId="p", chunk=base64.b64encode(b"x" * 3 * MIB).decode())
    second = await client.begin("process/write", processId="p", chunk=base64.b64encode(b"\n").decode())
    await client.ping()
    assert not client.answered(first), "a pipe does not hold 3 MiB"
    assert not client.answered(second), "nor does a write overtake another"
    await client.terminate("p", graceMs=0)
    await client.until_closed("p")
    assert [(await client.answer(one))["result"]["status"] for one in (first, second)] == ["stdinClosed"] * 2


async def test_large_writes_are_taken_while_the_child_reads(client: Client) -> None:
    await client.start("p", ["sha256sum"], pipeStdin=True)
    data = hashlib.sha256(b"seed").digest() * (MIB // 2)
    assert await client.write("p", data) == "accepted"
    assert await client.write("p", data, closeStdin=True) == "accepted"
    life = await client.until_closed("p")
    assert life.stdout.split()[0].decode() == hashlib.sha256(data * 2).hexdigest()


async def test_an_unknown_process_is_a_status_and_no_error(client: Client) -> None:
    assert await client.write("nobody", b"x") == "unknownProcess"
    assert await client.write("nobody", b"", closeStdin=True) == "unknownProcess"


async def test_without_a_pipe_stdin_is_closed(client: Client) -> None:
    await client.start("p", ["sleep", "1000"])
    assert await client.write("p", b"x") == "stdinClosed"
    await client.terminate("p")
    await client.until_closed("p")


async def test_after_the_exit_stdin_is_closed(client: Client) -> None:
    await client.start("p", ["true"], pipeStdin=True)
    await client.until_exited("p")
    assert await client.write("p", b"x") == "stdinClosed"
    await client.until_closed("p")
    assert await client.write("p", b"x") == "stdinClosed"
    await client.child("q", "leaves_holder.sh", pipeStdin=True)
    await client.until_exited("q")
    assert await client.write("q", b"x") == "stdinClosed", "whoever still holds the pipe"
    await client.terminate("q")
    await client.until_closed("q")


async def test_after_the_child_closed_its_stdin_it_is_closed(client: Client) -> None:
    await client.child("p", "closes_stdin.sh", pipeStdin=True)
    await client.until_output("p", b"ready\n")
    assert await client.write("p", b"x") == "stdinClosed"
    assert await client.write("p", b"x" * MIB) == "stdinClosed"
    await client.ping()
    assert not (await client.read("p"))["exited"], "a closed stdin is not an end"
    await client.terminate("p")
    await client.until_closed("p")


async def test_after_close_stdin_it_is_closed(client: Client) -> None:
    await client.sh("p", "cat; echo eof; exec sleep 1000", pipeStdin=True)
    assert await client.write("p", b"last", closeStdin=True) == "accepted"
    await client.until_output("p", b"lasteof\n")
    assert await client.write("p", b"x") == "stdinClosed"
    assert await client.write("p", b"", closeStdin=True) == "stdinClosed"
    await client.terminate("p")
    await client.until_closed("p")


async def test_close_stdin_waits_behind_everything_queued(client: Client) -> None:
    await start_stopped(client, "exec wc -c")
    chunk = base64.b64encode(b"y" * MIB).decode()
    queued = [await client.begin("process/write", processId="p", chunk=chunk) for _ in range(5)]
    queued.append(await client.begin("process/write", processId="p", chunk="eno=", closeStdin=True))
    await client.request("process/signal", processId="p", signal="CONT")
    life = await client.until_closed("p")
    for request in queued:
        assert (await client.answer(request))["result"] == {"status": "accepted"}
    assert life.stdout.strip() == str(5 * MIB + 2).encode()


async def test_bad_base64_is_bad_params_and_nothing_is_written(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    chunks: list[object] = ["a", "====", "aGk", "a-_b", "aG k=", "aGk=\n", "ü", 5, None, ["aGk="]]
    for chunk in chunks:
        error = await client.refused("process/write", processId="p", chunk=chunk)
        assert (error.code, "$.chunk" in error.message) == (-32602, True), (chunk, error.message)
    assert await client.write("p", b"only this", closeStdin=True) == "accepted"
    assert (await client.until_closed("p")).stdout == b"only this"


async def test_a_write_id_repeated_with_the_same_bytes_is_written_once(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    for _ in range(3):
        assert await client.write("p", b"once\n", writeId="1") == "accepted"
    assert await client.write("p", b"once\n", writeId="2") == "accepted"
    assert await client.write("p", b"once\n") == "accepted"
    assert await client.write("p", b"", closeStdin=True) == "accepted"
    assert (await client.until_closed("p")).stdout == b"once\n" * 3


async def test_a_write_id_repeated_with_other_bytes_is_a_conflict(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    await client.write("p", b"first\n", writeId="w")
    error = await client.refused("process/write", processId="p", chunk=base64.b64encode(b"other").decode(), writeId="w")
    assert (error.code, error.kind) == (-32602, "writeIdConflict")
    await client.write("p", b"", closeStdin=True)
    assert (await client.until_closed("p")).stdout == b"first\n"


async def test_write_ids_belong_to_their_process(client: Client) -> None:
    for name in ("p", "q"):
        await client.start(name, ["cat"], pipeStdin=True)
        assert await client.write(name, name.encode(), writeId="1") == "accepted"
        assert await client.write(name, b"", closeStdin=True) == "accepted"
        assert (await client.until_closed(name)).stdout == name.encode()


async def test_a_write_id_must_not_be_empty(client: Client) -> None:
    await client.start("p", ["cat"], pipeStdin=True)
    for name in ("p", "nobody"):
        assert (await client.refused("process/write", processId=name, chunk="aGk=", writeId="")).code == -32602
    assert (await client.refused("process/write", processId="p", chunk="aGk=", writeId=5)).code == -32602
    assert await client.write("p", b"x", writeId=None, closeStdin=True) == "accepted"
    assert (await client.until_closed("p")).stdout == b"x"


async def test_the_last_4096_write_ids_are_remembered(client: Client) -> None:
    await client.start("p", ["wc", "-c"], pipeStdin=True)
    chunk = base64.b64encode(b"x").decode()
    for batch in range(41):
        await client.send(
            *(
                {
                    "id": f"{batch}/{n}",
                    "method": "process/write",
                    "params": {"processId": "p", "chunk": chunk, "writeId": f"{batch * 100 + n}"},
                }
                for n in range(100)
            )
        )
        for n in range(100):
            assert (await client.answer(f"{batch}/{n}"))["result"]["status"] == "accepted"
    assert await client.write("p", b"x", writeId="4") == "accepted"  # 4100 were written: 0 to 3 are forgotten
    assert await client.write("p", b"x", writeId="4099") == "accepted"
    await client.write("p", b"", closeStdin=True)
    assert (await client.until_closed("p")).stdout.strip() == b"4100"


async def test_a_repeated_write_that_still_waits_is_not_written_twice(client: Client) -> None:
    await start_stopped(client, "exec wc -c")
    chunk = base64.b64encode(b"x" * MIB).decode()
    params = {"processId": "p", "chunk": chunk, "writeId": "same"}
    names = ["first", "again", "and again"]
    await client.send(*({"id": name, "method": "process/write", "params": params} for name in names))
    await client.ping()
    assert not client.answered("again"), "accepted would not be true yet"
    await client.request("process/signal", processId="p", signal="CONT")
    for name in names:
        assert (await client.answer(name))["result"] == {"status": "accepted"}
    await client.write("p", b"", closeStdin=True)
    assert (await client.until_closed("p")).stdout.strip() == str(MIB).encode()


async def test_more_than_64_mib_for_one_child_is_refused_and_nothing_of_it_written(client: Client) -> None:
    await client.child("p", "never_reads.sh", pipeStdin=True)
    await client.until_output("p", b"ready\n")
    chunk = base64.b64encode(b"x" * (20 * MIB)).decode()
    waiting = [await client.begin("process/write", processId="p", chunk=chunk) for _ in range(3)]
    error = await client.refused("process/write", processId="p", chunk=chunk)
    assert (error.code, error.kind) == (-32000, "stdinBacklog")
    assert not any(client.answered(one) for one in waiting)
    small = await client.begin("process/write", processId="p", chunk=base64.b64encode(b"x" * MIB).decode())
    await client.ping()
    assert not client.answered(small), "what still fits is queued"
    await client.terminate("p", graceMs=0)
    await client.until_closed("p")
    for one in [*waiting, small]:
        assert (await client.answer(one))["result"]["status"] == "stdinClosed"


async def test_what_was_refused_for_the_backlog_never_reaches_the_child(client: Client) -> None:
    await start_stopped(client, "wc -c")
    chunk = base64.b64encode(b"x" * (20 * MIB)).decode()
    waiting = [await client.begin("process/write", processId="p", chunk=chunk) for _ in range(3)]
    assert (await client.refused("process/write", processId="p", chunk=chunk)).kind == "stdinBacklog"
    await client.request("process/signal", processId="p", signal="CONT")
    for one in waiting:
        assert (await client.answer(one))["result"] == {"status": "accepted"}
    assert await client.write("p", b"", closeStdin=True) == "accepted"
    assert (await client.until_closed("p")).stdout.strip() == str(60 * MIB).encode()
