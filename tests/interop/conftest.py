from pathlib import Path

import pytest

from .codex import Codex
from .codex_binary import CURRENT, codex_binary


@pytest.fixture(scope="session")
def binary() -> Path:
    return codex_binary(CURRENT)


@pytest.fixture
def codex(binary: Path, tmp_path: Path) -> Codex:
    return Codex(binary, tmp_path)
