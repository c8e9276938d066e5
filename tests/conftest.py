"""What all tests share."""

from hypothesis import settings

# Hosts of tests are busy: how long an example takes says nothing about the code.
settings.register_profile("kbd", deadline=None)
settings.load_profile("kbd")
