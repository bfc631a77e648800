"""Refuses every request that asks for confinement, since this server has none to give. No I/O.

A client that asks for a sandbox believes that its commands run in one. So what is let through is listed here (wire,
section 6), and whatever is not on the list is refused: unknown and malformed profiles, contradictions, other spellings.
Values are judged as they came, not as a type would read them: ``0`` is not ``false``.
"""

from typing import Any, Final

from execserver.wire.errors import Fault, invalid_params

# What a profile may say and still ask for nothing. snake_case, as the Codex client spells the members of a profile.
_UNCONFINED: Final[dict[str, object]] = {"file_system": {"type": "unrestricted"}, "network": "enabled"}

# Beside the profile the Codex client says how to confine, not whether; the profile alone decides that.
_MANNERS: Final = frozenset(
    {
        "cwd",
        "workspaceRoots",
        "useLegacyLandlock",
        "windowsSandboxLevel",
        "windowsSandboxPrivateDesktop",
        "windowsSandboxProxySettingsMode",
    }
)


def refuse_confinement(
    *,
    sandbox: object = None,
    enforce_managed_network: object = False,
    managed_network: object = None,
    network_proxy: object = None,
) -> None:
    """Raise the `sandboxUnavailable` fault if any of a request's members asks for confinement, or might.

    To be called before anything of the request is done. ``fs/*`` has only ``sandbox``.
    """
    if sandbox is not None:
        _check_sandbox(sandbox)
    if enforce_managed_network is not False and enforce_managed_network is not None:
        raise _unavailable("$.enforceManagedNetwork")
    if managed_network is not None:
        raise _unavailable("$.managedNetwork")
    if network_proxy is not None:
        raise _unavailable("$.networkProxy")


def _check_sandbox(sandbox: Any) -> None:
    if not isinstance(sandbox, dict):
        raise _unavailable("$.sandbox")
    for name, value in sandbox.items():
        if name != "permissions" and name not in _MANNERS and not _says_nothing(value):
            raise _unavailable(f"$.sandbox.{name}")
    permissions = sandbox.get("permissions")
    if not isinstance(permissions, dict):
        raise _unavailable("$.sandbox.permissions")
    kind = permissions.get("type")
    if kind not in ("disabled", "managed"):
        raise _unavailable("$.sandbox.permissions.type")
    said = {name: value for name, value in permissions.items() if name != "type" and value is not None}
    for name, value in said.items():
        if name not in _UNCONFINED or value != _UNCONFINED[name]:
            raise _unavailable(f"$.sandbox.permissions.{name}")
    if kind == "managed" and len(said) < len(_UNCONFINED):
        raise _unavailable("$.sandbox.permissions")


def _says_nothing(value: object) -> bool:
    return value is None or value is False


def _unavailable(path: str) -> Fault:
    return invalid_params(path, "this server has no sandbox and runs nothing that asks for one", "sandboxUnavailable")
