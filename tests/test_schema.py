"""The documents of the protocol are complete, true to the tables they are made from, and usable by other tools."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from execserver.schema import openrpc
from execserver.wire import process
from execserver.wire.base import Message
from execserver.wire.errors import Kind
from execserver.wire.meanings import EXTENSION_MEMBERS, KINDS, MEANINGS
from execserver.wire.methods import METHODS, NOTIFICATIONS
from execserver.wire.names import EXTENSIONS

ROOT = Path(__file__).parents[1]


def members() -> dict[str, set[str]]:
    """Every Struct that crosses the wire, with its members, found by walking the types themselves."""
    found: dict[str, set[str]] = {}

    def walk(kind: msgspec.inspect.Type) -> None:
        if isinstance(kind, msgspec.inspect.StructType):
            found[kind.cls.__name__] = {field.encode_name for field in kind.fields}
            for field in kind.fields:
                walk(field.type)
        elif isinstance(kind, msgspec.inspect.UnionType):
            for choice in kind.types:
                walk(choice)
        elif isinstance(kind, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
            walk(kind.item_type)

    for method in METHODS.values():
        walk(msgspec.inspect.type_info(method.params))
        walk(msgspec.inspect.type_info(method.result))
    for push in NOTIFICATIONS.values():
        walk(msgspec.inspect.type_info(push.params))
    found.pop(Message.__name__, None)
    return found


def test_every_struct_and_every_member_is_described() -> None:
    schemas = openrpc()["components"]["schemas"]
    schemas.pop("ErrorData")
    assert {name: set(schema["properties"]) for name, schema in schemas.items()} == members()
    for schema in schemas.values():
        assert schema["description"]
        assert all(member["description"].endswith(".") for member in schema["properties"].values())


def test_no_meaning_is_left_over() -> None:
    known = members()
    used = {
        f"{struct}.{name}" if f"{struct}.{name}" in MEANINGS else name
        for struct, names in known.items()
        for name in names
    }
    assert used == set(MEANINGS)
    assert all(set(names) <= known[struct] for struct, names in EXTENSION_MEMBERS.items())


def test_every_extension_that_the_server_claims_is_marked_as_one() -> None:
    params = {name for struct, names in EXTENSION_MEMBERS.items() if struct.endswith("Params") for name in names}
    assert params == set(EXTENSIONS) - {"signalNames"}  # that one is a value


def test_every_kind_of_error_has_a_meaning() -> None:
    assert tuple(KINDS) == get_args(Kind)


def test_every_method_and_notification_is_in_the_document_with_its_params() -> None:
    document = openrpc()
    assert [method["name"] for method in document["methods"]] == list(METHODS)
    assert [push["name"] for push in document["x-notifications"]] == list(NOTIFICATIONS)
    start = next(method for method in document["methods"] if method["name"] == "process/start")
    assert [param["name"] for param in start["params"] if param["required"]] == ["processId", "argv"]
    assert {param["name"] for param in start["params"] if "x-extension" in param} == set(
        EXTENSION_MEMBERS["StartParams"]
    )
    extensions = {method["name"] for method in document["methods"] if "x-extension" in method}
    assert extensions == {name for name, method in METHODS.items() if method.extension}


def test_every_reference_leads_somewhere() -> None:
    document = openrpc()

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    found = set(references(document))
    assert len(found) > 30
    for reference in found:
        target = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


@pytest.mark.parametrize(
    ("struct", "value", "valid"),
    [
        ("StartParams", process.StartParams("p", ["true"]), True),
        ("StartParams", {"processId": "p"}, False),
        ("StartParams", {"processId": "p", "argv": ["true"], "size": {"rows": 0, "cols": 80}}, False),
        ("StartParams", {"processId": "p", "argv": ["true"], "unknown": 1}, True),
        ("Exited", process.Exited("p", 2, 0, usage=process.Usage(1, 2)), True),
        ("ReadResult", process.ReadResult([process.Chunk(1, "pty", b"\0\xff")], 2, False, None, False), True),
        ("ReadResult", {"chunks": [{"seq": "1", "stream": "pty", "chunk": ""}]}, False),
    ],
)
def test_other_tools_judge_messages_by_the_document_as_we_do(struct: str, value: object, valid: bool) -> None:
    document = openrpc()
    schema = {"$ref": f"#/components/schemas/{struct}", "components": document["components"]}
    jsonschema.Draft202012Validator.check_schema(schema)
    message = json.loads(msgspec.json.encode(value))
    assert jsonschema.Draft202012Validator(schema).is_valid(message) is valid


def test_the_reference_in_the_repository_is_what_make_docs_writes() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    document = openrpc()
    assert json.loads((ROOT / "docs/reference/openrpc.json").read_text()) == document, "run make docs"
    page = (ROOT / "docs/reference/protocol.md").read_text()
    assert page == generate.protocol(document), "run make docs"
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page, re.M)
    }
    links = set(re.findall(r"\]\(#(.*?)\)", page))
    assert len(links) > 10
    assert links <= anchors


def test_the_daemon_and_the_command_line_answer_the_document() -> None:
    requests = [
        {"id": 1, "method": "initialize", "params": {"clientName": "test"}},
        {"method": "initialized"},
        {"id": 2, "method": "rpc.discover"},
    ]
    served = subprocess.run(
        [sys.executable, "-m", "execserver"],
        cwd=ROOT,
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    answers = {answer["id"]: answer for answer in map(json.loads, served.stdout.splitlines())}
    assert answers[2]["result"] == openrpc()
    printed = subprocess.run(
        [sys.executable, "-m", "execserver", "schema"], cwd=ROOT, capture_output=True, timeout=30, check=True
    )
    assert json.loads(printed.stdout) == openrpc()
