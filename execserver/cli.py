"""The command line: ``execserver [serve]``, the daemon; ``run``, one command through a daemon; ``schema``.

Imports what the command needs, and no more.
"""

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        from execserver.server.daemon import run_daemon

        run_daemon()  # how agents launch it: without the 10 ms of argparse
        return 0
    return _run_command(arguments)


def _run_command(arguments: list[str]) -> int:
    from execserver.arguments import parse

    if arguments[0] not in ("serve", "run", "schema", "-h", "--help", "--version"):
        arguments = ["serve", *arguments]
    options = parse(arguments)
    if options.command == "run":
        from execserver.run import run

        return run(options.argv, verbose=options.verbose)
    if options.command == "schema":
        return _print_schema()
    from execserver.server.daemon import run_daemon
    from execserver.server.limits import Limits

    limits = Limits(
        max_line_bytes=options.max_line_bytes,
        max_in_flight=options.max_in_flight,
        retain_bytes=options.retain_bytes,
        retain_seconds=options.retain_seconds,
    )
    run_daemon(limits, log_level=options.log_level)
    return 0


def _print_schema() -> int:
    import json

    from execserver.schema import openrpc

    try:
        print(json.dumps(openrpc(), indent=2), flush=True)
    except BrokenPipeError:  # as of `execserver schema | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush of the interpreter's end
    return 0
