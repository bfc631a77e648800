"""Requests for confinement are refused before anything is done: protocol, section 6."""

import itertools
import os
from pathlib import Path
from typing import Any

from tests.daemon.wire_client import Client

UNRESTRICTED = {"type": "managed", "file_system": {"type": "unrestricted"}, "network": "enabled"}
RESTRICTED_FILES = {
    "type": "restricted",
    "entries": [{"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"}],
}

ACCEPTED_SANDBOXES: list[Any] = [
    None,
    {"permissions": {"type": "disabled"}},
    {"permissions": UNRESTRICTED},
    {"permissions": UNRESTRICTED, "cwd": "file:///tmp", "workspaceRoots": ["file:///tmp"], "useLegacyLandlock": False},
    {"permissions": {"type": "disabled"}, "cwd": "file:///tmp", "windowsSandboxLevel": "disabled"},
]

REFUSED_SANDBOXES: list[Any] = [
    {},
    [],
    "disabled",
    "read-only",
    0,
    1,
    False,
    True,
    {"permissions": None},
    {"permissions": {}},
    {"permissions": []},
    {"permissions": "disabled"},
    {"permissions": {"type": None}},
    {"permissions": {"type": "external"}},
    {"permissions": {"type": "external", "network": "enabled"}},
    {"permissions": {"type": "Disabled"}},
    {"permissions": {"type": "no-such-profile"}},
    {"permissions": {"type": ["disabled"]}},
    {"permissions": {"type": "managed"}},
    {"permissions": {"type": "managed", "network": "enabled"}},
    {"permissions": {"type": "managed", "file_system": {"type": "unrestricted"}}},
    {"permissions": {**UNRESTRICTED, "network": "restricted"}},
    {"permissions": {**UNRESTRICTED, "network": None}},
    {"permissions": {**UNRESTRICTED, "network": True}},
    {"permissions": {**UNRESTRICTED, "file_system": RESTRICTED_FILES}},
    {"permissions": {**UNRESTRICTED, "file_system": None}},
    {"permissions": {**UNRESTRICTED, "file_system": "unrestricted"}},
    {"permissions": {**UNRESTRICTED, "file_system": {}}},
    {"permissions": {"type": "managed", "file_system": RESTRICTED_FILES, "network": "restricted"}},
    {"type": "disabled"},
    {"permission": {"type": "disabled"}},
    {"mode": "read-only"},
    {"mode": "danger-full-access"},
]

# Each of the three other members, what passes and what must not.
NETWORK: dict[str, tuple[list[Any], list[Any]]] = {
    "enforceManagedNetwork": ([False], [True]),
    "managedNetwork": ([None], [{}, {"proxy": "http://127.0.0.1:1"}, False, "", [], 0]),
    "networkProxy": ([None], [{}, {"url": "http://127.0.0.1:1"}, False, "", [], 0]),
}

FS_CALLS: dict[str, dict[str, Any]] = {
    "fs/readFile": {"path": "{dir}/file"},
    "fs/writeFile": {"path": "{dir}/written", "dataBase64": "aGk="},
    "fs/createDirectory": {"path": "{dir}/made"},
    "fs/getMetadata": {"path": "{dir}/file"},
    "fs/canonicalize": {"path": "{dir}/file"},
    "fs/readDirectory": {"path": "{dir}"},
    "fs/walk": {
        "path": "{dir}",
        "options": {
            "maxDepth": 1,
            "maxEntries": 9,
            "maxDirectories": 9,
            "followDirectorySymlinks": False,
            "pruneHiddenDirectories": False,
        },
    },
    "fs/remove": {"path": "{dir}/file", "force": True},
    "fs/copy": {"sourcePath": "{dir}/file", "destinationPath": "{dir}/copied", "recursive": False},
    "fs/open": {"path": "{dir}/file", "handleId": "h"},
}


async def test_every_combination_of_the_four_members_is_judged_before_the_id_is_taken(client: Client) -> None:
    combinations = itertools.product(
        [(one, True) for one in ACCEPTED_SANDBOXES] + [(one, False) for one in REFUSED_SANDBOXES],
        *([(one, True) for one in good] + [(one, False) for one in bad] for good, bad in NETWORK.values()),
    )
    names = ["sandbox", *NETWORK]
    for n, combination in enumerate(combinations):
        params = {name: value for name, (value, _) in zip(names, combination, strict=True)}
        if all(good for _, good in combination):
            life = await client.run(f"good {n}", ["true"], **params)
            assert life.exit["exitCode"] == 0, params
        else:
            error = await client.refused("process/start", processId="p", argv=["true"], **params)
            assert (error.code, error.kind) == (-32602, "sandboxUnavailable"), params
    assert (await client.run("p", ["echo", "the id is free"])).stdout == b"the id is free\n"
    assert len(client.lives) == len(ACCEPTED_SANDBOXES) + 1, "something was started that was refused"


async def test_a_refused_command_has_not_run(client: Client, tmp_path: Path) -> None:
    for n, sandbox in enumerate(REFUSED_SANDBOXES):
        await client.refused("process/start", processId="p", argv=["touch", f"{tmp_path}/{n}"], sandbox=sandbox)
    await client.ping()
    assert os.listdir(tmp_path) == []


async def test_confinement_is_refused_whatever_else_is_wrong_or_extended(client: Client) -> None:
    sandbox = {"permissions": {"type": "external"}}
    for params in ({"tty": True}, {"pipeStdin": True}, {"argv": ["/no/such/program"]}, {"cwd": "/no/such/dir"}):
        error = await client.refused(
            "process/start", **{"processId": "p", "argv": ["true"], "sandbox": sandbox, **params}
        )
        assert (error.code, error.kind) == (-32602, "sandboxUnavailable"), params


async def test_fs_methods_refuse_confinement_before_they_touch_anything(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    before = sorted(os.listdir(tmp_path))
    for method, template in FS_CALLS.items():
        params = {
            name: value.replace("{dir}", str(tmp_path)) if isinstance(value, str) else value
            for name, value in template.items()
        }
        for sandbox in REFUSED_SANDBOXES:
            error = await client.refused(method, **params, sandbox=sandbox)
            assert (error.code, error.kind) == (-32602, "sandboxUnavailable"), (method, sandbox)
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "file").read_text() == "kept"


async def test_fs_methods_accept_what_asks_for_no_confinement(client: Client, tmp_path: Path) -> None:
    for n, sandbox in enumerate(ACCEPTED_SANDBOXES):
        path = f"{tmp_path}/{n}"
        assert await client.request("fs/writeFile", path=path, dataBase64="aGk=", sandbox=sandbox) == {}
        assert (await client.request("fs/readFile", path=path, sandbox=sandbox))["dataBase64"] == "aGk="
        assert (await client.request("fs/getMetadata", path=path, sandbox=sandbox))["isFile"] is True
