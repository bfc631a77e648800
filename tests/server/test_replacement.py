"""New content appears whole or not at all, and nothing is left beside it."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from execserver.server import replacement
from execserver.server.replacement import Replacement, write_all


@pytest.fixture(params=["without a name", "with a temporary name"])
def beside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make new files in both of the ways there are: not every file system has O_TMPFILE."""
    if request.param == "with a temporary name":
        monkeypatch.setattr(replacement, "_DESCRIPTORS", "/nowhere")


def replace(path: Path, content: bytes, mode: int | None = None) -> None:
    new = Replacement(str(path), mode)
    try:
        write_all(new.fd, content)
        new.commit()
    finally:
        new.discard()


def refusing(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Make a function of `os` fail as a kernel would. (Root is refused nothing, so permissions prove nothing.)"""

    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, name, refuse)


@pytest.mark.usefixtures("beside")
def test_the_old_content_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    new = Replacement(str(path))
    write_all(new.fd, b"new")
    assert path.read_bytes() == b"old"
    new.commit()
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.usefixtures("beside")
def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for target in (path, tmp_path / "new"):
        new = Replacement(str(target))
        write_all(new.fd, b"half")
        new.discard()
        new.discard()
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.usefixtures("beside")
def test_a_name_as_long_as_names_get_is_replaced_too(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    for content in (b"one", b"two"):
        replace(path, content)
        assert path.read_bytes() == content


@pytest.mark.usefixtures("beside")
def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.setxattr(path, "user.origin", b"here")
    replace(path, b"new")
    assert (path.read_bytes(), os.getxattr(path, "user.origin")) == (b"new", b"here")


def test_a_file_system_without_attributes_is_no_reason_to_write_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    inode = path.stat().st_ino
    refusing(monkeypatch, "listxattr", errno.EOPNOTSUPP)
    replace(path, b"new")
    assert path.stat().st_ino != inode


@pytest.mark.usefixtures("beside")
def test_a_private_file_is_private_from_the_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o600)
    modes = []
    real_fchmod = os.fchmod

    def fchmod(fd: int, mode: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        real_fchmod(fd, mode)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fchmod", fchmod)
        replace(path, b"secret")
    assert [*modes, stat.S_IMODE(path.stat().st_mode)] == [0o600, 0o600]


@pytest.mark.usefixtures("beside")
def test_a_given_mode_is_set_whatever_the_umask(tmp_path: Path) -> None:
    for _ in range(2):
        replace(tmp_path / "file", b"", 0o777)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o777
        (tmp_path / "file").chmod(0o600)


def test_without_o_tmpfile_it_has_a_temporary_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def open_without_tmpfile(path: str, flags: int, *mode: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "")
        return real_open(path, flags, *mode)

    monkeypatch.setattr(os, "open", open_without_tmpfile)
    new = Replacement(str(tmp_path / "file"))
    assert [name.startswith(".execserver-") for name in os.listdir(tmp_path)] == [True]
    new.commit()
    assert os.listdir(tmp_path) == ["file"]


# Where renaming is impossible, or would change what the path is.


def test_a_file_with_other_links_is_written_in_place(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(b"longer than the new one")
    other.hardlink_to(path)
    replace(path, b"new")
    assert other.read_bytes() == b"new"
    assert path.samefile(other)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_where_nothing_can_be_created_it_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"longer than the new one")
    inode = path.stat().st_ino
    real_open = os.open

    def open_nothing_new(name: str, flags: int, *mode: int) -> int:
        if flags & (os.O_CREAT | os.O_TMPFILE) & ~os.O_DIRECTORY:
            raise OSError(number, os.strerror(number))
        return real_open(name, flags, *mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", open_nothing_new)
        replace(path, b"new")
        with pytest.raises(OSError, match=os.strerror(number)):
            replace(tmp_path / "missing", b"new")
    assert (path.read_bytes(), path.stat().st_ino) == (b"new", inode)


@pytest.mark.parametrize("name", ["fchown", "setxattr"])
def test_a_file_whose_owner_or_attributes_cannot_be_kept_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"longer than the new one")
    os.setxattr(path, "user.origin", b"here")
    inode = path.stat().st_ino
    if name == "fchown":
        real_fstat = os.fstat
        monkeypatch.setattr(os, "fstat", lambda fd: _owned_by_another(real_fstat(fd)))
    refusing(monkeypatch, name, errno.EPERM)
    replace(path, b"new")
    assert (path.read_bytes(), path.stat().st_ino) == (b"new", inode)
    assert os.getxattr(path, "user.origin") == b"here"
    assert os.listdir(tmp_path) == ["file"]


def _owned_by_another(found: os.stat_result) -> os.stat_result:
    fields = list(found[:10])
    fields[stat.ST_UID] += 1
    return os.stat_result(fields)


@pytest.mark.usefixtures("beside")
def test_a_mount_point_is_filled_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"longer than the new one")
    inode = path.stat().st_ino
    refusing(monkeypatch, "rename", errno.EBUSY)
    replace(path, b"new" * 1_000_000)
    assert (path.read_bytes(), path.stat().st_ino) == (b"new" * 1_000_000, inode)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.usefixtures("beside")
def test_a_failure_to_take_the_place_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    refusing(monkeypatch, "rename", errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_read_only_file_is_not_replaced_behind_its_permissions_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    real_open = os.open

    def open_read_only(name: str, flags: int, *mode: int) -> int:
        if name == str(path) and flags & os.O_WRONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real_open(name, flags, *mode)

    monkeypatch.setattr(os, "open", open_read_only)
    monkeypatch.setattr(os, "access", lambda *args, **options: False)
    with pytest.raises(PermissionError):
        replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
