"""Who may import whom: what `docs/explanation/architecture.md` draws is what the modules do."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "execserver"
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
MAX_LINES = 250

# Parts of `cli` in the picture.
PART_OF = {"arguments": "cli", "__main__": "cli"}

# Who alone may import what is not ours.
ALONE = {
    "jsonrpcserver": {"server.dispatch"},
    "httpx": {"server.http_client"},
    "argparse": {"arguments", "testing.__main__"},
    "asyncio": {"client.asyncio", "client.asyncio_driver"},
}
ADAPTERS = {
    "client.trio",
    "client.trio_driver",
    "client.asyncio",
    "client.asyncio_driver",
    "client.sync",
    "client.sync_driver",
    "client.pipes",
    "client.launch",
}
RUNTIMES = {"trio", "asyncio", "threading", "selectors", "select", "socket", "subprocess", "queue", "concurrent"}
# What a module that does no I/O has no use for.
OUTSIDE = RUNTIMES | {"os", "io", "pathlib", "logging", "sys", "time", "tempfile", "signal", "fcntl"}


@cache
def imports(module: str, *, typing_too: bool = True) -> frozenset[str]:
    """Every module that one imports, wherever in it; of ours without ``execserver.``, and by their full names."""
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    found = set()
    for name in names(ast.parse(path.read_text()), typing_too):
        if name.partition(".")[0] == "execserver":
            ours = name.removeprefix("execserver").removeprefix(".")
            while ours and ours not in MODULES and f"{ours}.__init__" not in MODULES:
                ours = ours.rpartition(".")[0]  # a name inside of it
            found.add(ours)
        else:
            found.add(name)
    return frozenset(found - {""})  # the package itself has the version and nothing else


def names(tree: ast.AST, typing_too: bool) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not typing_too):
            yield from names(node, typing_too)


def part(module: str) -> str:
    """The name in the picture: a package or a module at the top."""
    return PART_OF.get(module, module.partition(".")[0])


def picture() -> dict[str, set[str]]:
    """The arrows of the page."""
    drawn = PAGE.read_text().partition("The picture of who may import whom:")[2].split("```")[1]
    arrows = re.findall(r"(\w+) +-> +(\w+(?:, \w+)*)", drawn)
    return {tail: set(heads.split(", ")) for tail, heads in arrows}


def outside(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module) if part(name) not in {part(one) for one in MODULES}}


def test_the_page_draws_every_part() -> None:
    drawn = picture()
    parts = {part(module) for module in MODULES} - {"__init__"}
    assert set(drawn) | {head for heads in drawn.values() for head in heads} == parts


@pytest.mark.parametrize("module", MODULES)
def test_nobody_imports_what_the_page_does_not_draw(module: str) -> None:
    ours = {part(name) for name in imports(module) if part(name) in {part(one) for one in MODULES}}
    assert ours <= picture().get(part(module), set()) | {part(module)}


def test_every_arrow_of_the_page_is_there() -> None:
    found: dict[str, set[str]] = {}
    for module in MODULES:
        found.setdefault(part(module), set()).update(part(name) for name in imports(module))
    for tail, heads in picture().items():
        assert heads <= found[tail], tail


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: {name for name in imports(module, typing_too=False) if name in MODULES} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("library", ALONE)
def test_what_is_kept_in_one_place_is_imported_there_alone(library: str) -> None:
    assert {module for module in MODULES if library in outside(module)} == ALONE[library]


@pytest.mark.parametrize("module", [module for module in MODULES if part(module) in ("wire", "lines", "schema")])
def test_what_does_no_io_imports_nothing_for_it(module: str) -> None:
    assert not outside(module) & OUTSIDE


@pytest.mark.parametrize("module", [module for module in MODULES if part(module) == "client"])
def test_only_the_adapters_of_the_client_know_a_runtime(module: str) -> None:
    assert module in ADAPTERS or not outside(module) & RUNTIMES


@pytest.mark.parametrize("module", ["log", "rpc", "dispatch", "bulk", "eager", "push", "confinement"])
def test_the_cores_of_the_server_do_no_io(module: str) -> None:
    allowed = {"logging"} | ({"trio"} if module == "log" else set())  # the log wakes long polls
    assert not (outside(f"server.{module}") & OUTSIDE) - allowed


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short_and_says_what_it_is(module: str) -> None:
    text = PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))
    if module.endswith("__init__"):
        assert all(isinstance(node, ast.Expr | ast.Assign | ast.ImportFrom) for node in ast.parse(text).body), (
            "holds no logic"
        )


def test_whatever_goes_wrong_in_a_handler_is_caught_in_one_place() -> None:
    catching = {
        module
        for module in MODULES
        if part(module) == "server"
        and re.search(
            r"except( Exception)?( as \w+)?:", PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text()
        )
    }
    assert catching == {"server.dispatch"}
