"""The daemon: what runs on the far side of the wire. Never imports ``client``."""
