"""The command line: ``execserver [serve]``, the daemon; ``run``, one command through a daemon; ``schema``."""

import argparse
import sys
from collections.abc import Sequence

from execserver import __version__

COMMANDS = ("serve", "run", "schema")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0] not in COMMANDS and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "serve")
    options = _parser().parse_args(arguments)
    code: int = options.function(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="execserver",
        description="Run processes for an agent over stdin and stdout. Without a command: serve.",
    )
    parser.add_argument("--version", action="version", version=f"execserver {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="serve one session on stdin and stdout (the default)")
    serve.add_argument("--listen", metavar="URL", type=_listen, help="stdio or stdio://, which is what there is")
    serve.add_argument(
        "--max-line-bytes",
        metavar="N",
        type=_count,
        default=64 * 1024 * 1024,
        help="longest line taken from the client (default: %(default)s)",
    )
    serve.add_argument(
        "--max-in-flight",
        metavar="N",
        type=_count,
        default=256,
        help="requests that may wait at the same time (default: %(default)s)",
    )
    serve.add_argument(
        "--retain-bytes",
        metavar="N",
        type=_count,
        default=1024 * 1024,
        help="output kept of each process for reading again (default: %(default)s)",
    )
    serve.add_argument(
        "--retain-seconds",
        metavar="S",
        type=_seconds,
        default=80.0,
        help="time that a closed process is kept (default: %(default)s)",
    )
    serve.add_argument(
        "--log-level",
        metavar="LEVEL",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="what goes to stderr: debug, info, warning or error (default: %(default)s)",
    )
    serve.set_defaults(function=_serve)

    run = commands.add_parser("run", help="run one command through a daemon of its own")
    run.add_argument("--verbose", action="store_true", help="print the numbered events instead of the output")
    run.add_argument("argv", nargs="+", metavar="CMD", help="the command and its arguments, behind --")
    run.set_defaults(function=_run)

    schema = commands.add_parser("schema", help="print the OpenRPC document of the protocol")
    schema.set_defaults(function=_schema)
    return parser


def _serve(options: argparse.Namespace) -> int:
    from execserver.server.daemon import run_daemon
    from execserver.server.serve import Limits

    limits = Limits(
        max_line_bytes=options.max_line_bytes,
        max_in_flight=options.max_in_flight,
        retain_bytes=options.retain_bytes,
        retain_seconds=options.retain_seconds,
    )
    run_daemon(limits, log_level=options.log_level)
    return 0


def _run(options: argparse.Namespace) -> int:
    from execserver.run import run

    return run(options.argv, verbose=options.verbose)


def _schema(options: argparse.Namespace) -> int:
    import json

    from execserver.schema import openrpc

    print(json.dumps(openrpc(), indent=2))
    return 0


def _listen(text: str) -> str:
    if text not in ("stdio", "stdio://"):
        raise argparse.ArgumentTypeError(f"execserver listens on stdio alone, not on {text!r}")
    return text


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value
