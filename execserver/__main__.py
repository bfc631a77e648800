"""``python -m execserver``."""

import sys

from execserver.cli import main

if __name__ == "__main__":
    sys.exit(main())
