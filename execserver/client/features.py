"""What the server of a connection has beyond the protocol of the reference server. No I/O."""

from execserver.client.errors import Unsupported
from execserver.wire.session import Capabilities


class Features:
    """The methods and extensions that the server lists; a server that lists none has none that we may count on."""

    def __init__(self, listed: Capabilities | None = None) -> None:
        self.listed = listed is not None
        self._names = frozenset() if listed is None else frozenset((*listed.methods, *listed.extensions))

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def require(self, name: str) -> None:
        """Raise `Unsupported` unless the server lists this method or extension."""
        if name not in self._names:
            raise Unsupported(name)
