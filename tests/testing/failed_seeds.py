"""Seeds that once failed, each with the profile and what was wrong. They run always, and first."""

FAILED: tuple[tuple[int, str], ...] = (
    (14, "clean"),  # a pause of the reader woke itself, and asyncio's loop with it stood still
    (8, "duplicate"),  # the same, while something was read back
)
