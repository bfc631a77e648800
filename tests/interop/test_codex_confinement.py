"""Codex asks for a sandbox, we have none: all is refused, and the model is told so. Nothing ever runs unconfined.

With the reference server these commands run, confined.
"""

import pytest

from .codex import Codex, exit_code, ours_only, said
from .responses import apply_patch, run

pytestmark = [pytest.mark.interop, ours_only("the reference server has a sandbox")]

PATCH = "*** Begin Patch\n*** Add File: patched.txt\n+no\n*** End Patch\n"


@pytest.mark.parametrize("mode", ["read-only", "workspace-write"])
def test_a_confined_command_is_refused_and_not_run(codex: Codex, mode: str) -> None:
    done = codex.run([[run("touch ran; echo ran")], [run("touch ran", tty=True)]], flags=["-s", mode])
    for output in done.outputs:
        assert exit_code(output) is None
        assert "exec_command failed" in output
        assert "sandbox" in output
    assert not list(codex.workspace.iterdir())


@pytest.mark.parametrize("mode", ["read-only", "workspace-write"])
def test_a_confined_patch_is_refused_and_not_applied(codex: Codex, mode: str) -> None:
    [output] = codex.run([[apply_patch(PATCH)]], flags=["-s", mode]).outputs
    assert "rejected" in output if mode == "read-only" else "Failed to write file" in output
    assert not list(codex.workspace.iterdir())


def test_without_confinement_the_same_runs(codex: Codex) -> None:
    first, second = codex.run(
        [[run("touch ran; echo ran")], [apply_patch(PATCH)]], flags=["-s", "danger-full-access"]
    ).outputs
    assert said(first) == "ran\n"
    assert "Success" in second
    assert sorted(path.name for path in codex.workspace.iterdir()) == ["patched.txt", "ran"]
