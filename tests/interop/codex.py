"""One run of the Codex CLI on a server of ours, with a scripted model, in a place of its own.

Whatever a test asserts, every run is also held to two rules here: it ends within its time, and nothing that it started
is left when the server has had its 5 s.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from . import leftovers, responses

ROOT = Path(__file__).parents[2]
SERVER = tuple(shlex.split(os.environ.get("EXECSERVER_COMMAND", ""))) or (sys.executable, "-m", "execserver")
"""The server under test. EXECSERVER_COMMAND names another: so the tests are themselves tested against the reference."""

UNCONFINED = "--dangerously-bypass-approvals-and-sandbox"

RUN_SECONDS = 60  # a run takes under one; this is for a machine with much else to do
END_SECONDS = 8  # the server has 5 s for its end after Codex's, and this machine may be slow


def ours_only(reason: str) -> pytest.MarkDecorator:
    """Skip where EXECSERVER_COMMAND names a server that is known to do otherwise."""
    return pytest.mark.skipif(SERVER[-1] != "execserver", reason=reason)


def said(output: str) -> str:
    """The command's own output, without what Codex says about it."""
    return output.split("\nOutput:\n", 1)[1]


def exit_code(output: str) -> int | None:
    """What a command ended with; None while it runs, or when it never ran."""
    found = re.search(r"Process exited with code (-?\d+)", output)
    return int(found[1]) if found else None


@dataclass(frozen=True)
class Run:
    """What came of a run."""

    exit_code: int
    events: list[dict[str, Any]]
    stderr: str
    transcript: responses.Transcript

    @property
    def outputs(self) -> list[str]:
        """What Codex told the model of each call."""
        return self.transcript.outputs


@dataclass
class Started:
    """A Codex that runs, and the model it talks to."""

    process: subprocess.Popen[str]
    model: responses.Model


@dataclass
class Codex:
    """A place to run Codex in: its home, its workspace, its configuration."""

    binary: Path
    place: Path
    server: Sequence[str] = SERVER
    environments: str = ""  # an environments.toml to use as it is, instead of one that names the server
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.workspace = self.place / "workspace"
        self.home = self.place / "codex-home"
        for directory in (self.workspace, self.home, self.place / "home"):
            directory.mkdir()

    def run(
        self,
        script: Sequence[responses.Turn],
        *,
        flags: Sequence[str] = (UNCONFINED,),
        model: str = "gpt-5.5",
        settings: str = "",
        config: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Run:
        """Play the script to its end."""
        with self.started(script, flags=flags, model=model, settings=settings, config=config, env=env) as codex:
            stdout, stderr = codex.process.communicate(timeout=RUN_SECONDS)
        assert codex.model.failure is None, codex.model.failure
        events = [json.loads(line) for line in stdout.splitlines()]
        return Run(codex.process.returncode, events, stderr, codex.model.transcript)

    @contextmanager
    def started(
        self,
        script: Sequence[responses.Turn],
        *,
        flags: Sequence[str] = (UNCONFINED,),
        model: str = "gpt-5.5",
        settings: str = "",
        config: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Iterator[Started]:
        """Start Codex on the script. Leaving the block ends it, and checks that nothing is left of it."""
        with responses.serve(script) as (scripted, port):
            self.configure(port, model, settings, config)
            command: list[str | Path] = [self.binary, "exec", "--json", "--ephemeral", "--skip-git-repo-check"]
            command += ["-C", self.workspace, *flags, "Do as the script says."]
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**self.environment(), **(env or {})},
                start_new_session=True,  # a signal for Codex is for Codex alone, not for its server
            ) as process:
                try:
                    yield Started(process, scripted)
                finally:
                    process.kill()
                    process.communicate()
        left = leftovers.wait_until_gone(self.mark, self.place, END_SECONDS)
        assert not left, f"still running {END_SECONDS} s after Codex has ended: {left}"

    def environment(self) -> dict[str, str]:
        """Codex's environment, and so the server's: small, marked, and with this working tree to import from."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.place / "home"),
            "CODEX_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            leftovers.MARK: self.mark,
        }

    def configure(self, port: int, model: str, settings: str, config: str) -> None:
        """Write environments.toml, which names the server, and config.toml, which names the model.

        ``settings`` go to the top of the latter, ``config`` with its own tables to the end.
        """
        program, *args = self.server
        (self.home / "environments.toml").write_text(
            self.environments
            or 'default = "mine"\ninclude_local = false\n\n'
            f'[[environments]]\nid = "mine"\nprogram = {json.dumps(program)}\nargs = {json.dumps(args)}\n'
        )
        (self.home / "config.toml").write_text(
            f'{settings}\nmodel = "{model}"\nmodel_provider = "scripted"\n\n'
            '[model_providers.scripted]\nname = "scripted"\nwire_api = "responses"\nsupports_websockets = false\n'
            f'base_url = "http://127.0.0.1:{port}/v1"\nrequest_max_retries = 0\nstream_max_retries = 0\n\n{config}'
        )
