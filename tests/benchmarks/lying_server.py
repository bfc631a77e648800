"""A server that gets one thing wrong, named by its argument; ``nothing`` is right. It runs no child: it plays one.

It plays what `child flood 98304` would do, in two chunks.
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


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if request["method"] == "initialize":
            say({"id": request["id"], "result": {}})
        elif request["method"] == "process/start":
            process_id = request["params"]["processId"]
            say({"id": request["id"], "result": {"processId": process_id}})
            if request["params"]["argv"] == ["/bin/true"]:
                push("exited", process_id, 1, exitCode=0)
                push("closed", process_id, 2)
                continue
            play(process_id, sys.argv[1])
            if sys.argv[1] == "it goes away":
                return


if __name__ == "__main__":
    main()
