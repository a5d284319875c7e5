"""One visit to a page, in which all that the tests ask of every page is written down.

A reader with an empty cache opens the page at the width of a desktop and reads it through; then the theme and the width
of the window change in place. Nothing is judged here: the tests read the record.
"""

from urllib.parse import urljoin

from _tools.check import audit
import checkers
from browsing import WIDTHS, blank, settle, turn, widen


class Scales:
    """Counts the bytes that a page moves over the network, by address; what its cache has is not moved."""

    def __init__(self, page, base):
        self.moved, self.base, self.addresses = {}, base, {}
        session = page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self.name)
        session.on("Network.loadingFinished", self.count)
        session.send("Network.enable")

    def name(self, event):
        self.addresses[event["requestId"]] = event["request"]["url"].removeprefix(self.base)

    def count(self, event):
        if event["encodedDataLength"]:
            address = self.addresses[event["requestId"]]
            self.moved[address] = self.moved.get(address, 0) + event["encodedDataLength"]


def leads(page, base):
    """The pages to which a reader goes on, and back."""
    return [
        page.eval_on_selector_all(f"a.{way}", "(links, base) => links.map(link => link.href.replace(base, ''))", base)
        for way in ("right-next", "left-prev")
    ]


def record(browser, base, path):
    """What is found on the page of the site at `base`: in every view, at every width, and once.

    A view is a width and a theme. axe comes when all else at this width has been looked at, since it is spared the
    insides of formulas, which are laid out anew when they return.
    """
    page, wrong = blank(browser, base)
    scales = Scales(page, base)
    audit.read_through(page, urljoin(base, path))
    found = {
        "moved": dict(scales.moved),
        "lang": page.locator("html").get_attribute("lang"),
        "unsized": checkers.unsized(page),
        "leads": leads(page, base),
        "mathematics": {},
        "sideways": {},
        "axe": {},
        "headings": {},
        "focus": {},
        "scrolling": {},
        "notes": {},
        "outside": {},
    }
    page.evaluate("scrollTo(0, 0)")
    for width in WIDTHS:
        widen(page, width)
        settle(page)  # charts are drawn anew for the width, a frame or two later
        for scheme in "light", "dark":
            turn(page, scheme)
            found["mathematics"][f"{width}, {scheme}"] = checkers.bad_mathematics(page)
            found["sideways"][f"{width}, {scheme}"] = checkers.sideways(page)
        settle(page)
        found["focus"][width], found["scrolling"][width] = checkers.bad_focus(page), checkers.scrolling(page)
        found["notes"][width], found["outside"][width] = page.locator("aside.margin").count(), checkers.outside(page)
        found["headings"][width] = checkers.bad_headings(page)
        with checkers.hollow(page):
            for scheme in "dark", "light":
                turn(page, scheme)
                settle(page)
                found["axe"][f"{width}, {scheme}"] = checkers.violations(page)
    page.context.close()
    return found | {"wrong": wrong}


def complaints(found):
    """Of what was found in each view or width, where it is anything: an empty dictionary is what we want."""
    return {where: what for where, what in found.items() if what}
