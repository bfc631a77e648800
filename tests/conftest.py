"""What holds for every test.

hypothesis does not judge how long an example takes, since the machine may be busy. And Ctrl-C means something to the
programs that the tests start, also where a shell runs the tests in its background: it ignores SIGINT for them.
"""

import signal

from hypothesis import settings

settings.register_profile("execserver", deadline=None)
settings.load_profile("execserver")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
