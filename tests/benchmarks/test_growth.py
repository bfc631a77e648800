"""What is saved of a growth run, and what is refused; nothing is measured."""

import sys
from types import ModuleType

import pytest

from benchmarks import clients, growth


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        (growth, ["--save"], "only with --full"),
        (growth, ["--save", "--full", "--only", "events"], "not with --only"),
        (growth, ["--save", "--full", "--command", "cat"], "not with --only or --command"),
        (clients, ["--save", "--mebibytes", "1"], "--save writes a run of the usual size"),
        (clients, ["--save", "--repeat", "1"], "--save writes a run of the usual size"),
    ],
)
def test_what_would_be_part_of_a_run_is_not_saved(
    module: ModuleType,
    options: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", *options])
    with pytest.raises(SystemExit):
        module.main()
    assert said in capsys.readouterr().err


def test_what_was_saved_is_said_again_and_to_the_same_question_only() -> None:
    again = growth.replay(
        [growth.Said("tail", {"count": 50}, {"us": 8.0}), growth.Said("tail", {"count": 60}, {"us": 9.0})]
    )
    assert again("tail", {"count": 50}) == {"us": 8.0}
    with pytest.raises(ValueError, match=r"asked for tail \{'count': 70\}, but what was saved is tail \{'count': 60\}"):
        again("tail", {"count": 70})
