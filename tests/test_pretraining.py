"""Task pretraining: other people, the right cell for every vertebra, growth that changes nothing, one run a recipe."""

import numpy as np
import pandas as pd
import pytest
import torch

from vcfkit import models, phantom, pretraining, training

TINY = pretraining.Recipe(films=6, shape=(96, 64), patch=33, patch_epochs=1, film_epochs=1, contrast_width=9.0)


@pytest.fixture(scope="module")
def films():
    return pretraining.films_with_vertebrae(pretraining.other_patients(TINY)["image"], shape=TINY.shape)


@pytest.fixture(scope="module")
def launcher():
    return training.fabric(device="cpu", precision="32-true")


def test_pretraining_patients_are_broken_and_stand_in_no_cohort():
    rows = pretraining.other_patients(TINY)
    assert (rows["label"] == "fresh").sum() == 4
    assert rows.loc[rows["label"] != "fresh", "has_old_vcf"].all()
    study = phantom.draw(pretraining.STEM)
    assert not set(rows["image"]) & set(study["image"])
    assert rows["image"].str.contains("seed=1000000").all()


def test_every_fracture_of_the_cohort_is_found_on_its_film(films):
    _, vertebrae = films
    rows = pretraining.other_patients(TINY)
    fresh = vertebrae[vertebrae["cell_class"] == pretraining.FRESH].groupby("film")["level"].agg(list)
    assert [fresh.get(k, [""]) == [level] for k, level in enumerate(rows["fresh_level"])].count(False) <= 1


def test_local_contrast_forgets_brightness_and_contrast_and_keeps_shape(films):
    pictures = films[0]
    plain = pretraining.local_contrast(pictures, width=9.0).float()
    scaled = pretraining.local_contrast((pictures.double() * 0.5 + 60).to(torch.uint8), width=9.0).float()
    lively = (plain - 127.5).abs() > 20  # flat regions hold rounding alone
    assert plain.shape == pictures.shape
    assert (plain - scaled)[lively].abs().median() < 10
    assert (plain - 127.5).abs().mean() > 5


def test_patches_have_their_vertebra_in_the_middle_and_all_three_classes():
    films = torch.zeros(3, 96, 64, dtype=torch.uint8)
    rows = [(0, 48.0, 30.0, 2), (0, 70.0, 30.0, 0), (1, 10.0, 5.0, 1), (2, 90.0, 60.0, 2), (2, 50.0, 30.0, 0)]
    vertebrae = pd.DataFrame(rows, columns=["film", "y", "x", "cell_class"])
    for row in vertebrae.itertuples():
        films[row.film, int(row.y), int(row.x)] = 100 + row.cell_class
    patches, classes = pretraining.fracture_patches(films, vertebrae, side=33, seed=0)
    assert classes.tolist()[:3] == [2, 1, 2]
    assert classes.tolist()[3:] == [0, 0]
    for patch, name in zip(patches, classes, strict=True):
        (place,) = (patch == 100 + name).nonzero()
        assert (place - 16).abs().max() <= pretraining.JITTER


def test_the_cell_of_a_vertebra_has_its_class_and_neighbours_of_a_break_have_none():
    rows = [(0, 48.0, 32.0, 2), (0, 64.0, 32.0, 0), (0, 80.0, 33.0, 0), (1, 16.0, 32.0, 1)]
    vertebrae = pd.DataFrame(rows, columns=["film", "y", "x", "cell_class"])
    targets = pretraining.cell_targets(vertebrae, shape=(96, 64), n_films=2, seed=0).numpy()
    assert targets.shape == (2, 6, 4)
    assert targets[0, 3, 2] == 2
    assert targets[0, 4, 2] == 0
    assert targets[0, 5, 2] == 0
    assert targets[1, 1, 2] == 1
    assert (targets[0, 2:5, 1] == pretraining.IGNORED).all()
    assert set(np.unique(targets)) <= {pretraining.IGNORED, 0, 1, 2}


@pytest.mark.parametrize("architecture", pretraining.GROWN)
def test_a_grown_network_answers_as_the_small_one(architecture):
    small = models.small_residual(seed=3)
    deep, _ = models.classifier(architecture, head="log-sum-exp", weights="random", seed=4)
    deep.network.load_state_dict(pretraining.grow(small.network.state_dict(), deep.network))
    images = torch.randint(0, 256, (2, 64, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    np.testing.assert_allclose(training.predict(deep, images), training.predict(small, images), rtol=1e-4)


def test_a_network_of_other_widths_does_not_fit():
    other, _ = models.classifier("ShuffleNet-v2", head="log-sum-exp", weights="random")
    with pytest.raises(ValueError, match="same widths required"):
        pretraining.grow(models.small_residual().network.state_dict(), other.network)


def test_pretraining_is_done_once_per_recipe_and_both_heads_start_from_it(tmp_path, launcher, monkeypatch):
    network, used = pretraining.start("ResNet-50", TINY, folder=tmp_path, launcher=launcher, head="log-sum-exp")
    assert "6 other virtual patients" in used.name
    assert len(used.sha256) == 64
    monkeypatch.setattr(pretraining, "train", lambda *args, **options: pytest.fail("trained again"))
    again, same = pretraining.start("ResNet-50", TINY, folder=tmp_path, launcher=launcher, head="log-sum-exp")
    assert same == used
    assert models.checksum(again.state_dict()) == models.checksum(network.state_dict())
    average, other = pretraining.start("ResNet-50", TINY, folder=tmp_path, launcher=launcher)
    assert torch.equal(average.network.conv1.weight, network.network.trunk.conv1.weight)
    assert average.network.fc.out_features == 2
    assert other.sha256 != used.sha256
