"""envPolicy, step by step: protocol, section 2."""

from typing import Any

from tests.daemon.launching import ROOT, launch
from tests.daemon.wire_client import Client

SERVER = {
    "HOME": "/root/home",
    "LANG": "C.UTF-8",
    "LOGNAME": "me",
    "PATH": "/usr/bin:/bin",
    "SHELL": "/bin/sh",
    "USER": "me",
    "EDITOR": "ed",
    "API_KEY": "k",
    "my_secret": "s",
    "GithubToken": "t",
    "MONKEY": "m",
    "KEYBOARD": "b",
    "PYTHONUNBUFFERED": "1",
}
CORE = {name: SERVER[name] for name in ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER")}
OPEN = {
    name: value
    for name, value in SERVER.items()
    if name not in ("API_KEY", "my_secret", "GithubToken", "MONKEY", "KEYBOARD")
}

CASES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "an empty policy inherits all but the secrets": ({"envPolicy": {}}, OPEN),
    "inherit all has the default excludes": ({"envPolicy": {"inherit": "all"}}, OPEN),
    "the default excludes may be ignored": ({"envPolicy": {"inherit": "all", "ignoreDefaultExcludes": True}}, SERVER),
    "core is six names": ({"envPolicy": {"inherit": "core"}}, CORE),
    "core with ignored excludes is the same six": (
        {"envPolicy": {"inherit": "core", "ignoreDefaultExcludes": True}},
        CORE,
    ),
    "none is empty": ({"envPolicy": {"inherit": "none"}}, {}),
    "exclude takes globs": (
        {"envPolicy": {"inherit": "core", "exclude": ["L*", "USE?"]}},
        {name: CORE[name] for name in ("HOME", "PATH", "SHELL")},
    ),
    "exclude ignores case, as the default excludes do": (
        {"envPolicy": {"inherit": "core", "exclude": ["home", "lOg*"]}},
        {name: CORE[name] for name in ("LANG", "PATH", "SHELL", "USER")},
    ),
    "a glob covers the whole name": ({"envPolicy": {"inherit": "core", "exclude": ["HOM", "OME", "ATH"]}}, CORE),
    "set comes after exclude": (
        {"envPolicy": {"inherit": "core", "exclude": ["*"], "set": {"HOME": "/set", "X_TOKEN": "kept"}}},
        {"HOME": "/set", "X_TOKEN": "kept"},
    ),
    "set wins over what is inherited": (
        {"envPolicy": {"inherit": "core", "set": {"USER": "you"}}},
        {**CORE, "USER": "you"},
    ),
    "includeOnly comes after set": (
        {"envPolicy": {"inherit": "core", "set": {"A": "1", "B": "2"}, "includeOnly": ["A", "PA*"]}},
        {"A": "1", "PATH": CORE["PATH"]},
    ),
    "an empty includeOnly lets everything through": ({"envPolicy": {"inherit": "core", "includeOnly": []}}, CORE),
    "env comes last and is not filtered": (
        {
            "envPolicy": {"inherit": "core", "includeOnly": ["USER"], "set": {"USER": "set"}, "exclude": ["MY*"]},
            "env": {"MY_TOKEN": "mine", "USER": "env", "EMPTY": ""},
        },
        {"MY_TOKEN": "mine", "USER": "env", "EMPTY": ""},
    ),
    "env on top of all": (
        {"envPolicy": {"inherit": "all", "ignoreDefaultExcludes": True}, "env": {"EDITOR": "vi"}},
        {**SERVER, "EDITOR": "vi"},
    ),
    "env without a policy is exact": ({"env": {"ONLY": "this"}}, {"ONLY": "this"}),
    "a null policy with env is exact": ({"envPolicy": None, "env": {"ONLY": "this"}}, {"ONLY": "this"}),
    "what the Codex client sends": (
        {
            "envPolicy": {
                "inherit": "all",
                "ignoreDefaultExcludes": True,
                "exclude": ["CODEX_VERSION", "EDITOR"],
                "set": {},
                "includeOnly": [],
            },
            "env": {"TERM": "dumb"},
        },
        {**{name: value for name, value in SERVER.items() if name != "EDITOR"}, "TERM": "dumb"},
    ),
}


async def test_every_step_of_the_policy_in_its_order() -> None:
    async with launch(env={**SERVER, "PYTHONPATH": str(ROOT)}) as client:
        for tty in (False, True):
            for name, (options, expected) in CASES.items():
                life = await client.run(f"{name} {tty}", ["/bin/cat", "/proc/self/environ"], tty=tty, **options)
                seen = dict(entry.split("=", 1) for entry in (life.stdout + life.pty).decode().split("\0") if entry)
                seen.pop("PYTHONPATH", None)
                assert seen == expected, name


async def test_a_core_variable_that_the_server_lacks_is_not_invented() -> None:
    async with launch(env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}) as client:
        life = await client.run("p", ["/bin/cat", "/proc/self/environ"], envPolicy={"inherit": "core"})
        assert life.stdout == b"PATH=/usr/bin:/bin\0"


async def test_a_policy_that_is_none_is_bad_params() -> None:
    policies: list[object] = [
        "all",
        [],
        {"inherit": "some"},
        {"inherit": None},
        {"exclude": "A"},
        {"exclude": [1]},
        {"set": {"A": 1}},
        {"set": []},
        {"includeOnly": {}},
        {"ignoreDefaultExcludes": "yes"},
    ]
    async with launch() as client:
        for policy in policies:
            error = await client.refused("process/start", processId="p", argv=["true"], envPolicy=policy)
            assert (error.code, "envPolicy" in error.message) == (-32602, True), (policy, error.message)


async def test_the_program_is_looked_up_in_the_childs_path() -> None:
    async with launch() as client:
        error = await client.refused(
            "process/start", processId="p", argv=["true"], envPolicy={"inherit": "none", "set": {"PATH": "/nowhere"}}
        )
        assert error.kind == "programNotFound"


async def test_a_glob_with_many_stars_delays_nobody(client: Client) -> None:
    policy = {"inherit": "none", "set": {"a" * 60: "x", "b": "y"}, "includeOnly": ["*a" * 20 + "*b", "b*"]}
    await client.start("p", ["/usr/bin/env"], envPolicy=policy)
    assert (await client.until_closed("p")).stdout == b"b=y\n"
