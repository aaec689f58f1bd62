"""Every page in a real browser, on a large and on a small screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from in_browser import PATIENCE, settle

from celltrail.cli import app
from celltrail.data.running import console
from celltrail.evaluation.reports.sequence_report import write_report

PAGES = [
    "",
    "browse?track=2",
    "lineage?track=2",
    "review",
    "errors",
    "compare",
    "segmentation",
    "measure?track=2",
    "export",
    "run",
]


# Text that its own box cuts off, parts of the page that lie on each other, pictures that are too narrow to be of use.
FAULTS = """() => {
  const main = document.querySelector('[data-testid="stMain"]') || document.body;
  const shown = (e) => e.getClientRects().length > 0 && e.checkVisibility({ visibilityProperty: true });
  const cut = [...main.querySelectorAll('*')].filter((e) => shown(e) && e.clientWidth > 1 && e.innerText?.trim()
    && ['hidden', 'clip'].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 2
    && !e.closest('pre, [role=combobox], .js-plotly-plot'));
  cut.push(...[...main.querySelectorAll('[role=radiogroup], [role=toolbar]')].filter((e) => shown(e)
    && e.scrollWidth > e.clientWidth + 2));  // choices that one would have to scroll for
  const slits = [...main.querySelectorAll('.pane')].filter((e) => shown(e) && e.clientHeight > 1.5 * e.clientWidth);
  const parts = [...main.querySelectorAll('[data-testid="stElementContainer"]')].filter((e) => shown(e)
    && !e.querySelector('[data-testid="stElementContainer"]') && e.getBoundingClientRect().height > 1);
  const over = [];
  parts.forEach((one, i) => parts.slice(i + 1).forEach((other) => {
    const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 2) over.push([one.innerText.slice(0, 60), other.innerText.slice(0, 60)]);
  }));
  const outside = parts.filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1);
  return {
    cut: cut.map((e) => e.innerText.slice(0, 60)), over, outside: outside.map((e) => e.innerText.slice(0, 60)),
    slits: slits.length, wide: document.documentElement.scrollWidth > window.innerWidth,
  };
}"""
SOUND = {"cut": [], "over": [], "outside": [], "slits": 0, "wide": False}


def grave_faults(page: Any) -> list[tuple[str, list[str]]]:
    """What axe finds in a page that keeps somebody out."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        (rule["id"], [node["html"][:200] for node in rule["nodes"]])
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


def open_page(browser: Any, width: int, scheme: str = "light") -> Any:
    """A page of this width, 900 high."""
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.set_default_timeout(PATIENCE)
    return page


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (800, "dark"), (800, "light")])
def test_pages_are_whole_and_accessible(browser: Any, address: str, name: str, width: int, scheme: str) -> None:
    page = open_page(browser, width, scheme)
    page.goto(f"{address}/{name}")
    settle(page)
    assert page.evaluate(FAULTS) == SOUND
    assert grave_faults(page) == []
    page.context.close()


@pytest.mark.slow
def test_faults_of_a_page_are_seen(browser: Any, address: str) -> None:
    """The check above, on a page that has been spoilt in three ways."""
    page = open_page(browser, 800)
    page.goto(f"{address}/export")
    settle(page)
    page.evaluate("""() => {
      const parts = [...document.querySelectorAll('[data-testid="stMain"] [data-testid="stElementContainer"]')];
      const [first, second, third] = parts.filter((part) => part.getClientRects().length > 0);
      second.style.marginTop = '-40px';
      third.querySelector('*').style.cssText = 'width: 30px; overflow: hidden; white-space: nowrap';
      const button = document.querySelector('[data-testid="stMain"] button');
      button.replaceChildren();
      for (const name of ['aria-label', 'title']) button.removeAttribute(name);
    }""")
    found = page.evaluate(FAULTS)
    assert found["cut"]
    assert found["over"]
    assert grave_faults(page)
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1440, 800])
def test_reports_are_whole_and_begin_with_the_verdict(browser: Any, shown: Path, tmp_path: Path, width: int) -> None:
    one, two = str(shown / "01_RES"), str(shown / "worse" / "01_RES")
    report, comparison = tmp_path / "report.html", tmp_path / "comparison"
    write_report(report, shown / "01_GT", shown / "01_RES", images=shown / "01")
    assert console.run(app, ["compare", str(shown), f"A={one}", f"B={two}", "--out", str(comparison)]) == 0
    for file in (report, comparison / "report.html"):
        page = open_page(browser, width)
        page.goto(file.as_uri())
        order = page.evaluate("""() => ['h1 ~ p, header p, .verdict, main p, p', 'img, svg', 'table'].map(
          (name) => document.querySelector(name)?.getBoundingClientRect().top ?? null)""")
        assert order == sorted(order)  # verdict, pictures, tables
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        hidden = page.evaluate("""() => [...document.querySelectorAll('table, img, svg')].filter((e) => {
          const box = e.getBoundingClientRect();
          let frame = e.parentElement;
          while (frame && getComputedStyle(frame).overflowX !== 'auto') frame = frame.parentElement;
          return box.width > 0 && box.right > window.innerWidth + 1 && !frame;
        }).map((e) => e.outerHTML.slice(0, 100))""")
        assert hidden == []  # what is wider than the screen can be scrolled
        assert grave_faults(page) == []
        page.context.close()


@pytest.mark.slow
def test_pages_use_a_large_screen(browser: Any, address: str) -> None:
    context = browser.new_context(viewport={"width": 3840, "height": 2160})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    for name in PAGES:
        page.goto(f"{address}/{name}")
        settle(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        if name.startswith(("browse", "errors", "compare", "segmentation")):
            box = page.wait_for_selector(".viewer[data-frame]").bounding_box()
            assert box["width"] > 2000, name
            assert 500 < box["height"] < 2000, name  # large, and still on the screen
    context.close()
