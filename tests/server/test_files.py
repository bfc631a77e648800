"""``fs/*`` on real directories: one path, one answer. (Trees: test_walk, test_tree; handles: test_handles.)"""

import base64
import errno
import os
import stat
from pathlib import Path

import pytest

from execserver.server.files import Files
from execserver.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, NOT_FOUND
from tests.server.fs_calls import FileCalls, b64


@pytest.fixture
def call() -> FileCalls:
    return FileCalls(Files())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """A directory with a link to a file, one to a directory, one to nothing, and a loop."""
    (tmp_path / "file").write_bytes(b"hello")
    (tmp_path / "directory").mkdir()
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "to-directory").symlink_to("directory")
    (tmp_path / "to-nothing").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


# Every method, of a path that is not there.


@pytest.mark.parametrize("name", ["readFile", "getMetadata", "canonicalize", "readDirectory", "remove"])
async def test_a_missing_path_is_minus_32004_with_the_reference_servers_words(
    call: FileCalls, tmp_path: Path, name: str
) -> None:
    fault = await call.fault(name, path=tmp_path / "missing")
    assert (fault.code, fault.kind, fault.errno) == (NOT_FOUND, "notFound", errno.ENOENT)
    assert fault.message == "No such file or directory (os error 2)"


@pytest.mark.parametrize("name", ["readFile", "getMetadata", "canonicalize", "readDirectory"])
async def test_a_link_to_nothing_is_a_missing_path(call: FileCalls, links: Path, name: str) -> None:
    assert (await call.fault(name, path=links / "to-nothing")).code == NOT_FOUND


@pytest.mark.parametrize("name", ["readFile", "getMetadata", "canonicalize", "readDirectory"])
async def test_a_loop_of_links_is_an_error_with_its_errno(call: FileCalls, links: Path, name: str) -> None:
    fault = await call.fault(name, path=links / "loop")
    assert (fault.code, fault.kind, fault.errno) == (INTERNAL_ERROR, "symlinkLoop", errno.ELOOP)


@pytest.mark.parametrize("name", ["readFile", "getMetadata", "canonicalize", "readDirectory", "remove"])
async def test_a_file_where_a_directory_should_be_is_not_a_missing_path(
    call: FileCalls, links: Path, name: str
) -> None:
    fault = await call.fault(name, path=links / "file" / "below")
    assert (fault.code, fault.kind, fault.errno) == (INTERNAL_ERROR, "notADirectory", errno.ENOTDIR)


async def test_a_name_that_is_too_long_is_an_error_with_its_errno(call: FileCalls, tmp_path: Path) -> None:
    fault = await call.fault("getMetadata", path=tmp_path / ("x" * 256))
    assert (fault.code, fault.kind, fault.errno) == (INTERNAL_ERROR, "nameTooLong", errno.ENAMETOOLONG)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("readFile", {}),
        ("writeFile", {"dataBase64": ""}),
        ("createDirectory", {}),
        ("getMetadata", {}),
        ("canonicalize", {}),
        ("readDirectory", {}),
        ("walk", {"options": {"maxDepth": 1, "maxEntries": 1, "maxDirectories": 1}}),
        ("remove", {}),
        ("open", {"handleId": "h"}),
        ("open", {"handleId": "h", "mode": "replace"}),
    ],
)
async def test_a_request_for_confinement_is_refused_before_anything_is_done(
    call: FileCalls, tmp_path: Path, name: str, more: dict[str, object]
) -> None:
    path = tmp_path / "path"
    sandbox = {"permissions": {"type": "managed", "file_system": {"type": "restricted"}, "network": "enabled"}}
    fault = await call.fault(name, path=path, sandbox=sandbox, **more)
    assert (fault.code, fault.kind) == (INVALID_PARAMS, "sandboxUnavailable")
    relative = await call.fault(name, path="relative", sandbox=sandbox, **more)
    assert relative.kind == "sandboxUnavailable"
    assert not path.exists()


async def test_copy_too_refuses_confinement(call: FileCalls, links: Path) -> None:
    destination = links / "copy"
    fault = await call.fault(
        "copy", sourcePath=links / "file", destinationPath=destination, recursive=False, sandbox={"type": "x"}
    )
    assert (fault.code, fault.kind) == (INVALID_PARAMS, "sandboxUnavailable")
    assert not destination.exists()


# readFile


async def test_a_file_is_read_whole_also_through_a_link(call: FileCalls, links: Path) -> None:
    assert await call("readFile", path=links / "file") == {"dataBase64": b64(b"hello")}
    assert await call("readFile", path=links / "to-file", sandbox=None) == {"dataBase64": b64(b"hello")}


async def test_an_empty_file_is_read_as_nothing(call: FileCalls, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert await call("readFile", path=tmp_path / "empty") == {"dataBase64": ""}


async def test_a_file_that_claims_no_size_is_read_to_its_end(call: FileCalls) -> None:
    assert os.stat("/proc/self/environ").st_size == 0
    read = await call("readFile", path="/proc/self/environ")
    assert base64.b64decode(read["dataBase64"]) == Path("/proc/self/environ").read_bytes() != b""


async def test_max_bytes_is_inclusive_and_refuses_what_is_larger(call: FileCalls, links: Path) -> None:
    assert await call("readFile", path=links / "file", maxBytes=5) == {"dataBase64": b64(b"hello")}
    fault = await call.fault("readFile", path=links / "file", maxBytes=4)
    assert (fault.code, fault.kind) == (INVALID_REQUEST, "tooLarge")


async def test_max_bytes_holds_for_a_file_that_claims_no_size(call: FileCalls) -> None:
    fault = await call.fault("readFile", path="/proc/self/environ", maxBytes=1)
    assert (fault.code, fault.kind) == (INVALID_REQUEST, "tooLarge")


async def test_a_file_above_512_mib_is_refused_without_being_read(call: FileCalls, tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate((512 << 20) + 1)
    fault = await call.fault("readFile", path=tmp_path / "sparse")
    assert (fault.code, fault.kind) == (INVALID_REQUEST, "tooLarge")
    assert fault.message == "file is too large to read: limit is 536870912 bytes"


async def test_what_is_no_regular_file_is_not_even_opened(call: FileCalls, links: Path) -> None:
    os.mkfifo(links / "fifo")  # opening it would wait for a writer
    for path in ("fifo", "directory", "to-directory"):
        fault = await call.fault("readFile", path=links / path)
        assert (fault.code, fault.kind) == (INVALID_REQUEST, "notARegularFile")
        assert fault.message == f"path `{links / path}` is not a file"


async def test_what_becomes_a_fifo_while_it_is_opened_costs_no_thread(
    call: FileCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    regular = os.stat(__file__)
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", lambda path: regular)
        fault = await call.fault("readFile", path=tmp_path / "fifo")
    assert (fault.code, fault.kind) == (INVALID_REQUEST, "notARegularFile")


# getMetadata


async def test_metadata_has_six_members_and_follows_links(call: FileCalls, links: Path) -> None:
    os.utime(links / "file", ns=(0, 1_234_567_890_123_456_789))
    of_file = {
        "isDirectory": False,
        "isFile": True,
        "isSymlink": False,
        "size": 5,
        "createdAtMs": 0,
        "modifiedAtMs": 1_234_567_890_123,
    }
    assert await call("getMetadata", path=links / "file") == of_file
    assert await call("getMetadata", path=links / "to-file") == of_file | {"isSymlink": True}
    directory = await call("getMetadata", path=links / "to-directory")
    assert (directory["isDirectory"], directory["isFile"], directory["isSymlink"]) == (True, False, True)


async def test_a_fifo_is_neither_file_nor_directory(call: FileCalls, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    fifo = await call("getMetadata", path=tmp_path / "fifo")
    assert (fifo["isDirectory"], fifo["isFile"], fifo["isSymlink"]) == (False, False, False)


# canonicalize, readDirectory, createDirectory


async def test_canonicalize_resolves_every_link(call: FileCalls, links: Path) -> None:
    found = await call("canonicalize", path=links / "to-directory" / ".." / "to-file")
    assert found == {"path": f"file://{os.path.realpath(links)}/file"}


async def test_names_that_are_not_utf_8_are_reached_by_their_percent_encoded_bytes(
    call: FileCalls, tmp_path: Path
) -> None:
    uri = f"file://{tmp_path}/n%FF%C3%A9"
    await call("writeFile", path=uri, dataBase64=b64(b"x"))
    assert os.listdir(os.fsencode(tmp_path)) == [b"n\xff\xc3\xa9"]
    assert await call("readFile", path=uri) == {"dataBase64": b64(b"x")}
    assert await call("canonicalize", path=uri) == {"path": uri}
    # A name is text in a listing, and text has no such bytes.
    assert await call("readDirectory", path=tmp_path) == {
        "entries": [{"fileName": "n\ufffd\u00e9", "isDirectory": False, "isFile": True}]
    }
    await call("createDirectory", path=f"file://{tmp_path}/%FE")
    fault = await call.fault("readFile", path=f"file://{tmp_path}/%FE")
    assert fault.message == f"path `{tmp_path}/\ufffd` is not a file"


async def test_a_directory_is_listed_in_order_with_what_its_links_lead_to(call: FileCalls, links: Path) -> None:
    listed = await call("readDirectory", path=links)
    assert [(entry["fileName"], entry["isDirectory"], entry["isFile"]) for entry in listed["entries"]] == [
        ("directory", True, False),
        ("file", False, True),
        ("loop", False, False),
        ("to-directory", True, False),
        ("to-file", False, True),
        ("to-nothing", False, False),
    ]


@pytest.mark.parametrize("more", [{}, {"recursive": None}, {"recursive": True}])
async def test_a_directory_is_created_with_what_is_missing_above_it(
    call: FileCalls, tmp_path: Path, more: dict[str, object]
) -> None:
    for _ in range(2):  # an existing directory is success
        assert await call("createDirectory", path=tmp_path / "a" / "b", **more) == {}
        assert (tmp_path / "a" / "b").is_dir()


async def test_without_recursive_a_directory_needs_its_parent_and_must_be_new(call: FileCalls, tmp_path: Path) -> None:
    missing = await call.fault("createDirectory", path=tmp_path / "a" / "b", recursive=False)
    assert missing.code == NOT_FOUND
    await call("createDirectory", path=tmp_path / "a", recursive=False)
    exists = await call.fault("createDirectory", path=tmp_path / "a", recursive=False)
    assert (exists.code, exists.kind, exists.errno) == (INTERNAL_ERROR, "alreadyExists", errno.EEXIST)


async def test_a_file_in_the_place_of_a_directory_is_an_error_with_recursive_too(call: FileCalls, links: Path) -> None:
    fault = await call.fault("createDirectory", path=links / "file", recursive=True)
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "alreadyExists")


# writeFile


async def test_a_new_file_gets_the_mode_of_the_umask(call: FileCalls, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert await call("writeFile", path=tmp_path / "new", dataBase64=b64(b"new")) == {}
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"new"
    assert mode(tmp_path / "new") == 0o640


async def test_writing_replaces_the_content_and_keeps_mode_and_owner(call: FileCalls, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a longer content")
    if os.geteuid() == 0:
        os.chown(path, 4321, 1234)
    path.chmod(0o4751)
    before = path.stat()
    with open(path, "rb") as reader:
        await call("writeFile", path=path, dataBase64=b64(b"new"))
        assert reader.read() == b"a longer content"  # whoever has it open goes on with the old file, whole
    after = path.stat()
    assert path.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.listdir(tmp_path) == ["file"]


async def test_writing_through_a_link_writes_what_it_leads_to(call: FileCalls, links: Path) -> None:
    await call("writeFile", path=links / "to-file", dataBase64=b64(b"new"))
    assert (os.readlink(links / "to-file"), (links / "file").read_bytes()) == ("file", b"new")
    await call("writeFile", path=links / "to-nothing", dataBase64=b64(b"something"))
    assert (os.readlink(links / "to-nothing"), (links / "nothing").read_bytes()) == ("nothing", b"something")


async def test_a_missing_parent_is_a_missing_path(call: FileCalls, tmp_path: Path) -> None:
    assert (await call.fault("writeFile", path=tmp_path / "a" / "b", dataBase64="")).code == NOT_FOUND


async def test_a_directory_is_not_written(call: FileCalls, links: Path) -> None:
    for path in ("directory", "to-directory"):
        fault = await call.fault("writeFile", path=links / path, dataBase64="")
        assert (fault.code, fault.kind, fault.errno) == (INTERNAL_ERROR, "isADirectory", errno.EISDIR)
    assert (await call.fault("writeFile", path=links / "loop", dataBase64="")).kind == "symlinkLoop"


async def test_a_fifo_that_nobody_reads_costs_no_thread(call: FileCalls, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    fault = await call.fault("writeFile", path=tmp_path / "fifo", dataBase64=b64(b"x"))
    assert (fault.code, fault.errno) == (INTERNAL_ERROR, errno.ENXIO)


async def test_a_full_device_is_an_error_with_its_errno(call: FileCalls) -> None:
    fault = await call.fault("writeFile", path="/dev/full", dataBase64=b64(b"x"))
    assert (fault.code, fault.kind, fault.errno) == (INTERNAL_ERROR, "noSpace", errno.ENOSPC)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
