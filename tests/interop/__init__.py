"""Tests with programs that are not ours: the real Codex CLI and a real sshd, the reference server (make interop)."""
