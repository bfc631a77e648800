"""Whatever the pieces that bytes arrive in, the lines are those of the whole."""

import tracemalloc
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from execserver.lines import OVERSIZED, LineSplitter, Oversized

# Few different bytes, so that line endings, lone CRs and long lines all come up often.
STREAMS = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", b"x" * 9]), max_size=40).map(b"".join)
LIMITS = st.integers(0, 12)


def naive(data: bytes, limit: int) -> list[bytes | Oversized]:
    """Split what is all there already."""
    *ended, rest = data.split(b"\n")
    lines = [line.removesuffix(b"\r") for line in (*ended, rest)[: None if rest else -1]]
    return [line if len(line) <= limit else OVERSIZED for line in lines]


def split(pieces: Iterable[bytes], limit: int) -> list[bytes | Oversized]:
    splitter = LineSplitter(limit)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return lines + splitter.finish()


@given(STREAMS, LIMITS, st.data())
def test_any_split_of_any_stream_gives_the_same_lines(stream: bytes, limit: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(pieces, limit) == naive(stream, limit)


@given(st.lists(st.binary(max_size=5)))
def test_no_byte_but_lf_ends_a_line(pieces: list[bytes]) -> None:
    assert split(pieces, 1000) == naive(b"".join(pieces), 1000)


@given(st.lists(st.sampled_from([b"x" * 5000, b"y" * 9000, b"\n", b"z\r\n"]), max_size=12))
def test_long_lines_are_split_as_short_ones_are(pieces: list[bytes]) -> None:
    stream = b"".join(pieces)
    assert split([stream], 20_000) == split(pieces, 20_000) == naive(stream, 20_000)


@given(st.lists(st.sampled_from([b"x" * 5000, b"y" * 100, b"\n", b"z\r\n"]), max_size=12), st.integers(1, 4000))
def test_a_buffer_may_be_used_again(pieces: list[bytes], size: int) -> None:
    stream = b"".join(pieces)
    splitter = LineSplitter(20_000)
    buffer = bytearray(b"\n" * 4000)  # what is behind the new bytes does not count
    lines: list[bytes | Oversized] = []
    for start in range(0, len(stream), size):
        part = stream[start : start + size]
        buffer[: len(part)] = part
        lines += splitter.feed(buffer, len(part))
        buffer[:] = b"\n" * 4000
    assert lines + splitter.finish() == naive(stream, 20_000)
    assert {type(line) for line in lines} <= {bytes, Oversized}


def test_a_line_comes_as_soon_as_it_has_ended() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"on") == []
    assert splitter.feed(b"e\ntwo\n\r\nth") == [b"one", b"two", b""]
    assert splitter.finish() == [b"th"]


def test_nothing_is_left_after_the_end() -> None:
    splitter = LineSplitter(10)
    splitter.feed(b"last")
    assert splitter.finish() == [b"last"]
    assert splitter.finish() == []


def test_a_line_of_exactly_the_limit_passes_with_either_ending() -> None:
    assert split([b"1234\n", b"1234\r", b"\n", b"1234"], 4) == [b"1234"] * 3
    assert split([b"12345\n", b"12345\r\n", b"12345"], 4) == [OVERSIZED] * 3


def test_an_oversized_line_is_told_once_in_its_place() -> None:
    assert split([b"a\n", *[b"x" * 100] * 100, b"\nb\n"], 10) == [b"a", OVERSIZED, b"b"]
    assert repr(OVERSIZED) == "OVERSIZED"


def test_what_has_not_ended_can_be_seen() -> None:
    splitter = LineSplitter(10)
    splitter.feed(b"one\nPass")
    splitter.feed(b"word: ")
    assert splitter.unfinished == b"Password: "
    splitter.feed(b"too much")
    assert splitter.unfinished == b""


def test_a_cr_in_the_middle_of_a_line_belongs_to_it() -> None:
    assert split([b"a\r", b"b\r\r\n"], 10) == [b"a\rb\r"]


def test_an_oversized_line_is_never_held() -> None:
    limit, piece, count = 64 * 1024, 16 * 1024, 1000
    splitter = LineSplitter(limit)
    tracemalloc.start()
    try:
        for _ in range(count):
            assert splitter.feed(bytes(piece).replace(b"\0", b"x")) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit + 4 * piece
    assert splitter.feed(b"\nnext\n") == [OVERSIZED, b"next"]
