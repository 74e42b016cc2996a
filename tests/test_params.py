"""Profiles are complete, typed and equal to what the notebooks say; published numbers are well-formed."""

import json
import re

import pytest

from vcfkit import params

STEM = "02_xray_acute_chronic_pathological"


@pytest.mark.parametrize("stem", params.stems())
def test_reduced_profile_equals_the_notebooks_own_parameters_cell(stem):
    assert params.load(stem, "reduced").model_dump() == params.notebook_defaults(stem)


@pytest.mark.parametrize("stem", params.stems())
def test_paper_profile_has_the_parameters_of_the_notebook_and_no_others(stem):
    assert params.load(stem, "paper").model_dump().keys() == params.notebook_defaults(stem).keys()


@pytest.mark.parametrize("stem", params.stems())
def test_every_parameter_says_where_its_value_comes_from(stem):
    for profile in params.PROFILES:
        lines = (params.ROOT / "params" / profile / f"{stem}.yaml").read_text().splitlines()
        assert [line for line in lines if re.match(r"\w+:", line) and "  # " not in line] == [], profile
    cells = json.loads((params.ROOT / "notebooks" / f"{stem}.ipynb").read_text())["cells"]
    (cell,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert [line for line in cell["source"] if re.match(r"\w+ = [^(]", line) and "  # " not in line] == []


@pytest.mark.parametrize("profile", params.PROFILES)
def test_method_is_the_same_in_both_profiles(profile):
    loaded = params.load(STEM, profile).model_dump()
    method = {"split_unit", "test_fraction", "learning_rate", "weight_decay", "rotation_degrees", "effect", "nuisance"}
    reduced = params.load(STEM, "reduced").model_dump()
    assert {name: loaded[name] for name in method} == {name: reduced[name] for name in method}


def test_unknown_parameter_is_refused_with_the_nearest_known_name():
    with pytest.raises(params.ParameterError, match="lerning_rate: unknown parameter; did you mean 'learning_rate'"):
        params.load(STEM, "reduced", lerning_rate=1e-3)


def test_all_faults_of_a_profile_are_named_at_once():
    with pytest.raises(params.ParameterError) as caught:
        params.load(STEM, "reduced", epochs=0, image_size="large", device="tpu")
    assert all(name in str(caught.value) for name in ("epochs", "image_size", "device"))


def test_values_that_are_written_hold_names_of_folders_and_files_only():
    given = {"data_dir": "/home/jane.doe/films", "results_dir": "../out", "weights": "radimagenet:/home/jane.doe/R.pt"}
    loaded = params.load("04_xray_ovf_astlof", "reduced", **given)
    written = {"data_dir": "films", "results_dir": "out", "weights": "radimagenet:R.pt"}
    assert loaded.without_paths() == loaded.model_dump() | written
    plain = params.load(STEM, "reduced")
    assert plain.without_paths() == plain.model_dump()


def test_unknown_notebook_is_refused_with_the_nearest_stem():
    with pytest.raises(params.ParameterError, match=f"Did you mean {STEM}"):
        params.load("02_xray_acute_chronic", "reduced")


def test_unknown_profile_is_refused():
    with pytest.raises(params.ParameterError, match="one of reduced, paper required"):
        params.load(STEM, "full")


def test_parameters_cell_may_hold_literals_only(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    source = '{"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["a = 1\\n", "b = a"]}]}'
    (tmp_path / "notebooks" / "x.ipynb").write_text(source)
    monkeypatch.setattr(params, "ROOT", tmp_path)
    with pytest.raises(params.ParameterError, match="line 2: not a literal"):
        params.notebook_defaults("x")


def test_a_notebook_without_its_own_schema_is_typed_after_its_parameters_cell(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    source = '{"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["depth = 3"]}]}'
    (tmp_path / "notebooks" / "x.ipynb").write_text(source)
    monkeypatch.setattr(params, "ROOT", tmp_path)
    assert params.check("x", {"profile": "reduced", "depth": 4}).depth == 4
    with pytest.raises(params.ParameterError, match="depth"):
        params.check("x", {"profile": "reduced", "depth": "four"})


PUBLISHED = sorted(path.stem for path in (params.ROOT / "params" / "published").glob("*.yaml"))


@pytest.mark.parametrize("stem", PUBLISHED)
def test_published_items_are_well_formed_and_inside_their_units(stem):
    items = params.published(stem)
    assert len(items) > 100
    share = items["quantity"].str.contains(r"\bAUC\b|accuracy|sensitivity|specificity", regex=True)
    upper = items["unit"].map({"percent": 100}).fillna(1)[share]
    for column in ("value", "low", "high"):
        assert (items.loc[share, column].dropna() >= 0).all()
        assert (items.loc[share, column].fillna(0) <= upper).all()
    assert (items["low"].dropna() <= items["high"].dropna()).all()
    inside = items["value"].between(items["low"], items["high"])
    said = items["note"].str.contains("outside").fillna(False).astype(bool)
    # An estimate outside its own interval is a finding about a paper, and the item says so.
    assert (inside | items["value"].isna() | items["low"].isna() | said).all()


def test_every_paper_has_its_published_numbers_listed():
    assert [name[:2] for name in PUBLISHED] == ["01", "02", "03", "04", "05"]


def test_published_list_of_paper_02_adds_up_to_its_own_totals():
    items = params.published(STEM).set_index("id")["value"]
    development = sum(items[f"results.vertebrae.development.{name}"] for name in ("acute", "chronic", "pathologic"))
    assert development == 2031
    assert (
        development + items["results.vertebrae.external"] + items["results.vertebrae.prospective"]
        == (items["methods.vertebrae"])
    )


def test_a_published_id_may_not_stand_twice(tmp_path, monkeypatch):
    folder = tmp_path / "params" / "published"
    folder.mkdir(parents=True)
    (folder / "x.yaml").write_text("- {id: a, quantity: q, value: 1, where: w}\n" * 2)
    monkeypatch.setattr(params, "ROOT", tmp_path)
    with pytest.raises(params.ParameterError, match="'a' stands twice"):
        params.published("x")
