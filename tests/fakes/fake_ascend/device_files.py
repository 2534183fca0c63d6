"""Makes this process see davinci devices: ``glob`` and ``os.path.exists`` find /dev/davinci* as on a server with NPUs."""
import fnmatch
import glob
import os

from fake_ascend import settings

PREFIX = "/dev/davinci"
_originals = {}


def _device_files():
    return ["%s%d" % (PREFIX, device) for device in range(settings.devices())] + [PREFIX + "_manager"]


def install():
    """Replaces the functions; :func:`uninstall` undoes it."""
    if _originals:
        return
    _originals.update(glob=glob.glob, iglob=glob.iglob, exists=os.path.exists)

    def fake_iglob(pattern, *arguments, **options):
        if isinstance(pattern, str) and pattern.startswith(PREFIX):
            return iter([name for name in _device_files() if fnmatch.fnmatchcase(name, pattern)])
        return _originals["iglob"](pattern, *arguments, **options)

    def fake_exists(path):
        if isinstance(path, str) and path.startswith(PREFIX):
            return path in _device_files()
        return _originals["exists"](path)

    # glob.glob calls glob.iglob by its global name; the replaced glob must not call the original one
    glob.iglob = fake_iglob
    glob.glob = lambda pattern, *arguments, **options: list(fake_iglob(pattern, *arguments, **options))
    os.path.exists = fake_exists


def uninstall():
    if _originals:
        glob.glob, glob.iglob, os.path.exists = _originals["glob"], _originals["iglob"], _originals["exists"]
        _originals.clear()
