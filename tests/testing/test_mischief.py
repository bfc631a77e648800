"""The tool itself: what it does to a server's lines, and what it must not do."""

import json
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execserver.testing import PROFILES, Mischief, Pause, Profile, Step


def bytes_of(steps: list[Step]) -> bytes:
    return b"".join(step for step in steps if isinstance(step, bytes))


def lines_of(data: bytes) -> list[bytes]:
    return [line.rstrip(b"\r") for line in data.split(b"\n") if line.strip()]


def conversation(count: int = 200) -> list[bytes]:
    """Answers and events in turn, each line different."""
    lines = []
    for number in range(1, count + 1):
        answer = {"jsonrpc": "2.0", "id": number, "result": {"status": "accepted"}}
        event = {
            "jsonrpc": "2.0",
            "method": "process/output",
            "params": {"processId": "p", "seq": number, "stream": "stdout", "chunk": "b25l"},
        }
        lines += [json.dumps(answer).encode(), json.dumps(event).encode()]
    return lines


def mistreat(mischief: Mischief, lines: list[bytes]) -> bytes:
    out = b"".join(bytes_of(mischief.feed(line + b"\n")) for line in lines)
    return out + bytes_of(mischief.finish())


every_profile = pytest.mark.parametrize("profile", [pytest.param(each, id=name) for name, each in PROFILES.items()])


@every_profile
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 40_000), max_size=20))
def test_the_bytes_depend_on_the_seed_and_not_on_how_they_arrived(profile: Profile, seed: int, cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in conversation(50))
    at_once, in_pieces = Mischief(seed, profile), Mischief(seed, profile)
    whole = bytes_of(at_once.feed(data) + at_once.finish())
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = b"".join(bytes_of(in_pieces.feed(data[a:b])) for a, b in pairwise(edges))
    assert pieces + bytes_of(in_pieces.finish()) == whole
    assert in_pieces.done == at_once.done


@pytest.mark.parametrize("name", sorted(set(PROFILES) - {"cut"}))
@given(seed=st.integers(0, 2**32))
def test_every_answer_arrives_exactly_once(name: str, seed: int) -> None:
    lines = conversation()
    answers = [json.loads(line) for line in lines[::2]]
    arrived = []
    for line in lines_of(mistreat(Mischief(seed, PROFILES[name]), lines)):
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict) and message.get("result") == {"status": "accepted"}:
            arrived.append({key: value for key, value in message.items() if key != "x-unknown"})
    assert sorted(arrived, key=lambda answer: answer["id"]) == answers


def test_what_arrives_of_the_events_is_what_was_not_dropped_and_what_was_doubled() -> None:
    lines = conversation()
    mischief = Mischief(7, Profile(drop=0.3, duplicate=0.3, delay=0.5))
    events = Counter(line for line in lines_of(mistreat(mischief, lines)) if b"process/output" in line)
    assert set(events) <= set(lines[1::2])
    assert events.total() == 200 - mischief.done["drop"] + mischief.done["duplicate"]
    assert min(mischief.done["drop"], mischief.done["duplicate"], mischief.done["delay"]) > 20


def test_the_clean_profile_does_nothing() -> None:
    lines = conversation()
    mischief = Mischief(3, PROFILES["clean"])
    assert mistreat(mischief, lines) == b"".join(line + b"\n" for line in lines)
    assert not +mischief.done


def test_a_delayed_event_is_overtaken_but_not_for_long() -> None:
    lines = conversation()[1::2]
    arrived = lines_of(mistreat(Mischief(3, Profile(delay=0.5, delay_lines=8)), lines))
    assert sorted(arrived) == sorted(lines)
    distances = [abs(arrived.index(line) - index) for index, line in enumerate(lines)]
    assert 0 < max(distances) <= 16


def test_ticks_let_go_of_all_that_is_held() -> None:
    mischief = Mischief(5, PROFILES["hostile"])
    lines = conversation(20)
    for line in lines:
        mischief.feed(line + b"\n")
    ticks = 0
    while mischief.holding:
        mischief.tick()
        ticks += 1
    assert 0 < ticks <= PROFILES["hostile"].delay_lines + 1
    assert mischief.finish() == []


def test_writes_end_at_any_byte_and_hold_more_than_one_line() -> None:
    mischief = Mischief(1, PROFILES["bytes"])
    steps = [step for line in conversation() for step in mischief.feed(line + b"\n")]
    pieces = [step for step in steps if isinstance(step, bytes)]
    assert any(not piece.endswith(b"\n") for piece in pieces)
    assert any(piece.count(b"\n") > 1 for piece in pieces)
    assert any(isinstance(step, Pause) for step in steps)


@given(seed=st.integers(0, 2**32))
def test_a_cut_ends_it_at_its_byte(seed: int) -> None:
    data = b"".join(line + b"\n" for line in conversation())
    profile = Profile(cut=1.0, cut_within=len(data))
    mischief = Mischief(seed, profile)
    written = bytes_of(mischief.feed(data))
    assert mischief.over
    assert data.startswith(written)
    assert len(written) < len(data)
    assert mischief.feed(data) + mischief.tick() + mischief.finish() == []


def test_cuts_come_in_the_middle_of_lines_and_before_the_first() -> None:
    data = b"".join(line + b"\n" for line in conversation())
    cut = Profile(cut=1.0, cut_within=len(data))
    ends = [bytes_of(Mischief(seed, cut).feed(data)) for seed in range(300)]
    assert b"" in ends
    assert any(b"\n" in end and not end.endswith(b"\n") for end in ends)


def test_what_is_held_is_bounded() -> None:
    random = Random(1)
    mischief = Mischief(1, Profile(delay=1.0, delay_lines=1000))
    for number in range(20):
        chunk = "A" * random.randint(400_000, 600_000)
        line = json.dumps({"method": "process/output", "params": {"seq": number, "chunk": chunk}})
        mischief.feed(line.encode() + b"\n")
        assert mischief._held_bytes <= 4 << 20


def test_a_banner_comes_before_the_first_line_only() -> None:
    lines = conversation(5)
    out = mistreat(Mischief(2, Profile(banner=1.0)), lines)
    assert out.endswith(b"".join(line + b"\n" for line in lines))
    assert len(out) > sum(len(line) + 1 for line in lines)


def test_answers_are_dropped_only_when_that_is_asked_for() -> None:
    mischief = Mischief(4, Profile(drop_answer=0.5))
    arrived = lines_of(mistreat(mischief, conversation()))
    assert len(arrived) == 400 - mischief.done["drop_answer"]
    assert mischief.done["drop_answer"] > 50


def test_what_the_server_says_that_is_no_message_passes() -> None:
    lines = [b"Last login: Monday", b"\xff\xfe", b"[" * 5000, b"42", *conversation(3)]
    mischief = Mischief(1, Profile(drop=1.0))
    assert lines_of(mistreat(mischief, lines)) == [*lines[:4], *conversation(3)[::2]]
