"""Where processes run, and what they find in their environment. Reads the system's tables, changes nothing.

The order in which a policy makes an environment (wire, section 2) is the order of the steps in `child_environment`:
inherit, default excludes, ``exclude``, ``set``, ``includeOnly``, and ``env`` on top of it all.
"""

import os
import pwd
import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from execserver import __version__
from execserver.server.paths import to_uri
from execserver.wire.errors import invalid_params
from execserver.wire.process import EnvPolicy
from execserver.wire.session import EnvironmentInfo, Shell

CORE: Final = frozenset({"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER"})
_SECRETS: Final = ("KEY", "SECRET", "TOKEN")  # the default excludes, as parts of an upper-case name

# The shells that the Codex client can write a command for; with any other it gives the environment up.
_KNOWN_SHELLS: Final = frozenset({"bash", "zsh", "sh"})
_PLATFORMS: Final = {"darwin": "macos"}  # the others are called as Python calls them


def environment_info() -> EnvironmentInfo:
    """Describe this machine to a client. What cannot be told (a directory that is gone) is None."""
    home = os.environ.get("HOME") or _passwd_entry()[0]
    return EnvironmentInfo(
        shell=_shell(),
        executor_version=__version__,
        cwd=_uri_of_cwd(),
        user_home_dir=to_uri(home) if home.startswith("/") else None,
        platform_os=_PLATFORMS.get(sys.platform, sys.platform),
        temp_dir=to_uri(_temp_dir()),
    )


def child_environment(
    env: dict[str, str] | None, policy: EnvPolicy | None, base: Mapping[str, str]
) -> dict[str, str] | None:
    """Make a child's environment from what a request says and ``base``, the server's own.

    Without a policy ``env`` is the exact environment; None, where both are absent, is the server's own as it stands:
    decoding it and encoding it again would take a tenth of a spawn. Raises the -32602 for a name or
    value that no environment can hold. Names match globs whatever their case, as with the reference server.
    """
    if env is not None:
        _check(env, "$.env")
    if policy is None:
        return env
    _check(policy.set, "$.envPolicy.set")
    made = _inherit(policy, base)
    made.update(policy.set)
    if policy.include_only:
        included = _glob(policy.include_only)
        made = {name: value for name, value in made.items() if included.fullmatch(name)}
    if env is not None:
        made.update(env)
    return made


def _inherit(policy: EnvPolicy, base: Mapping[str, str]) -> dict[str, str]:
    if policy.inherit == "none":
        return {}
    made = {name: value for name, value in base.items() if policy.inherit == "all" or name in CORE}
    if not policy.ignore_default_excludes:
        made = {name: value for name, value in made.items() if not any(word in name.upper() for word in _SECRETS)}
    if policy.exclude:
        excluded = _glob(policy.exclude)
        made = {name: value for name, value in made.items() if not excluded.fullmatch(name)}
    return made


@lru_cache(maxsize=64)  # a client sends the same few patterns with every start
def _glob(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile globs of ``*`` and ``?`` only: to the reference ``[`` is a bracket, which `fnmatch` would not keep."""
    return re.compile("|".join(map(_to_regex, patterns)), re.IGNORECASE | re.DOTALL)


def _to_regex(pattern: str) -> str:
    """Translate one glob.

    What is between two stars is matched where it comes first, and for good (atomic groups): if the rest does not match
    behind that, it matches behind no later one. Plain ``.*`` would try them all, for hours where there are many stars.
    """
    first, *between = ["".join("." if sign == "?" else re.escape(sign) for sign in part) for part in pattern.split("*")]
    if not between:
        return first
    *between, last = between
    return first + "".join(f"(?>.*?{part})" for part in between) + ".*" + last


def _check(env: dict[str, str], path: str) -> None:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            what = "a value without NUL" if "\0" in value else "a name without `=` and NUL, and not empty"
            raise invalid_params(path, f"Expected {what}, for {name!r}", "invalidArgument")


def _shell() -> Shell:
    """The login shell, else ``$SHELL`` (an account may have no entry in a container), else what is there."""
    return next(
        Shell(name=os.path.basename(path), path=path)
        for path in _shells()
        if path == "/bin/sh" or (os.path.basename(path) in _KNOWN_SHELLS and os.access(path, os.X_OK))
    )


def _shells() -> Iterator[str]:
    for path in (_passwd_entry()[1], os.environ.get("SHELL", "")):
        if path.startswith("/") and path.isprintable():  # undecodable bytes are surrogates, which no JSON holds
            yield path
    yield "/bin/bash"
    yield "/bin/sh"


def _passwd_entry() -> tuple[str, str]:
    """The home and the shell of this account; empty strings where it has no entry."""
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return "", ""
    return entry.pw_dir, entry.pw_shell


def _temp_dir() -> str:
    named = os.environ.get("TMPDIR", "").rstrip("/")
    return named if named.startswith("/") else "/tmp"


def _uri_of_cwd() -> str | None:
    try:
        return to_uri(os.getcwd())
    except FileNotFoundError:
        return None
