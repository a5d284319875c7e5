"""Where the book lives: the address of its repository, from the git remote alone, and that of the published site.

The first brings the buttons (repository, edit, issue, launch), the second canonical addresses, previews and a site map.
Without one, nothing is said that needs it, since nothing may be made up.
"""

import os
import re
from urllib.parse import urlsplit

from sphinx.errors import ConfigError

from _tools.notebooks import ROOT, git

BINDER = "https://mybinder.org"  # serves any hosted repository


def web_address(remote):
    """The https address of a hosted git remote, without credentials; None for a path on this machine."""
    if scp := re.fullmatch(r"(?:[\w.-]+@)?([\w-]+(?:\.[\w-]+)+):(?!/)(.+)", remote or ""):
        host, path = scp.groups()
    else:
        parts = urlsplit(remote or "")
        if parts.scheme not in {"https", "ssh"}:
            return None
        host, path = parts.hostname, parts.path
    path = path.strip("/").removesuffix(".git")
    return f"https://{host}/{path}" if host and "." in host and path.count("/") >= 1 else None


def buttons(root=ROOT):
    """The theme's options that the git remote decides; none without a host for which the theme can form links."""
    address = web_address(git("remote", "get-url", "origin", root=root))
    known = address and re.match(r"https://(github|gitlab|bitbucket)\.", address)
    if not known:
        return {}
    default = git("symbolic-ref", "--short", "refs/remotes/origin/HEAD", root=root) or "origin/main"
    return {
        "repository_url": address,
        "repository_branch": default.removeprefix("origin/"),
        "path_to_docs": "",
        "launch_buttons": {"notebook_interface": "jupyterlab", "binderhub_url": BINDER},
        "use_repository_button": True,
        "use_edit_page_button": True,
        "use_issues_button": known[1] != "bitbucket",
    }


def checked(address):
    """The public address with a slash at its end, or None; what is no address stops the build."""
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(
            f"SITE_ADDRESS or html: baseurl: must be the site's address, as in https://host/path/, not {address!r}"
        )
    return f"{address.rstrip('/')}/"


def site_address(configured=None):
    """The public address of the site, from the environment or else as configured; None if there is none."""
    return checked(os.environ.get("SITE_ADDRESS") or configured)


def complete(app, config):
    config.html_theme_options.update(buttons())
    config.html_baseurl = site_address(config.html_baseurl) or ""


def setup(app):
    app.connect("config-inited", complete, priority=100)
    return {"parallel_read_safe": True}
