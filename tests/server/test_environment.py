"""The environment of a child, rule by rule, and the description of the machine.

Where the wire's page is silent the expected values are what the reference server (0.169) answered to the same policy
over the same environment: case of names in globs, brackets, what an empty glob matches, ``set`` under ``includeOnly``.
"""

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execserver import __version__
from execserver.server.environment import CORE, child_environment, environment_info
from execserver.wire.errors import INVALID_PARAMS, Fault
from execserver.wire.process import EnvPolicy

BASE = {
    "HOME": "/root",
    "LANG": "C",
    "LOGNAME": "me",
    "PATH": "/bin",
    "SHELL": "/bin/sh",
    "USER": "me",
    "LC_ALL": "C.UTF-8",
    "TERM": "xterm",
    "EMPTY": "",
    "FOO": "1",
    "foo": "2",
    "MY_KEY": "k",
    "mySecret": "s",
    "apitokenx": "t",
    "a[b]": "bracket",
    "aXb": "x",
    "x*y": "star",
}
SECRET = {"MY_KEY", "mySecret", "apitokenx"}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in BASE.items() if name not in names}


OPEN = without(*SECRET)

TABLE: list[tuple[str, EnvPolicy, dict[str, str] | None, dict[str, str]]] = [
    ("the default inherits all but secrets", EnvPolicy(), None, OPEN),
    ("the default excludes can be ignored", EnvPolicy(ignore_default_excludes=True), None, BASE),
    ("core is six names", EnvPolicy(inherit="core"), None, {name: BASE[name] for name in CORE}),
    ("none is nothing", EnvPolicy(inherit="none"), None, {}),
    ("none with env is env", EnvPolicy(inherit="none"), {"A": "1"}, {"A": "1"}),
    ("exclude takes any case", EnvPolicy(exclude=("foo",)), None, without(*SECRET, "foo", "FOO")),
    ("exclude knows one character", EnvPolicy(exclude=("FO?",)), None, without(*SECRET, "foo", "FOO")),
    ("exclude matches whole names", EnvPolicy(exclude=("FO", "OO")), None, OPEN),
    ("a bracket is a bracket", EnvPolicy(exclude=("a[b]",)), None, without(*SECRET, "a[b]")),
    ("a set of characters is none", EnvPolicy(exclude=("a[XY]b", "a[!Y]b")), None, OPEN),
    ("a backslash escapes nothing", EnvPolicy(exclude=("x\\*y",)), None, OPEN),
    ("a dot is a dot", EnvPolicy(exclude=("f.o", "FOO|LANG", "")), None, OPEN),
    (
        "several globs",
        EnvPolicy(exclude=("l*", "*E*")),
        None,
        {k: BASE[k] for k in OPEN if not re.match("(?i)l|.*e", k)},
    ),
    ("everything excluded", EnvPolicy(exclude=("**",)), {"A": "1"}, {"A": "1"}),
    ("set goes over what was inherited", EnvPolicy(set={"FOO": "9"}), None, {**OPEN, "FOO": "9"}),
    ("set is not excluded", EnvPolicy(inherit="none", exclude=("A*",), set={"AA": "1"}), None, {"AA": "1"}),
    ("set may hold secrets", EnvPolicy(inherit="none", set={"MY_KEY": "1"}), None, {"MY_KEY": "1"}),
    ("set minds the case", EnvPolicy(inherit="none", set={"a": "1", "A": "2"}), None, {"a": "1", "A": "2"}),
    (
        "includeOnly filters what was set, too",
        EnvPolicy(inherit="none", include_only=("A*",), set={"AA": "1", "B": "2"}),
        None,
        {"AA": "1"},
    ),
    ("includeOnly takes any case", EnvPolicy(include_only=("path", "h*")), None, {"PATH": "/bin", "HOME": "/root"}),
    ("includeOnly brings no secret back", EnvPolicy(include_only=("MY_KEY",)), None, {}),
    (
        "env is over all of it, filtered by nothing",
        EnvPolicy(exclude=("*",), include_only=("NONE",), set={"B": "1"}),
        {"B": "2", "MY_KEY": "3", "HOME": ""},
        {"B": "2", "MY_KEY": "3", "HOME": ""},
    ),
    ("an empty env adds nothing", EnvPolicy(inherit="core"), {}, {name: BASE[name] for name in CORE}),
]


@pytest.mark.parametrize(("policy", "env", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_policy_makes_exactly_this_environment(
    policy: EnvPolicy, env: dict[str, str] | None, expected: dict[str, str]
) -> None:
    before = dict(BASE)
    assert child_environment(env, policy, BASE) == expected
    assert before == BASE


def test_without_policy_and_env_the_environment_is_the_servers_own_untouched() -> None:
    assert child_environment(None, None, BASE) is None


@pytest.mark.parametrize("env", [{}, {"A": ""}, {"é": "ü=1"}, {"A B\n": "\n"}])
def test_without_policy_env_is_exact(env: dict[str, str]) -> None:
    assert child_environment(dict(env), None, BASE) == env


@pytest.mark.parametrize("bad", [{"": "x"}, {"A=B": "x"}, {"=A": "x"}, {"A\0": "x"}, {"A": "x\0y"}, {"\0": "\0"}])
def test_a_name_or_value_that_no_environment_can_hold_is_refused_and_located(bad: dict[str, str]) -> None:
    for policy, env, path in [
        (None, bad, "$.env"),
        (EnvPolicy(inherit="none"), bad, "$.env"),
        (EnvPolicy(set=bad), None, "$.envPolicy.set"),
    ]:
        with pytest.raises(Fault, match=re.escape(f"`{path}`")) as caught:
            child_environment({**env, "GOOD": "1"} if env else None, policy, BASE)
        assert (caught.value.code, caught.value.kind) == (INVALID_PARAMS, "invalidArgument")


NAMES = st.text("Ab*?[]!^.\\|", max_size=6)


@settings(deadline=None)  # the machine may be busy, which says nothing of the glob
@given(pattern=NAMES, name=NAMES)
def test_a_glob_matches_as_a_search_character_by_character_says(pattern: str, name: str) -> None:
    def matches(rest: str, left: str) -> bool:
        if not rest:
            return not left
        if rest[0] == "*":
            return matches(rest[1:], left) or (left != "" and matches(rest, left[1:]))
        return left != "" and rest[0].lower() in ("?", left[0].lower()) and matches(rest[1:], left[1:])

    made = child_environment(None, EnvPolicy(exclude=(pattern,)), {name: "1"})
    assert made is not None
    assert (name not in made) is matches(pattern, name)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HOME", "TMPDIR", "SHELL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def login(monkeypatch: pytest.MonkeyPatch, home: str, shell: str) -> None:
    class Entry:
        pw_dir = home
        pw_shell = shell

    monkeypatch.setattr("pwd.getpwuid", lambda _uid: Entry)


def no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)


def test_the_description_of_this_machine_is_true(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    odd = tmp_path / "a b%"
    odd.mkdir()
    bare.chdir(odd)
    bare.setenv("HOME", "/home/é")
    bare.setenv("TMPDIR", "/var/tmp/")
    info = environment_info()
    assert info.cwd == "file://" + quote(str(odd))
    assert info.user_home_dir == "file:///home/%C3%A9"
    assert info.temp_dir == "file:///var/tmp"
    assert info.executor_version == __version__
    assert info.platform_os == {"darwin": "macos"}.get(sys.platform, sys.platform)
    assert os.access(info.shell.path, os.X_OK)


def test_the_passwd_entry_says_what_the_environment_does_not(bare: pytest.MonkeyPatch) -> None:
    login(bare, "/home/me", "/bin/sh")
    info = environment_info()
    assert (info.user_home_dir, info.shell.name, info.shell.path) == ("file:///home/me", "sh", "/bin/sh")
    assert info.temp_dir == "file:///tmp"


def test_the_login_shell_goes_before_the_variable(bare: pytest.MonkeyPatch) -> None:
    login(bare, "/", "/bin/sh")
    bare.setenv("SHELL", "/bin/bash")
    assert environment_info().shell.path == "/bin/sh"


@pytest.mark.parametrize("login_shell", ["", "/usr/bin/fish", "/nonexistent/zsh", "sh", "/bin/\udc80/sh"])
def test_a_login_shell_that_no_client_could_use_is_passed_over(bare: pytest.MonkeyPatch, login_shell: str) -> None:
    login(bare, "/", login_shell)
    bare.setenv("SHELL", "/bin/sh")
    assert environment_info().shell.path == "/bin/sh"


def test_an_account_without_an_entry_still_gets_a_shell_that_exists(bare: pytest.MonkeyPatch) -> None:
    no_login(bare)
    info = environment_info()
    assert os.access(info.shell.path, os.X_OK)
    assert info.user_home_dir is None


@pytest.mark.parametrize("home", ["relative", "."])
def test_a_home_that_is_no_absolute_path_is_not_told(bare: pytest.MonkeyPatch, home: str) -> None:
    bare.setenv("HOME", home)
    assert environment_info().user_home_dir is None


def test_a_working_directory_that_is_gone_is_not_told(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    bare.chdir(gone)
    gone.rmdir()
    assert environment_info().cwd is None
    bare.chdir(tmp_path)
