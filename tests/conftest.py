"""What holds for every test: hypothesis does not judge how long an example takes, since the machine may be busy."""

from hypothesis import settings

settings.register_profile("execserver", deadline=None)
settings.load_profile("execserver")
