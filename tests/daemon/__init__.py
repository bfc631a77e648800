"""The daemon as a subprocess, driven by lines of JSON as any client would."""
