"""The tables of docs/explanation/performance.md, written there by the run that measured them."""

import re

from benchmarks.driver import ROOT

PAGE = ROOT / "docs" / "explanation" / "performance.md"


def insert(name: str, text: str) -> None:
    """Replace what stands between the comments `name` and `end of name` on the page."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    page = PAGE.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE.name} has no place for {name}: {begin} ... {end}")
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", page))
