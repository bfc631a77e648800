"""What holds for every page: its links lead somewhere, its examples are run or say why not, it names no machine."""

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from .pages import PAGES, REASONS, ROOT, anchors, blocks, links, name

RUN = {"python", "console", "sh", "jsonl"}
SHOWN = {"text", "json", "toml", "pyi", "dockerfile"}

pages = pytest.mark.parametrize("page", PAGES, ids=name)


@pages
def test_every_link_within_the_project_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link]
    assert set(PAGES) <= reached


@pages
def test_every_block_is_run_or_says_why_it_is_not(page: Path) -> None:
    for block in blocks(page):
        assert block.language in RUN | SHOWN, block.place
        assert block.not_run is None or block.not_run.startswith(REASONS), block.place


@pages
def test_every_block_of_data_can_be_parsed(page: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)


@pages
def test_no_page_names_a_path_of_this_machine(page: Path) -> None:
    text = page.read_text()
    ours = {str(ROOT), sys.prefix, sys.base_prefix, os.path.expanduser("~"), "/home/"} - {"/", "/usr", "/usr/local"}
    assert not {path for path in ours if path in text}
