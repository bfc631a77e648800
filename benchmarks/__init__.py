"""Benchmarks: this server beside the reference server, in one run, on one machine."""
