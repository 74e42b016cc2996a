"""Stand-ins say what they are, are made alike, and come back from their file as they were made."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from vcfkit import models, phantom, stand_ins

RECIPE = stand_ins.Recipe("out-of-domain", 32, 16, 1, 8, 1e-4, "64-true")


@pytest.fixture(scope="module")
def made():
    return stand_ins.make(RECIPE)


def test_no_name_can_be_mistaken_for_a_real_pretraining(made):
    for name in (*stand_ins.KINDS.values(), made.weights.name):
        assert "stand-in" in name
        assert not any(real.lower() in name.lower() for real in stand_ins.REAL.values())


def test_a_stand_in_comes_back_from_its_file_as_it_was_made_and_only_for_its_recipe(made, tmp_path):
    path = tmp_path / "weights" / "out-of-domain.pt"
    assert stand_ins.load(path, RECIPE) is None
    stand_ins.save(made, RECIPE, path)
    again = stand_ins.load(path, RECIPE)
    assert again.weights == made.weights
    assert models.checksum(again.state) == made.weights.sha256
    assert stand_ins.load(path, replace(RECIPE, epochs=2)) is None
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_stand_in_is_the_start_of_a_network(made):
    network = models.transfer_resnet50(3, made, seed=1)
    assert np.array_equal(network.network.conv1.weight.detach().numpy(), made.state["conv1.weight"].numpy())


def test_pictures_are_full_range_repeatable_and_balanced_over_kinds():
    pictures, kinds = stand_ins.textures(RECIPE)
    assert pictures.shape == (16, 32, 32)
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(stand_ins.TEXTURES, 2)
    assert (pictures.flatten(1).max(1).values == 255).all()
    assert (pictures.flatten(1).min(1).values == 0).all()
    assert (stand_ins.textures(RECIPE)[0] == pictures).all()
    assert not np.array_equal(pictures[0], pictures[8]), "two of one kind differ"
    with pytest.raises(ValueError, match="clouds, bark"):
        stand_ins.texture("photograph", 32, np.random.default_rng(0))


def test_virtual_anatomy_is_labelled_by_region_and_none_of_its_patients_is_in_a_cohort():
    recipe = replace(RECIPE, kind="in-domain", n_images=12)
    pictures, regions = stand_ins.anatomy(recipe)
    assert pictures.shape == (12, 32, 32)
    assert set(regions) <= set(stand_ins.REGIONS)
    of_study = phantom.draw(stand_ins.STEM)["image"]
    assert not of_study.str.contains("seed=1000&").any()


def test_a_real_pair_that_is_asked_for_and_absent_is_an_error_not_a_stand_in(tmp_path):
    settings = SimpleNamespace()
    with pytest.raises(FileNotFoundError, match=r"no file ResNet50\.pt"):
        stand_ins.pretrainings(f"radimagenet:{tmp_path}/ResNet50.pt", settings, tmp_path, device="cpu")
