"""The version of what runs."""

from importlib.metadata import PackageNotFoundError, version

from kbd.daemon import version as version_module


def test_the_installed_version():
    assert version_module.kbd_version() == version("kbd")


def test_a_checkout_says_so(monkeypatch):
    def missing(_name):
        raise PackageNotFoundError

    monkeypatch.setattr(version_module, "version", missing)
    assert version_module.kbd_version.__wrapped__() == version_module.NOT_INSTALLED
