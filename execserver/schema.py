"""The protocol as an OpenRPC document, made from the tables of ``wire``. No I/O.

``rpc.discover`` answers it, ``execserver schema`` prints it, and docs/reference is generated from it. What OpenRPC has
no place for stands under ``x-``: notifications, the kinds of errors, and which methods and members are extensions.
"""

import re
from typing import Any, get_args

import msgspec

from execserver import __version__
from execserver.wire import errors
from execserver.wire.base import Message
from execserver.wire.meanings import EXTENSION_MEMBERS, KINDS, MEANINGS
from execserver.wire.methods import METHODS, NOTIFICATIONS

Json = dict[str, Any]

_PREFIX = "#/components/schemas/"

_CODES: dict[int, tuple[str, str]] = {
    errors.PARSE_ERROR: ("parseError", "The line is not JSON."),
    errors.INVALID_REQUEST: ("invalidRequest", "No valid request, or not one for now."),
    errors.METHOD_NOT_FOUND: ("methodNotFound", "No such method."),
    errors.INVALID_PARAMS: ("invalidParams", "The params are wrong; the message names the member."),
    errors.INTERNAL_ERROR: ("internalError", "It was tried and failed; `data.kind` says how."),
    errors.SERVER_ERROR: ("serverBusy", "A bound was reached: the same request may succeed later."),
    errors.NOT_FOUND: ("notFound", "`fs/*`: no such file, or no such handle."),
}


def openrpc() -> Json:
    """Make the document. It is the same for every server of one version."""
    schemas = _schemas()
    document = {
        "openrpc": "1.3.2",
        "info": {
            "title": "execserver",
            "version": __version__,
            "description": "Runs processes for agents: JSON-RPC 2.0, one message a line, over stdin and stdout.",
            "license": {"name": "Apache-2.0"},
        },
        "methods": [
            {
                "name": name,
                "summary": method.summary,
                "paramStructure": "by-name",
                "params": _params(method.params, schemas),
                "result": {"name": "result", "schema": _result(method.result)},
                "errors": [{"$ref": f"#/components/errors/{word}"} for word, _ in _CODES.values()],
                **({"x-extension": True} if method.extension else {}),
            }
            for name, method in METHODS.items()
        ],
        "components": {
            "schemas": schemas,
            "errors": {
                word: {"code": code, "message": meaning, "data": {"$ref": _PREFIX + "ErrorData"}}
                for code, (word, meaning) in _CODES.items()
            },
        },
        "x-notifications": [
            {"name": name, "summary": push.summary, "params": _params(push.params, schemas)}
            for name, push in NOTIFICATIONS.items()
        ],
        "x-error-kinds": {kind: KINDS[kind] for kind in get_args(errors.Kind)},
    }
    plain: Json = msgspec.json.decode(msgspec.json.encode(document))  # msgspec gives empty arrays as tuples
    return plain


def _schemas() -> Json:
    """Every Struct as a JSON schema, each member with its meaning."""
    used = [struct for method in METHODS.values() for struct in (method.params, method.result)]
    used += [push.params for push in NOTIFICATIONS.values()]
    _, schemas = msgspec.json.schema_components(used, ref_template=_PREFIX + "{name}")
    schemas.pop(Message.__name__, None)
    for struct, schema in schemas.items():
        schema["description"] = _camel(schema["description"])
        for member, described in schema["properties"].items():
            described["description"] = MEANINGS.get(f"{struct}.{member}") or MEANINGS[member]
            if member in EXTENSION_MEMBERS.get(struct, ()):
                described["x-extension"] = True
    schemas["ErrorData"] = {
        "title": "ErrorData",
        "description": "The `data` of an error.",
        "type": "object",
        "properties": {
            "kind": {"enum": list(get_args(errors.Kind)), "description": "The cause, as a stable word."},
            "errno": {"type": "integer", "description": "The kernel's number, where the kernel said no."},
        },
        "required": ["kind"],
    }
    return dict(sorted(schemas.items()))


def _params(struct: type[Message], schemas: Json) -> list[Json]:
    """The members of the params, each a content descriptor."""
    schema = schemas[struct.__name__]
    return [
        {
            "name": member,
            "required": member in schema["required"],
            "description": described["description"],
            "schema": {key: value for key, value in described.items() if key not in ("description", "x-extension")},
            **({"x-extension": True} if "x-extension" in described else {}),
        }
        for member, described in schema["properties"].items()
    ]


def _result(struct: type[Message]) -> Json:
    if struct is Message:  # of rpc.discover: this very document
        return {"type": "object"}
    return {"$ref": _PREFIX + struct.__name__}


def _camel(text: str) -> str:
    """Rewrite a docstring for readers of JSON: ``after_seq`` becomes `afterSeq`."""
    code = re.sub(r"``(.+?)``", lambda found: f"`{re.sub('_([a-z])', _upper, found[1])}`", text)
    return re.sub(r"\n\s*", "\n", code).strip()


def _upper(found: re.Match[str]) -> str:
    return found[1].upper()
