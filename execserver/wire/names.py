"""The names of what is served, for those who may not pay for the schemas. No I/O.

A test holds these equal to the tables of `wire.methods`.
"""

from typing import Final

FILE_METHODS: Final = (
    "fs/readFile",
    "fs/writeFile",
    "fs/createDirectory",
    "fs/getMetadata",
    "fs/canonicalize",
    "fs/readDirectory",
    "fs/walk",
    "fs/remove",
    "fs/copy",
    "fs/open",
    "fs/readBlock",
    "fs/writeBlock",
    "fs/close",
)
HTTP_METHODS: Final = ("http/request",)

# What `capabilities.extensions` lists: params that change what a method of the reference server does.
EXTENSIONS: Final = (
    "closeStdin",
    "drainMs",
    "graceMs",
    "idleTimeoutMs",
    "mergeStderr",
    "signalNames",
    "size",
    "timeoutMs",
)
