"""What is asked of each version of Landlock."""

import struct

import pytest

from kbd.daemon.executor.sandbox import landlock


@pytest.mark.parametrize(
    ("abi", "highest"),
    [
        (1, landlock.MAKE_SYM),
        (2, landlock.REFER),
        (3, landlock.TRUNCATE),
        (4, landlock.TRUNCATE),
        (5, landlock.IOCTL_DEV),
    ],
)
def test_every_right_that_a_version_knows_is_handled(abi, highest):
    assert landlock.handled_rights(abi) == 2 * highest - 1


@pytest.mark.parametrize(("abi", "fields"), [(1, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3), (99, 3)])
def test_attributes_are_as_long_as_the_version_knows(abi, fields):
    attributes = struct.unpack(f"={fields}Q", landlock.ruleset_attributes(abi))
    assert attributes == (landlock.handled_rights(abi), 3, 3)[:fields]


def test_nobody_may_make_devices():
    assert not landlock.OWN & (landlock.MAKE_CHAR | landlock.MAKE_BLOCK | landlock.IOCTL_DEV)
    assert not landlock.READING & ~(landlock.EXECUTE | landlock.READ_FILE | landlock.READ_DIR)
