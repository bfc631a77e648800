"""The daemon from outside: raw lines over its stdin and stdout, rule by rule of the protocol.

Nothing here imports the package. What is asserted is what a client sees, and what the kernel says in /proc.
No test waits for a time to pass: it waits for a line, for a state of the kernel, or fails at a generous bound.
"""
