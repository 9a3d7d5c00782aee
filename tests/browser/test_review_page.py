"""The review page in a real browser, by keyboard alone, and the reports in it: nothing is loaded from elsewhere.

Part of ``make test-services``, since it needs Chromium.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chromium import Browser

sys.path.insert(0, str(Path(__file__).parents[1] / "linkage"))

from test_review_desk import FIRST, ROSA, ROSE, desk, folder  # noqa: F401

from linkage.review.decisions import append, read
from linkage.review.desk import Desk
from linkage.review.page import ReviewServer


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as opened:
        yield opened


@contextmanager
def page(browser: Browser, of: Desk) -> Iterator[ReviewServer]:
    """The page of a desk, opened, with its first question."""
    with ReviewServer(of) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.open(server.url)
        browser.wait("!document.getElementById('work').hidden")
        yield server
        server.shutdown()


def test_a_pair_is_decided_by_keyboard_and_the_score_told_after(folder: Path, browser: Browser) -> None:  # noqa: F811
    with page(browser, desk(folder)) as server:
        assert "odds" not in browser.value("document.body.innerText")
        # A name that looks like code is text.
        assert "=HYPERLINK" in browser.value("document.getElementById('rows').innerText")
        browser.press("Enter")
        browser.press("d")
        browser.press("5")
        assert browser.value("document.getElementById('reason').value") == "twins or siblings"
        browser.press("Enter")
        browser.wait("!document.getElementById('told').hidden")
        assert "8 to 1 for one person" in browser.value("document.getElementById('told').innerText")
        browser.press("Enter")
        browser.wait("document.getElementById('count').innerText.startsWith('1 open')")
        browser.press("n")
        assert {url.split("/")[2] for url in browser.requested if url.startswith("http")} == {
            f"127.0.0.1:{server.server_port}"
        }
    (line,) = read(folder / "reviews" / "decisions.csv").lines
    assert (line.level, line.reason) == ("cannot_link", "twins or siblings")


def test_enter_records_also_where_a_button_has_the_focus(folder: Path, browser: Browser) -> None:  # noqa: F811
    with page(browser, desk(folder)):
        browser.value("document.querySelector('[data-level=must_link]').focus()")
        browser.press("s")
        browser.press("1")
        browser.value("document.querySelector('[data-level=must_link]').focus()")
        browser.press("Enter")
        browser.wait("!document.getElementById('told').hidden")
        browser.press("Enter")
        browser.wait("document.getElementById('count').innerText.startsWith('1 open')")
        # But who presses Later has not decided.
        browser.press("d")
        browser.press("1")
        browser.wait("!document.getElementById('save').disabled")
        browser.value("document.getElementById('skip').focus()")
        browser.press("Enter")
        browser.wait("document.getElementById('work').hidden || !document.getElementById('reason').value")
    (line,) = read(folder / "reviews" / "decisions.csv").lines
    assert (line.level, line.reason) == ("must_link", "names and birth date")


def test_what_is_refused_is_said_and_nothing_is_lost(folder: Path, browser: Browser) -> None:  # noqa: F811
    with page(browser, desk(folder)):
        browser.press("s")
        browser.value("document.getElementById('reason').focus()")
        for letter in "diaz":
            browser.press(letter)
        browser.press("Enter")
        browser.wait("!document.getElementById('told').hidden")
        assert "Not recorded" in browser.value("document.getElementById('told').innerText")
        assert browser.value("document.getElementById('reason').value") == "diaz"
    assert not (folder / "reviews" / "decisions.csv").exists()


def test_a_supervisor_reads_what_others_said(folder: Path, browser: Browser) -> None:  # noqa: F811
    file = folder / "reviews" / "decisions.csv"
    append(file, [((ROSA, ROSE), "must_link", "names & <b>dates</b>")], "Rita")
    append(file, [((ROSA, ROSE), "cannot_link", "twins or siblings")], "Otto")
    for who, role, said in (("Sol", "supervisor", 2), ("Pia", "reviewer", 0)):
        with page(browser, desk(folder, who, role)):
            assert browser.value("document.getElementById('said').children.length") == said
            assert browser.value("document.getElementById('said').checkVisibility()") is (said > 0)
            assert ("names & <b>dates</b>" in browser.value("document.body.innerText")) is (said > 0)
