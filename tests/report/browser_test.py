"""The pages in a real browser, a headless Chromium, at the width of a phone; skipped where none is installed."""

import html
import json
import re
import shutil
import subprocess

import pytest
from fake_records import record, runs

from fpu import report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
PHONE = 390  # CSS pixels

# What is asked of the page in the frame: nothing is wider than the screen but what scrolls by itself; whatever scrolls
# can be reached by keyboard and has a name; pictures have texts; headings leave no level out; links have targets.
ASK = """
const d = frame.contentDocument;
d.querySelectorAll('details').forEach(e => e.open = true);
const root = d.documentElement, all = [...d.querySelectorAll('body *')];
const wide = all.filter(e => e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest('.scroll, figure'));
const scrolls = all.filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX == 'auto');
const levels = [...d.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1]);
const links = [...d.querySelectorAll('nav a')].map(a => d.getElementById(a.hash.slice(1)));
const style = getComputedStyle(d.body);
out.textContent = JSON.stringify({
  width: root.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 80)), scrolling: scrolls.length,
  unreachable: scrolls.filter(e => e.tabIndex < 0 || !e.ariaLabel).map(e => e.outerHTML.slice(0, 80)),
  unnamed: [...d.images].filter(i => !i.alt).length, levels, main: d.querySelectorAll('main').length,
  links: links.length, dead: links.filter(e => !e).length, ink: style.color, paper: style.backgroundColor,
  finding: d.querySelector('.finding').getBoundingClientRect().top, height: root.scrollHeight});
"""


def asked(page, folder, *flags):
    """What ASK says of a page in a frame as wide as a phone."""
    frame = f'<iframe style="width:{PHONE}px;height:800px;border:0" srcdoc="{html.escape(page)}">'
    script = f"const frame = document.querySelector('iframe'); frame.onload = () => {{{ASK}}};"
    file = folder / "frame.html"
    file.write_text(f"<!doctype html>{frame}</iframe><pre id=out></pre><script>{script}</script>")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder}/profile", "--window-size=800,900", *flags]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(html.unescape(re.findall(r'<pre id="out">(.*?)</pre>', done.stdout)[-1]))


def run_page():
    run = record()
    for name in ("accuracy", "auc"):  # side by side, with many digits
        wide = {"low": 0.99123, "high": 0.99456, "another": [0.98765, 0.99987]}
        run["utility"]["synthetic"][name] |= wide
    run["utility"]["synthetic"]["recall"] = {"0": run["utility"]["synthetic"]["accuracy"]}
    run["privacy"]["attacks"]["loss"]["roc"] = {"fpr": [0, 0.2, 1], "tpr": [0, 0.3, 1]}
    return report.page(run, wide_png())


def wide_png():
    return report.comparison([record(), record("vae")]).pictures[0].png


def overview_page():
    return report.overview(report.comparison([*runs("ddpm", 1.0, [0.8, 0.82]), record("vae")]))


def light(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize(("make", "dark"), [(run_page, True), (overview_page, False)])
def test_a_page_fits_a_phone_is_reached_by_keyboard_and_dark_where_liked(make, dark, tmp_path):
    seen = asked(make(), tmp_path, *["--blink-settings=preferredColorScheme=0"] * dark)
    assert seen["wide"] == []
    assert seen["width"] <= PHONE
    assert seen["scrolling"] > 0
    assert seen["unreachable"] == []
    assert seen["unnamed"] == seen["dead"] == 0
    assert seen["main"] == 1
    assert seen["links"] >= 2
    assert seen["levels"][0] == 1
    steps = zip(seen["levels"], seen["levels"][1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)
    assert seen["finding"] < 400  # on the first screen
    bright, dull = sorted((seen["ink"], seen["paper"]), key=light, reverse=True)
    assert light(bright) > 200
    assert light(dull) < 50
    assert (bright == seen["ink"]) == dark
