"""The client's core, through thousands of bad wires: each seed is a whole conversation in virtual time.

`tests.testing.scenario` says what must hold. ``SEEDS=N`` runs N of each profile instead of a few hundred; a seed that
fails goes into `tests.testing.failed_seeds`, and stays there.
"""

import os

import pytest

from execserver.testing import PROFILES

from .failed_seeds import FAILED
from .scenario import Conversation

SEEDS = int(os.environ.get("SEEDS", "300"))
BATCH = 50  # seeds of one test: a test each would cost more than the conversation


@pytest.mark.parametrize(("seed", "profile"), FAILED)
def test_what_once_failed_holds(seed: int, profile: str) -> None:
    Conversation(seed, PROFILES[profile]).run()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_every_subscription_is_complete_or_says_disconnected(first: int, profile: str) -> None:
    completed = 0
    for seed in range(first, first + BATCH):
        conversation = Conversation(seed, PROFILES[profile])
        try:
            conversation.run()
        except BaseException as error:
            error.add_note(f"seed {seed}, profile {profile}")
            raise
        completed += conversation.completed
    assert completed > BATCH / 4, "hardly any subscription was looked at"


def test_a_seed_tells_the_same_story_twice() -> None:
    stories = []
    for _ in range(2):
        conversation = Conversation(11, PROFILES["hostile"])
        conversation.run()
        stories.append((conversation.world.now, conversation.completed, conversation.world.mischief.done))
    assert stories[0] == stories[1]
