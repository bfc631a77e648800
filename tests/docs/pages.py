"""The pages of the documentation as data: their blocks, their links, their headings.

What a page may say to whoever runs it, in a comment that no reader sees, on the line before a block:

    <!-- not run: WHY -->       the block is shown, not run; WHY begins with one of `REASONS`

A block ```python whose first line is ``# NAME.py`` is a file that later blocks use. Any other ```python block is a
program. A block ```text behind programs is what each of them prints. A block ```console holds commands (``$ ``,
continued by ``> ``) and what they print; a block ```sh holds commands alone, which must succeed. In what is printed
``...`` stands for anything. A block ```jsonl is a conversation with the daemon, see `test_conversations`.
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

REASONS: Final = (
    "installs",  # changes the machine, or needs the network
    "needs ",  # a program that is not everywhere; the rest of the sentence says which
    "tests/",  # it is run there
    "runs these tests",
    "a sketch",  # shows a shape; stands beside a block that runs
)

_FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NOT_RUN = re.compile(r"<!-- not run: (.*?) -->\n\Z", re.DOTALL)
_LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


class Block(NamedTuple):
    """One fenced block. ``line`` is that of its fence."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """The name of the file that a Python block is, if it is one."""
        found = re.match(r"# (\w+\.py)\n", self.text)
        return found[1] if found and self.language == "python" else None


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        not_run = _NOT_RUN.search(before)
        found.append(
            Block(name(page), before.count("\n") + 1, match[1], match[2], not_run[1].strip() if not_run else None)
        )
    return found


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    return [target or image for target, image in _LINK.findall(prose(page))]


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 1
        while anchor in found:
            anchor = f"{anchor.removesuffix(f'-{number - 1}')}-{number}"
            number += 1
        found.add(anchor)
    return found
