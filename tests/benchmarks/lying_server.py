"""A server that gets one thing wrong, named by its argument; ``nothing`` is right. It runs no child: it plays one.

It plays what `child flood 98304` would do, in two chunks; `cat`; and `child pause`.
"""

import base64
import json
import sys


def pattern(size: int) -> bytes:
    """What the flood child writes: `benchmarks/native/pattern.h`, in Python."""
    state, block = 0x9E3779B97F4A7C15, bytearray()
    for _ in range(65536):
        state ^= state << 13 & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 7
        state ^= state << 17 & 0xFFFFFFFFFFFFFFFF
        block.append(ord("a") + state % 26)
    written = bytearray()
    while len(written) < size:
        block[:12] = b"%012d" % (len(written) // 65536)
        written += block
    return bytes(written[:size])


def say(message: dict[str, object]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")), flush=True)


def push(method: str, process_id: str, seq: int, **params: object) -> None:
    say({"method": f"process/{method}", "params": {"processId": process_id, "seq": seq, **params}})


def play(process_id: str, flaw: str) -> None:
    data = pattern(98304)
    chunks = [data[:65536], data[65536:]]
    if flaw == "a byte is missing":
        chunks[1] = chunks[1][1:]
    if flaw == "a byte is another":
        chunks[1] = b"!" + chunks[1][1:]
    if flaw == "chunks are swapped":
        chunks.reverse()
    texts = [base64.b64encode(chunk).decode() for chunk in chunks]
    if flaw == "no base64":
        texts[0] = "!" + texts[0][1:]
    if flaw == "base64 is cut short":
        texts[0] = texts[0][:-1]
    numbers = {"a number is repeated": (1, 1, 3, 4), "a number is left out": (1, 3, 4, 5)}.get(flaw, (1, 2, 3, 4))
    for seq, text in zip(numbers, texts, strict=False):
        push("output", process_id, seq, stream="stdout", chunk=text)
    push("exited", process_id, numbers[2], exitCode=7 if flaw == "the exit code is another" else 0)
    if flaw != "it goes away":
        push("closed", process_id, numbers[3])


class Waiting:
    """A child that lives until it is interrupted, and gives back what is written to it."""

    def __init__(self, process_id: str, flaw: str) -> None:
        self._process_id = process_id
        self._flaw = flaw
        self._seq = 0
        self._held: list[str] = []

    def write(self, chunk: str) -> None:
        if self._flaw == "another byte comes back":
            chunk = chunk[:-4] + base64.b64encode(b"!").decode()
        self._held.append(chunk)
        if self._flaw == "writes change places" and len(self._held) % 2:
            return
        while self._held:
            self._push("output", stream="stdout", chunk=self._held.pop())

    def end(self) -> None:
        if self._flaw == "more comes back":
            self._push("output", stream="stdout", chunk=base64.b64encode(b"!").decode())
        self._push("exited", exitCode=0 if self._flaw == "it ends in another way" else 130)
        self._push("closed")

    def page(self) -> dict[str, object]:
        return {"chunks": [{"seq": self._seq, "stream": "stdout", "chunk": "aGVsbG8K"}], "nextSeq": self._seq + 1}

    def _push(self, method: str, **params: object) -> None:
        self._seq += 1
        push(method, self._process_id, self._seq, **params)


def main() -> None:
    waiting: dict[str, Waiting] = {}
    flaw = sys.argv[1]
    for line in sys.stdin:
        request = json.loads(line)
        params, result = request.get("params", {}), dict[str, object]()
        process_id = params.get("processId")
        child = waiting.get(process_id)
        if child and request["method"] == "process/write":
            child.write(params["chunk"])
            result = {"status": "accepted"}
        elif child and request["method"] == "process/read":
            result = child.page()
        elif child and request["method"] == "process/signal":
            child.end()
        if "id" in request:
            say({"id": request["id"], "result": result})
        if request["method"] != "process/start":
            continue
        if params["argv"] == ["/bin/true"]:
            push("exited", process_id, 1, exitCode=0)
            push("closed", process_id, 2)
        elif params["argv"] == ["cat"] or params["argv"][1:] == ["pause"]:
            waiting[process_id] = Waiting(process_id, flaw)
        else:
            play(process_id, flaw)
            if flaw == "it goes away":
                return


if __name__ == "__main__":
    main()
