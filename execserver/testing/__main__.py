"""``python -m execserver.testing --seed N [--profile NAME] [--set KIND=PROBABILITY] -- SERVER ARGV...``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from execserver.testing.mischief import Mischief
from execserver.testing.profile import PROFILES, Profile
from execserver.testing.proxy import run_proxy


def main(argv: Sequence[str] | None = None) -> int:
    """Run the proxy; return the server's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m execserver.testing",
        description="Stand between a client and an exec server on stdin and stdout, and mistreat what the server says.",
    )
    parser.add_argument("--seed", type=int, default=0, help="what is done is the same for the same seed")
    parser.add_argument("--profile", choices=PROFILES, default="hostile", help="default: %(default)s")
    parser.add_argument(
        "--set",
        metavar="KIND=VALUE",
        action="append",
        default=[],
        dest="settings",
        help=f"change the profile: {', '.join(field.name for field in fields(Profile))}",
    )
    parser.add_argument("--verbose", action="store_true", help="say on stderr at the end what was done")
    parser.add_argument("command", nargs="+", metavar="SERVER", help="the server's command, after --")
    options = parser.parse_args(argv)
    try:
        profile = Profile(**asdict(PROFILES[options.profile]) | dict(map(_setting, options.settings)))
    except (TypeError, ValueError) as error:
        parser.error(f"--set: {error}")
    return run_proxy(options.command, Mischief(options.seed, profile), verbose=options.verbose)


def _setting(text: str) -> tuple[str, Any]:
    kind, _, value = text.partition("=")
    return (kind, int(value)) if kind in ("delay_lines", "cut_within") else (kind, float(value))


if __name__ == "__main__":
    sys.exit(main())
