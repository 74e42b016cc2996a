"""The static site: pages that stand by themselves, links that lead somewhere; in Chromium no error, no overflow."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from vcfkit import params, report

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
WIDE = "<table><tr>" + "<td>a_rather_long_cell_without_a_break</td>" * 12 + "</tr></table>"


def notebook(title):
    cells = [
        new_markdown_cell(f"# {title}\n\nText.\n\n## 1 First"),
        new_code_cell(
            "x = 1  # " + "long " * 60,
            execution_count=1,
            outputs=[
                new_output("display_data", {"image/png": PIXEL, "text/plain": "<Figure>"}),
                new_output(
                    "display_data", {"text/html": f"<div><style>td {{}}</style>{WIDE}</div>", "text/plain": "t"}
                ),
                new_output("stream", text="said\n"),
            ],
        ),
        new_markdown_cell("## 2 Second & last"),
    ]
    return new_notebook(cells=cells)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Two notebooks, one of which ran; built."""
    monkeypatch.setattr(params, "ROOT", tmp_path)
    for stem, title in (("00_summary", "The whole"), ("01_one", "One: a study")):
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        nbformat.write(notebook(title), tmp_path / "notebooks" / f"{stem}.ipynb")
    place = tmp_path / "results" / "reduced" / "01_one"
    (place / "tables").mkdir(parents=True)
    (place / "tables" / "table_1.csv").write_text("a\n1\n")
    nbformat.write(notebook("One: a study, run"), place / "notebook.ipynb")
    found = report.executed("reduced", tmp_path / "results")
    return report.build(found, tmp_path / "results" / "reduced" / "report")


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.ids, self.tags = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.links += [found["href"]] if tag == "a" and "href" in found else []
        self.images += [found] if tag == "img" else []
        self.ids |= {found["id"]} if "id" in found else set()


def test_pages_stand_by_themselves_and_every_link_leads_somewhere(site):
    assert [page.name for page in site] == ["index.html", "01_one.html"]
    for page in site:
        found = Links(page.read_text(encoding="utf-8"))
        assert not {"script", "link", "iframe"} & set(found.tags)
        assert len(found.images) == 1
        assert all(image["src"].startswith("data:image/png;base64,") and image["alt"] for image in found.images)
        assert found.links
        for link in found.links:
            target, _, anchor = link.partition("#")
            there = page if not target else (page.parent / target).resolve()
            assert there.is_file(), link
            if anchor and not target:
                assert anchor in found.ids, link


def test_a_run_goes_before_the_stored_notebook_and_brings_its_files(site):
    stored, ran = (page.read_text(encoding="utf-8") for page in site)
    assert "One: a study, run" in ran
    assert "Outputs of this run." in ran
    assert "tables/table_1.csv" in ran
    assert "stored with the code" in stored
    assert "1 First" in re.search(r'<ol class="contents">(.*?)</ol>', ran)[1]


def test_the_papers_profile_shows_only_what_ran_there(tmp_path, monkeypatch):
    monkeypatch.setattr(params, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook("One"), tmp_path / "notebooks" / "01_one.ipynb")
    assert report.executed("paper", tmp_path / "results") == {}
    with pytest.raises(params.ParameterError, match="run make reproduce-all first"):
        report.build({}, tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.skipif(not params.stems(), reason="no notebooks")
def test_the_committed_notebooks_make_a_site(tmp_path):
    found = report.executed("reduced", tmp_path)
    pages = report.build(found, tmp_path / "report")
    assert len(pages) == len(found) > 0
    for page in pages:
        parsed = Links(page.read_text(encoding="utf-8"))
        assert "script" not in parsed.tags
        assert all(image["src"].startswith("data:image/") for image in parsed.images)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Written into the page that is tested: broken images, and how far the page is wider than the window.
PROBE = """<script>addEventListener("load", () => { document.title = "broken " +
[...document.images].filter(i => !i.naturalWidth).length + " over " +
Math.max(0, document.documentElement.scrollWidth - innerWidth); });</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)")
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_no_error_no_broken_image_no_sideways_scrolling(site, width):
    for page in site:
        probed = page.with_name(f"probe-{page.name}")
        probed.write_text(page.read_text(encoding="utf-8").replace("</head>", PROBE + "</head>"), encoding="utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
        command += [f"--window-size={width},844", "--virtual-time-budget=3000", "--dump-dom", probed.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert "<title>broken 0 over 0</title>" in done.stdout
        assert ":CONSOLE" not in done.stderr
