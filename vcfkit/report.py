"""The executed notebooks as a static site: one page each, the summary first, nothing run again and nothing fetched.

``python -m vcfkit.report`` is what ``make report`` calls. Pages hold their figures and styles in themselves, have no
scripts, and link to the tables and figures of their run; they open from the file system.
"""

from __future__ import annotations

import html
import os
import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

from vcfkit import params

STYLE = """
:root { color-scheme: light; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; }
header { background: #f3f4f6; border-bottom: 1px solid #d5d7db; padding: .6rem 1rem; }
header strong { margin-right: 1rem; }
nav a { display: inline-block; margin: .1rem .8rem .1rem 0; }
nav a[aria-current] { color: inherit; font-weight: 600; text-decoration: none; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.2rem; border-bottom: 1px solid #e3e5e8; }
a { color: #0057a8; } .anchor-link { display: none; }
img, svg { max-width: 100%; height: auto; }
pre { overflow-x: auto; background: #f7f8fa; padding: .6rem .8rem; font: 13px/1.45 ui-monospace, monospace; }
.output pre, .jp-OutputArea-output pre { background: none; border-left: 3px solid #d5d7db; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; margin: .6rem 0; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #e3e5e8; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid #888; }
details.code > summary { cursor: pointer; color: #555; font-size: 13px; }
.contents { columns: 18rem; font-size: 14px; padding-left: 1.2rem; }
.files { font-size: 13px; } .note { color: #555; font-size: 14px; }
.prompt, .jp-InputPrompt, .jp-OutputPrompt { display: none; }
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def executed(profile: str, results: Path) -> dict[str, Path]:
    """Stem → executed notebook of that run; of the reduced profile, else the committed notebook with its outputs."""
    found = {}
    for stem in params.stems():
        run = results / profile / stem / "notebook.ipynb"
        stored = params.ROOT / "notebooks" / f"{stem}.ipynb"
        if run.is_file():
            found[stem] = run
        elif profile == "reduced" and '"output_type"' in stored.read_text(encoding="utf-8"):
            found[stem] = stored
    return found


def build(notebooks: dict[str, Path], folder: Path) -> list[Path]:
    """Write one page per notebook into ``folder``; ``index.html`` is the first. A page replaces the one before it.

    Raises
    ------
    ParameterError
        Nothing to show.
    """
    if not notebooks:
        raise params.ParameterError("no executed notebook to show: run make reproduce-all first")
    fresh = folder.with_name(f".{folder.name}.fresh-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        titles = {stem: _title(path) for stem, path in notebooks.items()}
        pages = {stem: "index.html" if k == 0 else f"{stem}.html" for k, stem in enumerate(notebooks)}
        for stem, path in notebooks.items():
            text = _page(stem, path, titles, pages, folder)
            (fresh / pages[stem]).write_text(text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [folder / page for page in pages.values()]


def _title(path: Path) -> str:
    import nbformat

    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown" and (heading := re.search(r"^# +(.+)$", cell.source, re.MULTILINE)):
            return heading[1].strip()
    return path.stem


def _page(stem: str, path: Path, titles: dict[str, str], pages: dict[str, str], folder: Path) -> str:
    """The page of one notebook: navigation, contents, body, the files of its run."""
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    body, _ = HTMLExporter(template_name="basic").from_filename(str(path))
    body = re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style\b.*?</style>", "", body, flags=re.DOTALL)
    body = body.replace("<table", '<div class="table"><table').replace("</table>", "</table></div>")
    body = body.replace('alt="No description has been provided for this image"', 'alt="Figure"')
    # Results first; the code of a cell is one click away.
    body = re.sub(
        r'(<div class="input_area">)\s*(<div class="highlight.*?</pre></div>)',
        r'\1<details class="code"><summary>Code</summary>\2</details>',
        body,
        flags=re.DOTALL,
    )
    links = "".join(
        f'<a href="{page}"{" aria-current=page" if other == stem else ""}>{html.escape(other[:2])} '
        f"{html.escape(_short(titles[other]))}</a>"
        for other, page in pages.items()
    )
    sections = re.findall(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"', body, flags=re.DOTALL)
    contents = "".join(f'<li><a href="#{anchor}">{heading.strip()}</a></li>' for anchor, heading in sections)
    ran = path.name == "notebook.ipynb"
    note = "of this run" if ran else "stored with the code, of the reduced run"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(titles[stem])}</title>\n"
        f"<style>{STYLE}{HtmlFormatter().get_style_defs('.highlight')}</style>\n</head>\n<body>\n"
        f"<header><strong>vcfkit</strong><nav>{links}</nav></header>\n<main>\n"
        f'<p class="note">Outputs {note}.</p>\n<ol class="contents">{contents}</ol>\n{body}\n'
        f"{_files(path.parent, folder) if ran else ''}</main>\n</body>\n</html>\n"
    )


def _short(title: str, most: int = 40) -> str:
    """The beginning of a title, cut at a word."""
    head = re.split(r"[:(]", title)[0].strip()
    return head if len(head) <= most else head[:most].rsplit(" ", 1)[0] + " …"


def _files(place: Path, folder: Path) -> str:
    """Links to the tables and figures that the run left."""
    files = [path for kind in ("*.csv", "*.json", "tables/*.csv", "figures/*.svg") for path in sorted(place.glob(kind))]
    items = "".join(
        f'<li><a href="{os.path.relpath(path, folder)}">{html.escape(str(path.relative_to(place)))}</a></li>'
        for path in files
    )
    return f'<h2 id="files">Files of this run</h2>\n<ul class="files">{items}</ul>\n' if items else ""


@app.command()
def main(
    profile: Annotated[str, typer.Option(help="reduced or paper")] = "reduced",
    results: Annotated[str, typer.Option(help="folder of the results, below the project's")] = "results",
) -> None:
    """Write the site of the executed notebooks to <results>/<profile>/report/ and say where it begins."""
    root = Path(results) if Path(results).is_absolute() else params.ROOT / results
    try:
        pages = build(executed(profile, root), root / profile / "report")
    except params.ParameterError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{len(pages)} pages, beginning with {os.path.relpath(pages[0], params.ROOT)}")


if __name__ == "__main__":
    app()
