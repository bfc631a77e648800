"""``fs/remove`` and ``fs/copy`` on real trees."""

import os
import stat
from pathlib import Path

import pytest

from execserver.server.files import Files
from execserver.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, NOT_FOUND
from tests.server.fs_calls import FileCalls


@pytest.fixture
def call() -> FileCalls:
    return FileCalls(Files())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "full" / "below").mkdir(parents=True)
    (tmp_path / "full" / "file").write_bytes(b"content")
    (tmp_path / "full" / "file").chmod(0o751)
    (tmp_path / "full" / "link").symlink_to("file")
    (tmp_path / "full" / "below").chmod(0o700)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"hello")
    (tmp_path / "to-full").symlink_to("full")
    (tmp_path / "to-nothing").symlink_to("nothing")
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# remove


@pytest.mark.parametrize("more", [{}, {"recursive": False, "force": False}, {"recursive": None, "force": None}])
async def test_by_default_a_directory_that_is_not_empty_stays(
    call: FileCalls, tree: Path, more: dict[str, object]
) -> None:
    fault = await call.fault("remove", path=tree / "full", **more)
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "directoryNotEmpty")
    assert (tree / "full" / "file").exists()
    for name in ("empty", "file", "to-nothing"):
        assert await call("remove", path=tree / name, **more) == {}
        assert not os.path.lexists(tree / name)
    assert (await call.fault("remove", path=tree / "missing", **more)).code == NOT_FOUND


async def test_force_takes_a_missing_path_for_success_and_nothing_else(call: FileCalls, tree: Path) -> None:
    assert await call("remove", path=tree / "missing", force=True) == {}
    assert await call("remove", path=tree / "missing" / "below", force=True) == {}
    assert (await call.fault("remove", path=tree / "full", force=True)).kind == "directoryNotEmpty"


async def test_recursive_removes_the_tree_but_nothing_beyond_its_links(call: FileCalls, tree: Path) -> None:
    (tree / "full" / "out").symlink_to("../empty")
    (tree / "empty" / "precious").touch()
    await call("remove", path=tree / "full", recursive=True)
    assert not (tree / "full").exists()
    assert (tree / "empty" / "precious").exists()


@pytest.mark.parametrize("slashes", ["", "/", "//"])
async def test_removing_a_link_removes_the_link_however_it_is_written(
    call: FileCalls, tree: Path, slashes: str
) -> None:
    await call("remove", path=f"{tree}/to-full{slashes}", recursive=True)
    assert not os.path.lexists(tree / "to-full")
    assert (tree / "full" / "file").exists()


@pytest.mark.parametrize("path", ["file:///", "/", "//", "{tree}/full/.", "{tree}/full/..", "{tree}/to-full/."])
async def test_a_directory_is_removed_under_its_own_name_only(call: FileCalls, tree: Path, path: str) -> None:
    fault = await call.fault("remove", path=path.format(tree=tree), recursive=True, force=True)
    assert (fault.code, fault.kind) == (INVALID_REQUEST, "invalidArgument")
    assert (tree / "full" / "file").exists()


# copy


async def copy(call: FileCalls, source: Path, destination: Path, *, recursive: bool = False) -> None:
    assert await call("copy", sourcePath=source, destinationPath=destination, recursive=recursive) == {}


async def test_a_file_is_copied_with_its_mode(call: FileCalls, tree: Path) -> None:
    before = os.umask(0o077)
    try:
        await copy(call, tree / "full" / "file", tree / "new")
    finally:
        os.umask(before)
    assert ((tree / "new").read_bytes(), mode(tree / "new")) == (b"content", 0o751)


async def test_a_file_is_replaced_by_the_copy_and_a_link_leads_to_what_is_replaced(call: FileCalls, tree: Path) -> None:
    (tree / "to-file").symlink_to("file")
    await copy(call, tree / "full" / "file", tree / "to-file")
    assert ((tree / "file").read_bytes(), mode(tree / "file")) == (b"content", 0o751)
    assert (tree / "to-file").is_symlink()


async def test_a_link_is_copied_as_a_link(call: FileCalls, tree: Path) -> None:
    for link, target in (("to-full", "full"), ("to-nothing", "nothing")):
        await copy(call, tree / link, tree / "copy")
        assert os.readlink(tree / "copy") == target
        (tree / "copy").unlink()


async def test_a_tree_is_copied_with_links_and_modes_and_without_what_cannot_be_copied(
    call: FileCalls, tree: Path
) -> None:
    os.mkfifo(tree / "full" / "fifo")
    (tree / "full").chmod(0o500)
    await copy(call, tree / "full", tree / "missing" / "copy", recursive=True)
    made = tree / "missing" / "copy"
    assert sorted(os.listdir(made)) == ["below", "file", "link"]
    assert [mode(path) for path in (made, made / "below", made / "file")] == [0o500, 0o700, 0o751]
    assert (os.readlink(made / "link"), (made / "file").read_bytes()) == ("file", b"content")


async def test_a_tree_is_merged_into_a_directory_that_exists(call: FileCalls, tree: Path) -> None:
    (tree / "empty" / "kept").touch()
    (tree / "empty" / "file").write_bytes(b"replaced")
    (tree / "empty").chmod(0o711)
    await copy(call, tree / "full", tree / "empty", recursive=True)
    assert sorted(os.listdir(tree / "empty")) == ["below", "file", "kept", "link"]
    assert (tree / "empty" / "file").read_bytes() == b"content"
    assert mode(tree / "empty") == 0o711


async def test_a_directory_needs_recursive(call: FileCalls, tree: Path) -> None:
    fault = await call.fault("copy", sourcePath=tree / "full", destinationPath=tree / "new", recursive=False)
    assert fault.code == INVALID_REQUEST
    assert fault.message == "fs/copy requires recursive: true when sourcePath is a directory"
    assert not (tree / "new").exists()


@pytest.mark.parametrize("destination", ["full", "full/new", "full/below/a/b", "to-full/new"])
async def test_a_directory_is_not_copied_into_itself(call: FileCalls, tree: Path, destination: str) -> None:
    fault = await call.fault("copy", sourcePath=tree / "full", destinationPath=tree / destination, recursive=True)
    assert fault.code == INVALID_REQUEST
    assert fault.message == "fs/copy cannot copy a directory to itself or one of its descendants"
    assert sorted(os.listdir(tree / "full")) == ["below", "file", "link"]


async def test_a_directory_beside_one_whose_name_begins_the_same_is_not_inside_it(call: FileCalls, tree: Path) -> None:
    await copy(call, tree / "full", tree / "fuller", recursive=True)
    assert (tree / "fuller" / "file").exists()


async def test_a_file_copied_onto_itself_keeps_its_content(call: FileCalls, tree: Path) -> None:
    (tree / "hard").hardlink_to(tree / "file")
    (tree / "soft").symlink_to("file")
    for destination in ("file", "hard", "soft"):
        await copy(call, tree / "file", tree / destination)
        assert (tree / "file").read_bytes() == b"hello"


async def test_a_link_does_not_replace_what_is_there(call: FileCalls, tree: Path) -> None:
    fault = await call.fault("copy", sourcePath=tree / "to-full", destinationPath=tree / "file", recursive=False)
    assert (fault.code, fault.kind) == (INTERNAL_ERROR, "alreadyExists")


async def test_a_directory_does_not_replace_a_file_nor_a_file_a_directory(call: FileCalls, tree: Path) -> None:
    onto_file = await call.fault("copy", sourcePath=tree / "full", destinationPath=tree / "file", recursive=True)
    assert onto_file.kind == "alreadyExists"
    onto_directory = await call.fault("copy", sourcePath=tree / "file", destinationPath=tree / "full", recursive=True)
    assert onto_directory.kind == "isADirectory"


async def test_a_fifo_is_not_copied(call: FileCalls, tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    fault = await call.fault("copy", sourcePath=tree / "fifo", destinationPath=tree / "new", recursive=False)
    assert (fault.code, fault.kind) == (INVALID_REQUEST, "notARegularFile")


@pytest.mark.parametrize(("source", "destination"), [("missing", "new"), ("file", "missing/new")])
async def test_a_missing_source_or_parent_is_a_missing_path(
    call: FileCalls, tree: Path, source: str, destination: str
) -> None:
    fault = await call.fault("copy", sourcePath=tree / source, destinationPath=tree / destination, recursive=False)
    assert fault.code == NOT_FOUND


async def test_the_refusal_of_a_path_names_its_member(call: FileCalls, tree: Path) -> None:
    for source, destination, member in (("x", "/y", "sourcePath"), ("/x", "y", "destinationPath")):
        fault = await call.fault("copy", sourcePath=source, destinationPath=destination, recursive=False)
        assert fault.message.endswith(f"at `$.{member}`")
