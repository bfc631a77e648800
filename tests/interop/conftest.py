from pathlib import Path

import pytest

from .beacon import Beacon
from .codex import Codex
from .codex_binary import CURRENT, codex_binary


@pytest.fixture(scope="session")
def binary() -> Path:
    return codex_binary(CURRENT)


@pytest.fixture
def codex(binary: Path, tmp_path: Path) -> Codex:
    return Codex(binary, tmp_path)


@pytest.fixture
def beacon(codex: Codex) -> Beacon:
    return Beacon(codex.place / "beacon")
