"""The summary: what it says of runs that exist, that it runs where none does, and the checklists it shows."""

import json

import notebook_runs
import pandas as pd
import pytest

from vcfkit import audit, figures, params, results

STEM = "00_summary"
ONE, TWO = list(audit.PAPERS)[:2]


def leave(folder, stem, **facts):
    """What a finished run of a paper leaves, as far as the summary reads it."""
    place = folder / stem
    place.mkdir(parents=True)
    provenance = {
        "data": {"samples_by_source": {"virtual": 1234}},
        "weights": {"start": "random"},
        "seed": 7,
        "seconds_total": 90.0,
        "peak_memory_mib": 2048,
        "commit": {"id": "0123456789abcdef", "modified": True},
    }
    (place / "provenance.json").write_text(json.dumps(provenance | facts))
    item = params.published(stem).set_index("id").loc[params.headlines()[stem].items[0]]
    label = item["quantity"] + (f", {item['class']}" if isinstance(item["class"], str) else "")
    row = {"quantity": label, "where": item["where"], "cohort": item["cohort"], "model": item["model"]}
    row |= {"published": item["value"], "reproduced": 0.625, "low": 0.5, "high": 0.75, "note": "virtual patients"}
    pd.DataFrame([row]).to_csv(place / "comparison.csv", index=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("summary")
    leave(folder / "reduced", TWO, device="cuda")
    (folder / "reduced" / f".{ONE}.running-1").mkdir()  # a run on its way
    return notebook_runs.finished(STEM, folder)


def test_it_leaves_its_files_and_reads_the_run_that_stands_beside_it(made):
    files = {path.name for path in made.iterdir()}
    assert files == {
        *("notebook.ipynb", "audit.csv", "comparison.csv", "metrics.json", "provenance.json", "tables", "figures"),
    }
    ran = pd.read_csv(made / "tables" / "table_runs.csv")
    mine = ran[ran["run"] == "reduced"]
    assert mine["notebook"].tolist() == [TWO]
    row = mine.iloc[0]
    assert (row["data"], row["device"], row["seed"], row["minutes"]) == ("1,234 virtual", "cuda", 7, 1.5)
    assert row["commit"] == "0123456789*"
    drawn = pd.read_csv(made / "tables" / "table_headlines.csv")
    ours = drawn[drawn["source"] == "reduced run"]
    assert ours["value"].tolist() == [0.625]
    assert ours["item"].tolist() == [params.headlines()[TWO].items[0]]
    assert (drawn["source"] == "published").sum() == sum(len(entry.items) for entry in params.headlines().values())


def test_the_audit_it_writes_is_that_of_the_five_papers(made):
    written = pd.read_csv(made / "audit.csv")
    verdicts = pd.read_csv(made / "tables" / "table_audit.csv")
    assert len(verdicts) == 5
    for stem, row in zip(audit.PAPERS, verdicts.to_dict("records"), strict=True):
        expected = audit.verdicts(audit.findings(stem))
        assert {name: row[name] for name in audit.VERDICTS} == expected
        assert (written["paper"] == stem).sum() == sum(expected.values())
    assert json.loads((made / "provenance.json").read_text())["audit"] == audit.verdicts(written)


def test_nothing_ran_is_said_and_not_an_error(tmp_path):
    empty = results.runs({"reduced": tmp_path})
    assert empty.empty
    assert list(empty)[:2] == ["notebook", "run"]
    assert results.comparisons({"reduced": tmp_path}).empty
    assert {"quantity", "published", "notebook", "run"} <= set(results.comparisons({"reduced": tmp_path}))


def test_headlines_are_published_items_of_every_paper():
    found = params.headlines()
    assert list(found) == list(audit.PAPERS)
    for stem, entry in found.items():
        published = params.published(stem).set_index("id")
        assert set(entry.items) <= set(published.index)
        assert published.loc[entry.items, "value"].notna().all()
        names = [tuple(str(published.loc[item, f.strip()]) for f in entry.label.split(",")) for item in entry.items]
        assert len(set(names)) == len(names)  # a row of the figure is one item


CHECKLISTS = {"claim_2024": 44, "tripod_ai": 52, "metrics": 30}


@pytest.mark.parametrize(("name", "n_items"), CHECKLISTS.items())
def test_a_checklist_answers_every_item_for_every_paper(name, n_items):
    filled = params.checklist(name)
    papers = ["04", "05"] if name == "metrics" else ["01", "02", "03", "04", "05"]
    assert filled["item"].nunique() == n_items
    assert len(filled) == n_items * len(papers)
    assert filled.groupby("item")["paper"].apply(list).map(papers.__eq__).all()
    assert set(filled["answer"]) <= set(params.ANSWERS)
    assert (filled.loc[filled["answer"].isin(["yes", "unclear", "n/a"]), "where"] != "-").all()


@pytest.mark.parametrize("text", ["maybe | Title", "yes", "yes | -", "no |"])
def test_a_malformed_answer_is_named(tmp_path, monkeypatch, text):
    folder = tmp_path / "params" / "checklists"
    folder.mkdir(parents=True)
    (folder / "x.yaml").write_text(f'name: X\nitems:\n- {{id: "1", section: s, topic: t, "01": "{text}"}}\n')
    monkeypatch.setattr(params, "ROOT", tmp_path)
    with pytest.raises(params.ParameterError, match=r"x.yaml: .*item 1, paper 01"):
        params.checklist("x")


def test_the_forest_draws_every_source_of_every_row():
    rows = pd.DataFrame(
        [("g", "a", s, v, v - 0.1, v + 0.1) for s, v in (("published", 0.9), ("ours", 0.7))]
        + [("h", "b", "published", 0.8, float("nan"), float("nan"))],
        columns=["group", "name", "source", "value", "low", "high"],
    )
    figure, drawn = figures.forest(rows, label="AUC")
    assert drawn.equals(rows[list(drawn)])
    panels = figure.axes
    assert [ax.get_title(loc="left") for ax in panels] == ["g", "h"]
    # Markers at the values; whiskers from low to high, of no length where there is no interval.
    points = [
        sorted(float(line.get_xdata()[0]) for c in ax.containers for line in [c.lines[0]] if len(line.get_xdata()))
        for ax in panels
    ]
    assert points == [[0.7, 0.9], [0.8]]


def test_shares_are_drawn_with_their_counts():
    counts = pd.DataFrame({"yes": [3, 1], "no": [1, 1]}, index=["x", "y"])
    figure, drawn = figures.shares(counts)
    widths = [[round(bar.get_width(), 6) for bar in container] for container in figure.axes[0].containers]
    assert widths == [[75, 50], [25, 50]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["3", "1", "1", "1"]
    assert drawn.equals(counts)
