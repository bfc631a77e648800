"""execserver: processes for agents, over stdin and stdout. Importing the package imports nothing else."""

__version__ = "0.1.0"
