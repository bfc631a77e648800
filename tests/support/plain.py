"""Modules of ours as they are where the extra `fast` is not installed."""

import importlib
import sys
from types import ModuleType

from execserver.wire import base64


def import_without_fast(module: ModuleType) -> ModuleType:
    """Import a module once more, and what chooses the encoder for it. Leaves no trace of that."""
    again = {each.__name__: each for each in (base64, module)}
    kept = {"pybase64": sys.modules["pybase64"], **again}
    sys.modules["pybase64"] = None  # type: ignore[assignment]  # the import system's word for "not there"
    for name in again:
        del sys.modules[name]
    try:
        return importlib.import_module(module.__name__)
    finally:
        sys.modules.update(kept)
        for name, each in again.items():
            package, _, own_name = name.rpartition(".")
            setattr(sys.modules[package], own_name, each)
