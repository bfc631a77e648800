"""What the command line understands. Apart from `cli`, so that a daemon without arguments does not import argparse."""

import argparse
from collections.abc import Sequence

from execserver import __version__
from execserver.server.limits import DEFAULTS


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; on a mistake say so on stderr and exit with 2. ``command`` names what to do."""
    parser = argparse.ArgumentParser(
        prog="execserver",
        description="Run processes for an agent over stdin and stdout. Without a command: serve.",
    )
    parser.add_argument("--version", action="version", version=f"execserver {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", help="serve one session on stdin and stdout (the default)")
    serve.add_argument("--listen", metavar="URL", type=_listen, help="stdio or stdio://, which is what there is")
    serve.add_argument(
        "--max-line-bytes",
        metavar="N",
        type=_positive,
        default=DEFAULTS.max_line_bytes,
        help="longest line taken from the client (default: %(default)s)",
    )
    serve.add_argument(
        "--max-in-flight",
        metavar="N",
        type=_positive,
        default=DEFAULTS.max_in_flight,
        help="requests that may wait at the same time (default: %(default)s)",
    )
    serve.add_argument(
        "--retain-bytes",
        metavar="N",
        type=_count,
        default=DEFAULTS.retain_bytes,
        help="output kept of each process for reading again (default: %(default)s)",
    )
    serve.add_argument(
        "--retain-seconds",
        metavar="S",
        type=_seconds,
        default=DEFAULTS.retain_seconds,
        help="time that a closed process is kept (default: %(default)s)",
    )
    serve.add_argument(
        "--log-level",
        metavar="LEVEL",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="what goes to stderr: debug, info, warning or error (default: %(default)s)",
    )

    run = commands.add_parser("run", help="run one command through a daemon of its own")
    run.add_argument("--verbose", action="store_true", help="print the numbered events instead of the output")
    run.add_argument("argv", nargs="+", metavar="CMD", help="the command and its arguments, behind --")

    commands.add_parser("schema", help="print the OpenRPC document of the protocol")
    return parser.parse_args(arguments)


def _listen(text: str) -> str:
    if text not in ("stdio", "stdio://"):
        raise argparse.ArgumentTypeError(f"execserver listens on stdio alone, not on {text!r}")
    return text


def _count(text: str, least: int = 0) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number, {least} or more, got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    return _count(text, 1)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, 0 or more, got {text!r}")
    return value
