"""``fs/walk`` on real trees. The order and what the limits count are the reference server's."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from execserver.server.files import Files
from execserver.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, NOT_FOUND
from tests.server.fs_calls import FileCalls

NO_LIMIT: dict[str, Any] = {
    "maxDepth": 100,
    "maxEntries": 1000,
    "maxDirectories": 1000,
    "followDirectorySymlinks": False,
    "pruneHiddenDirectories": False,
}


@pytest.fixture
def call() -> FileCalls:
    return FileCalls(Files())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for directory in (".hidden/in", "a/x", "b/c/d", "b/.hidden"):
        (tmp_path / directory).mkdir(parents=True)
    for file in (".dot", ".hidden/file", "a/file", "b/c/d/file", "b/file", "file"):
        (tmp_path / file).touch()
    (tmp_path / "b" / "up").symlink_to("..")
    (tmp_path / "b" / "to-a").symlink_to("../a")
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "to-nothing").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


async def walk(call: FileCalls, root: Path, **options: Any) -> tuple[list[str], bool]:
    """Answer the entries below the root, directories with a slash, and whether the walk was cut short."""
    walked = await call("walk", path=root, options=NO_LIMIT | options)
    assert walked["errors"] == []
    prefix = f"file://{root}/"
    assert all(entry["path"].startswith(prefix) for entry in walked["entries"])
    return [
        entry["path"].removeprefix(prefix) + ("/" if entry["kind"] == "directory" else "")
        for entry in walked["entries"]
    ], walked["truncated"]


ROOT = [".dot", ".hidden/", "a/", "b/", "file"]
FIRST = [".hidden/file", ".hidden/in/", "a/file", "a/x/", "b/.hidden/", "b/c/", "b/file"]
REST = ["b/c/d/", "b/c/d/file"]


async def test_a_tree_is_walked_breadth_first_in_order_and_links_are_left_out(call: FileCalls, tree: Path) -> None:
    assert await walk(call, tree) == (ROOT + FIRST + REST, False)


async def test_links_to_directories_are_entries_if_followed_but_nothing_is_read_twice(
    call: FileCalls, tree: Path
) -> None:
    entries = [".hidden/file", ".hidden/in/", "a/file", "a/x/", "b/.hidden/", "b/c/", "b/file", "b/to-a/", "b/up/"]
    with trio.fail_after(5):  # `up` is a loop
        assert await walk(call, tree, followDirectorySymlinks=True) == (ROOT + entries + REST, False)


async def test_a_directory_that_is_known_by_its_link_alone_is_read_through_it(call: FileCalls, tree: Path) -> None:
    assert (await walk(call, tree / "b", followDirectorySymlinks=True, maxDepth=1))[0] == [
        ".hidden/", "c/", "file", "to-a/", "up/", "c/d/", "to-a/file", "to-a/x/",
        "up/.dot", "up/.hidden/", "up/a/", "up/b/", "up/file",
    ]  # fmt: skip


async def test_hidden_directories_are_pruned_but_named(call: FileCalls, tree: Path) -> None:
    entries = ["a/file", "a/x/", "b/.hidden/", "b/c/", "b/file"]
    assert await walk(call, tree, pruneHiddenDirectories=True) == (ROOT + entries + REST, False)
    assert await walk(call, tree / ".hidden", pruneHiddenDirectories=True) == (["file", "in/"], False)


@pytest.mark.parametrize(("depth", "entries"), [(0, ROOT), (1, ROOT + FIRST), (2, ROOT + FIRST + REST[:1])])
async def test_depth_0_is_the_roots_own_entries_and_no_truncation(
    call: FileCalls, tree: Path, depth: int, entries: list[str]
) -> None:
    assert await walk(call, tree, maxDepth=depth) == (entries, False)


async def test_max_entries_counts_every_name_that_is_looked_at(call: FileCalls, tree: Path) -> None:
    assert await walk(call, tree, maxEntries=1) == (ROOT[:1], True)
    assert await walk(call, tree, maxEntries=5) == (ROOT[:4], True)  # the fifth is the FIFO
    assert await walk(call, tree, maxEntries=19) == (ROOT + FIRST + REST[:1], True)
    assert await walk(call, tree, maxEntries=20) == (ROOT + FIRST + REST, False)


async def test_max_directories_counts_the_directories_that_are_read_and_the_root(call: FileCalls, tree: Path) -> None:
    assert await walk(call, tree, maxDirectories=1) == (ROOT, True)
    assert await walk(call, tree, maxDirectories=3) == (ROOT + FIRST[:4], True)
    assert await walk(call, tree, maxDirectories=8) == (ROOT + FIRST + REST[:1], True)
    assert await walk(call, tree, maxDirectories=9) == (ROOT + FIRST + REST, False)


@pytest.mark.parametrize("limit", ["maxEntries", "maxDirectories"])
async def test_a_limit_of_nothing_is_refused(call: FileCalls, tree: Path, limit: str) -> None:
    fault = await call.fault("walk", path=tree, options=NO_LIMIT | {limit: 0})
    assert (fault.code, fault.message) == (INVALID_REQUEST, "filesystem walk limits must be greater than zero")


@pytest.mark.parametrize("root", ["file", "fifo", "to-file", "b/to-a"])
async def test_what_is_no_directory_has_nothing_below_it(call: FileCalls, tree: Path, root: str) -> None:
    assert await walk(call, tree / root) == ([], False)


async def test_the_root_may_be_a_link_if_links_are_followed(call: FileCalls, tree: Path) -> None:
    assert await walk(call, tree / "b" / "to-a", followDirectorySymlinks=True) == (["file", "x/"], False)


async def test_a_missing_root_is_a_missing_path(call: FileCalls, tree: Path) -> None:
    for root in ("missing", "to-nothing"):
        assert (await call.fault("walk", path=tree / root, options=NO_LIMIT)).code == NOT_FOUND
    loop = await call.fault("walk", path=tree / "loop", options=NO_LIMIT)
    assert (loop.code, loop.kind) == (INTERNAL_ERROR, "symlinkLoop")


async def test_a_directory_that_cannot_be_read_is_listed_among_the_errors_and_the_walk_goes_on(
    call: FileCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in ("a", "b", "c"):
        (tmp_path / directory / "below").mkdir(parents=True)
    real_scandir = os.scandir

    def scandir(path: str) -> Any:
        if path.endswith("/b"):  # root reads everything, so the refusal is made up
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    walked = await call("walk", path=tmp_path, options=NO_LIMIT)
    assert walked["errors"] == [{"path": f"file://{tmp_path}/b", "message": "Permission denied (os error 13)"}]
    assert [entry["path"].removeprefix(f"file://{tmp_path}/") for entry in walked["entries"]] == [
        "a", "b", "c", "a/below", "c/below",
    ]  # fmt: skip
    assert walked["truncated"] is False


async def test_a_directory_that_goes_while_it_is_walked_is_an_error_and_no_more(
    call: FileCalls, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_scandir = os.scandir

    def scandir(path: str) -> Any:
        scanned = real_scandir(path)
        if path == str(tree / ".hidden"):  # the root has been read, `b` is waiting
            shutil.rmtree(tree / "b")
        return scanned

    monkeypatch.setattr(os, "scandir", scandir)
    walked = await call("walk", path=tree, options=NO_LIMIT | {"followDirectorySymlinks": True})
    assert walked["errors"] == [{"path": f"file://{tree}/b", "message": "No such file or directory (os error 2)"}]


async def test_names_that_are_not_utf_8_are_percent_encoded(call: FileCalls, tmp_path: Path) -> None:
    os.makedirs(os.fsencode(tmp_path) + b"/\xff d?/\xfe")
    assert await walk(call, tmp_path) == (["%FF%20d%3F/", "%FF%20d%3F/%FE/"], False)


async def test_the_root_of_all_has_one_slash(call: FileCalls) -> None:
    walked = await call("walk", path="file:///", options=NO_LIMIT | {"maxDepth": 0})
    assert {"path": "file:///proc", "kind": "directory"} in walked["entries"]


@pytest.fixture
def hundred_thousand(tmp_path: Path) -> Iterator[Path]:
    """Ten directories of 10,000 files: in memory where there is such a place, a busy disk takes a minute."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=place) as root:
        for directory in range(10):
            os.mkdir(f"{root}/{directory}")
            for file in range(10_000):
                os.mknod(f"{root}/{directory}/{file:05}")
        yield Path(root)


async def test_a_hundred_thousand_entries_are_no_burden(call: FileCalls, hundred_thousand: Path) -> None:
    with trio.fail_after(10):  # the walk takes 0.16 s on an idle machine
        walked = await call("walk", path=hundred_thousand, options=NO_LIMIT | {"maxEntries": 100_010})
    assert (len(walked["entries"]), walked["truncated"]) == (100_010, False)
