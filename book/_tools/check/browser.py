"""The installed browser that prints, measures and tests the built pages. None is downloaded."""

import shutil

NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"]


def installed():
    """The path of Chromium or Chrome; None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)
