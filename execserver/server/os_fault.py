"""What the kernel's refusals are on the wire. No I/O."""

import errno

from execserver.wire.errors import INTERNAL_ERROR, NOT_FOUND, Fault, Kind

_KINDS: dict[int, Kind] = {
    errno.ENOENT: "notFound",
    errno.EEXIST: "alreadyExists",
    errno.ENOTDIR: "notADirectory",
    errno.EISDIR: "isADirectory",
    errno.EACCES: "permissionDenied",
    errno.EPERM: "permissionDenied",
    errno.ENOTEMPTY: "directoryNotEmpty",
    errno.ELOOP: "symlinkLoop",
    errno.ENAMETOOLONG: "nameTooLong",
    errno.ENOSPC: "noSpace",
    errno.EDQUOT: "noSpace",
    errno.EFBIG: "tooLarge",
    errno.EROFS: "readOnlyFileSystem",
    errno.EMFILE: "resourceExhausted",
    errno.ENFILE: "resourceExhausted",
    errno.ENOMEM: "resourceExhausted",
    errno.EINVAL: "invalidArgument",
}


def os_fault(error: OSError) -> Fault:
    """Make the answer to a file system's refusal: -32004 for a missing path, -32603 for all else.

    Only ENOENT is "missing": a file where a directory should be (ENOTDIR) is -32603 with the reference server too.
    """
    number = error.errno
    if number is None:
        return Fault(INTERNAL_ERROR, str(error), "ioError")
    code = NOT_FOUND if number == errno.ENOENT else INTERNAL_ERROR
    return Fault(code, describe(error), _KINDS.get(number, "ioError"), errno=number)


def describe(error: OSError) -> str:
    """Say what the kernel said in the words of the reference server: Codex shows them to its model."""
    return f"{error.strerror} (os error {error.errno})"
