"""What asks for confinement is refused. Every combination of the values below is walked; the verdict of a combination
follows from the verdict of its parts, which are written down here and not computed by the code under test."""

import itertools

import pytest

from execserver.server.confinement import refuse_confinement
from execserver.wire.errors import INVALID_PARAMS, Fault

# (value, whether it asks for nothing)
OPEN_SANDBOXES: list[object] = [
    None,
    {"permissions": {"type": "disabled"}},
    {"permissions": {"type": "managed", "file_system": {"type": "unrestricted"}, "network": "enabled"}},
    {
        "permissions": {"type": "disabled"},
        "cwd": "file:///srv",
        "workspaceRoots": ["file:///srv"],
        "windowsSandboxLevel": "disabled",
        "windowsSandboxPrivateDesktop": False,
        "windowsSandboxProxySettingsMode": "reconcile",
        "useLegacyLandlock": False,
        "notYetInvented": None,
    },
]
DOUBTFUL_SANDBOXES: list[object] = [
    False,
    True,
    0,
    "",
    "disabled",
    [],
    {},
    {"type": "disabled"},
    {"permissions": None},
    {"permissions": "disabled"},
    {"permissions": [{"type": "disabled"}]},
    {"permissions": {}},
    {"permissions": {"type": "Disabled"}},
    {"permissions": {"type": ["disabled"]}},
    {"permissions": {"type": "external"}},
    {"permissions": {"type": "external", "network": "enabled"}},
    {"permissions": {"type": "disabled", "network": "restricted"}},
    {"permissions": {"type": "disabled", "file_system": {"type": "restricted", "entries": []}}},
    {"permissions": {"type": "disabled", "syscalls": "none"}},
    {"permissions": {"type": "disabled"}, "file_system": {"type": "restricted"}},
    {"permissions": {"type": "disabled"}, "networkProxy": {}},
    {"Permissions": {"type": "disabled"}},
]
FILE_SYSTEMS: list[object] = [
    {"type": "unrestricted"},
    {"type": "unrestricted", "entries": []},
    {"type": "restricted", "entries": []},
    {"type": "Unrestricted"},
    {"type": None},
    {},
    [],
    "unrestricted",
    True,
    None,
]
NETWORKS: list[object] = [
    "enabled",
    "restricted",
    "Enabled",
    "full",
    "",
    True,
    1,
    {"type": "enabled"},
    ["enabled"],
    None,
]
ENFORCE: list[object] = [False, None, True, 0, 1, "false", "", {}, []]
OBJECTS: list[object] = [None, {}, [], False, True, 0, "", {"proxy": None}]


def refused(**members: object) -> bool:
    try:
        refuse_confinement(**members)
    except Fault as fault:
        if (fault.code, fault.kind) != (INVALID_PARAMS, "sandboxUnavailable"):
            raise
        return True
    return False


def test_only_combinations_in_which_nothing_asks_for_confinement_pass() -> None:
    sandboxes = [(value, True) for value in OPEN_SANDBOXES] + [(value, False) for value in DOUBTFUL_SANDBOXES]
    passed = 0
    for (sandbox, is_open), enforce, managed, proxy in itertools.product(sandboxes, ENFORCE, OBJECTS, OBJECTS):
        asks_nothing = is_open and (enforce is False or enforce is None) and managed is None and proxy is None
        assert asks_nothing is not refused(
            sandbox=sandbox, enforce_managed_network=enforce, managed_network=managed, network_proxy=proxy
        ), (sandbox, enforce, managed, proxy)
        passed += asks_nothing
    assert passed == len(OPEN_SANDBOXES) * 2


@pytest.mark.parametrize("name", ["file_system", "fileSystem"])
def test_a_managed_profile_passes_only_with_an_unrestricted_file_system_and_the_network(name: str) -> None:
    passed: list[object] = []
    for kind, file_system, network in itertools.product(["managed", "external", "", None], FILE_SYSTEMS, NETWORKS):
        profile = {"type": kind, name: file_system, "network": network}
        if not refused(sandbox={"permissions": profile}):
            passed.append((kind, file_system, network))
    # The reference server does not take the camelCase spelling either.
    assert passed == ([("managed", {"type": "unrestricted"}, "enabled")] if name == "file_system" else [])


@pytest.mark.parametrize("missing", ["type", "file_system", "network"])
def test_a_managed_profile_that_leaves_something_out_is_refused(missing: str) -> None:
    profile = {"type": "managed", "file_system": {"type": "unrestricted"}, "network": "enabled"}
    del profile[missing]
    assert refused(sandbox={"permissions": profile})


def test_a_request_without_any_of_the_members_passes() -> None:
    refuse_confinement()


def test_what_the_codex_client_sends_for_a_writable_workspace_is_refused_and_the_message_names_the_member() -> None:
    root = {"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"}
    workspace = {"path": {"type": "special", "value": {"kind": "project_roots"}}, "access": "write"}
    sandbox = {
        "permissions": {
            "type": "managed",
            "file_system": {"type": "restricted", "entries": [root, workspace]},
            "network": "restricted",
        },
        "cwd": "file:///srv/project/ws",
        "workspaceRoots": ["file:///srv/project/ws"],
        "windowsSandboxLevel": "disabled",
        "windowsSandboxProxySettingsMode": "reconcile",
        "useLegacyLandlock": False,
    }
    with pytest.raises(Fault, match=r"\$\.sandbox\.permissions\.file_system"):
        refuse_confinement(sandbox=sandbox, enforce_managed_network=False)
