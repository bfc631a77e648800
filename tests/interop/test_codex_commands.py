"""The real Codex CLI runs commands on our server: what it then tells the model is what the commands did.

A script is what the model says; the assertions read what Codex answered. That nothing is left running is asserted
after every run, by the fixture.
"""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from .codex import SERVER, Codex, exit_code, ours_only, said
from .codex_binary import OLDEST, codex_binary
from .responses import CLOSING, Transcript, Turn, run, write_stdin

pytestmark = pytest.mark.interop

TRAPS_INTERRUPTS = "trap 'echo caught; exit 42' INT; touch ready; while :; do sleep 0.1; done"

SHORT_MS = 400  # for a command that is known to run on: Codex waits this long whatever happens
ANSWER_MS = 1500  # the same, when what is said in that time matters; on an idle machine it takes one


def poll(last: Transcript) -> list[dict[str, object]]:
    """The model waits for the command to end."""
    return [write_stdin(last.session, "")]


def interrupt_when_ready(codex: Codex) -> Turn:
    """The model types Ctrl-C once the command has its trap."""
    ready = codex.workspace / "ready"
    return lambda so_far: [write_stdin(so_far.session, "\x03")] if ready.exists() else None


def test_a_command_gives_its_output_and_exit_code(codex: Codex) -> None:
    done = codex.run([[run("echo out-$((6*7)); echo err >&2; pwd; exit 3")]])
    [output] = done.outputs
    assert exit_code(output) == 3
    assert sorted(said(output).splitlines()) == sorted(["out-42", "err", str(codex.workspace)])
    assert done.exit_code == 0
    assert done.events[-2]["item"]["text"] == CLOSING


@pytest.mark.parametrize("url", ["stdio", "stdio://"])
@ours_only("it is named without arguments here")
def test_configurations_that_say_where_to_listen_go_on_working(codex: Codex, url: str) -> None:
    codex.server = (*SERVER, "--listen", url)
    [output] = codex.run([[run("echo hi")]]).outputs
    assert said(output) == "hi\n"


def test_commands_follow_each_other_on_one_server(codex: Codex) -> None:
    done = codex.run([[run("echo $PPID > parent")], [run("test $PPID = $(cat parent) && echo same server")]])
    assert said(done.outputs[1]) == "same server\n"


def test_a_long_command_is_polled_to_its_end_and_nothing_is_lost_or_repeated(codex: Codex) -> None:
    long = run("for i in $(seq 8); do echo line-$i; sleep 0.2; done; exit 3", yield_time_ms=SHORT_MS)
    first, second = codex.run([[long], poll]).outputs
    assert exit_code(first) is None
    assert exit_code(second) == 3
    assert (said(first) + said(second)).split() == [f"line-{number}" for number in range(1, 9)]


def test_a_program_without_a_terminal_reads_end_of_file(codex: Codex) -> None:
    [output] = codex.run([[run("cat; echo end")]]).outputs
    assert (exit_code(output), said(output)) == (0, "end\n")


def test_a_dialogue_on_a_terminal(codex: Codex) -> None:
    talk = 'test -t 0 && test -t 1 || exit 1; while read -r a; do [ "$a" = quit ] && exit 9; echo "got:<$a>"; done'
    _, first, second, last = codex.run(
        [
            [run(talk, tty=True, yield_time_ms=SHORT_MS)],
            lambda so_far: [write_stdin(so_far.session, "alpha\n", yield_time_ms=ANSWER_MS)],
            lambda so_far: [write_stdin(so_far.session, "bärtig\n", yield_time_ms=ANSWER_MS)],
            lambda so_far: [write_stdin(so_far.session, "quit\n")],
        ]
    ).outputs
    assert said(first) == "alpha\r\ngot:<alpha>\r\n"
    assert said(second) == "bärtig\r\ngot:<bärtig>\r\n"
    assert (exit_code(last), said(last)) == (9, "quit\r\n")


@pytest.mark.parametrize(("tty", "told"), [(True, "^Ccaught\r\n"), (False, "caught\n")])
def test_control_c_interrupts_with_and_without_a_terminal(codex: Codex, tty: bool, told: str) -> None:
    trapping = run(TRAPS_INTERRUPTS, tty=tty, yield_time_ms=SHORT_MS)
    interrupted = codex.run([[trapping], interrupt_when_ready(codex)]).outputs[-1]
    assert (exit_code(interrupted), said(interrupted)) == (42, told)


def test_five_megabytes_arrive_whole_and_in_order(codex: Codex) -> None:
    first, last = 1_000_000, 1_624_999  # lines of eight bytes
    [output] = codex.run([[run(f"seq {first} {last}")]]).outputs
    assert exit_code(output) == 0
    # Codex shows head and tail, but counts all of it: four bytes are a token
    assert "Original token count: 1250000\n" in output
    lines = said(output).split("\n")
    numbers = [int(line) for line in lines if re.fullmatch(r"1\d{6}", line)]
    assert (numbers[0], numbers[-1]) == (first, last)
    gaps = [after - before for before, after in pairwise(numbers) if after != before + 1]
    assert len(numbers) > 1000
    assert len(gaps) == 1, "one cut between head and tail, and it is Codex's"


@pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("TERM", 15), ("SEGV", 11)])
def test_death_by_signal_is_128_and_its_number(codex: Codex, name: str, number: int) -> None:
    [output] = codex.run([[run(f"kill -{name} $$; sleep 30")]]).outputs
    assert exit_code(output) == 128 + number


@ours_only("the reference server says 1")
def test_death_by_signal_on_a_terminal_is_128_and_its_number(codex: Codex) -> None:
    [output] = codex.run([[run("kill -TERM $$; sleep 30", tty=True)]]).outputs
    assert exit_code(output) == 128 + 15


def test_a_background_child_that_holds_the_pipe_keeps_the_command_open_until_it_ends(codex: Codex) -> None:
    holding = run("(sleep 1.5; echo late) & echo early; exit 7", yield_time_ms=SHORT_MS)
    first, second = codex.run([[holding], poll]).outputs
    assert (exit_code(first), exit_code(second)) == (None, 7)
    assert said(first) + said(second) == "early\nlate\n"


def test_a_background_child_that_lets_go_of_the_pipe_keeps_nothing_open(codex: Codex) -> None:
    [output] = codex.run([[run("sleep 300 >/dev/null 2>&1 </dev/null & echo started; exit 7")]]).outputs
    assert (exit_code(output), said(output)) == (7, "started\n")


def test_six_commands_at_once(codex: Codex) -> None:
    # each waits for the others, so that they end only if all of them run at the same time
    meet = "touch at-{0}; until [ $(ls at-* | wc -l) = 6 ]; do sleep 0.05; done; echo {0}; exit {0}"
    outputs = codex.run([[run(meet.format(number)) for number in range(6)]]).outputs
    assert [(exit_code(each), said(each)) for each in outputs] == [(number, f"{number}\n") for number in range(6)]


def test_a_program_that_does_not_exist_is_told_to_the_model(codex: Codex) -> None:
    [output] = codex.run([[run("no-such-program-here")]]).outputs
    assert exit_code(output) == 127
    assert "no-such-program-here" in said(output)


def test_a_command_whose_directory_is_missing_is_told_to_the_model(codex: Codex) -> None:
    first, second = codex.run([[run("echo never", workdir="missing")], [run("echo still here")]]).outputs
    assert "never" not in said(first) if exit_code(first) is not None else "exec_command failed" in first
    assert (exit_code(second), said(second)) == (0, "still here\n")


def test_the_environment_policy_is_applied_by_the_server(codex: Codex) -> None:
    policy = (
        '[shell_environment_policy]\ninherit = "all"\nignore_default_excludes = false\n'
        'exclude = ["OTH*"]\nset = { ADDED = "added" }\n'
    )
    [output] = codex.run(
        [[run('echo "[$KEPT][$MY_SECRET_WORD][$OTHER][$ADDED]"')]],
        config=policy,
        env={"KEPT": "kept", "MY_SECRET_WORD": "xyzzy", "OTHER": "other"},
    ).outputs
    assert said(output) == "[kept][][][added]\n"


@pytest.fixture
def oldest(tmp_path: Path) -> Codex:
    return Codex(codex_binary(OLDEST), tmp_path)


@ours_only("the reference server of today refuses native paths")
def test_the_oldest_client_reads_everything_by_process_read(oldest: Codex) -> None:
    outputs = oldest.run(
        [
            [run("echo hi; exit 3")],
            [run('read -r a; echo "<$a>"; exit 4', tty=True, yield_time_ms=SHORT_MS)],
            lambda so_far: [write_stdin(so_far.session, "abc\n")],
            [run(TRAPS_INTERRUPTS, yield_time_ms=SHORT_MS)],
            interrupt_when_ready(oldest),
        ]
    ).outputs
    assert (exit_code(outputs[0]), said(outputs[0])) == (3, "hi\n")
    assert (exit_code(outputs[2]), said(outputs[2])) == (4, "abc\r\n<abc>\r\n")
    assert (exit_code(outputs[-1]), said(outputs[-1])) == (42, "caught\n")
