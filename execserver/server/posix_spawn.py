"""posix_spawn(3) of the C library: a vfork, and no Python code in the child.

Called through ctypes, since nothing else has all of it. `subprocess.Popen` gives a terminal only by Python code that
runs in the child, which takes a fork, of 2 ms, and may hang it where there are threads. `os.posix_spawn` cannot change
the directory, and does not let the signals 32 and 33 be named, which glibc then leaves ignored in the child.
"""

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from typing import Final

from execserver.server.kernel import descriptor_limit

# <spawn.h> of glibc and of musl, the same in both.
_SETSIGDEF: Final = 0x04
_SETSIGMASK: Final = 0x08
_SETSID: Final = 0x80
_OPAQUE_BYTES: Final = 1024  # of these types the longer one, posix_spawnattr_t, has 336
_SIGSET_BYTES: Final = 128


def is_available() -> bool:
    """Whether the C library can change the directory of a child: glibc from 2.29, musl from 1.1.24."""
    return hasattr(_libc(), "posix_spawn_file_actions_addchdir_np")


def posix_spawn(
    path: bytes, argv: Sequence[bytes], env: Sequence[bytes] | None, cwd: bytes | None, stdio: Sequence[int | bytes]
) -> int:
    """Start a program as the leader of a new session, every signal at its default and unblocked; return its pid.

    ``env`` is None for our own, and so is ``cwd``. ``stdio`` is what will be its descriptors 0, 1 and 2, put there one
    after the other: one of ours with no lower number, one of them that is there already, or the path of what is opened
    to read and write, which makes a terminal the controlling one. Raises `OSError`, which does not say whether it was
    the directory, such a path or the program.
    """
    libc = _libc()
    actions = ctypes.create_string_buffer(_OPAQUE_BYTES)
    _check(libc.posix_spawn_file_actions_init(actions))
    try:
        if cwd is not None:
            _check(libc.posix_spawn_file_actions_addchdir_np(actions, cwd))
        for number, source in enumerate(stdio):
            if isinstance(source, bytes):
                _check(libc.posix_spawn_file_actions_addopen(actions, number, source, os.O_RDWR, 0))
            else:
                _check(libc.posix_spawn_file_actions_adddup2(actions, source, number))
        arguments = (path, actions, _attributes(), _strings(argv), _environment(env))
        return descriptor_limit.spawn(lambda: _start(*arguments))  # by the lowered one the actions would be judged, too
    finally:
        libc.posix_spawn_file_actions_destroy(actions)


def _start(*arguments: object) -> int:
    pid = ctypes.c_int()
    _check(_libc().posix_spawn(ctypes.byref(pid), *arguments))
    return pid.value


@cache
def _libc() -> ctypes.PyDLL:
    """Its calls hold the GIL: no other thread begins anything while a limit is lowered for a child."""
    return ctypes.PyDLL(None)


@cache
def _attributes() -> ctypes.Array[ctypes.c_char]:
    libc = _libc()
    attributes = ctypes.create_string_buffer(_OPAQUE_BYTES)
    _check(libc.posix_spawnattr_init(attributes))
    _check(libc.posix_spawnattr_setflags(attributes, ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID)))
    _check(libc.posix_spawnattr_setsigdefault(attributes, b"\xff" * _SIGSET_BYTES))
    _check(libc.posix_spawnattr_setsigmask(attributes, bytes(_SIGSET_BYTES)))
    return attributes


def _strings(strings: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(strings) + 1))(*strings)


def _environment(env: Sequence[bytes] | None) -> ctypes.c_void_p | ctypes.Array[ctypes.c_char_p]:
    return ctypes.c_void_p.in_dll(_libc(), "environ") if env is None else _strings(env)


def _check(error: int) -> None:
    if error:
        raise OSError(error, os.strerror(error))
