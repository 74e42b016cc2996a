"""The study of whether whole films can be learnt: its numbers are scikit-learn's, and it goes on where it stopped."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from vcfkit import learnability, phantom


@pytest.fixture(scope="module")
def rows():
    fractions = {"training": 0.03, "validation": 0.1, "external": 0.2}
    return phantom.draw(learnability.STEM, fractions=fractions)


def test_each_comparison_keeps_the_fresh_films_and_its_own_rest(rows):
    scores = np.random.default_rng(0).random(len(rows))
    table = pd.DataFrame(learnability.measure(rows, scores)).set_index(["comparison", "cohort"])
    fresh, old = (rows["label"] == "fresh").to_numpy(), rows["has_old_vcf"].to_numpy(bool)
    outside = rows["cohort"].isin(["YHDH", "BMUH"]).to_numpy()
    for comparison, kept in (
        ("fresh against all", outside),
        ("fresh against old", outside & (fresh | old)),
        ("fresh against none", outside & (fresh | ~old)),
    ):
        row = table.loc[(comparison, "external")]
        assert row["n"] == kept.sum()
        assert row["n_fresh"] == fresh[outside].sum()
        assert row["auc"] == pytest.approx(roc_auc_score(fresh[kept], scores[kept]))
        assert row["low"] < row["auc"] < row["high"]


def test_what_the_cache_holds_is_not_trained_again(rows, tmp_path, monkeypatch):
    network = learnability.NETWORKS[0]
    settings = learnability.Settings(training_fraction=0.03, validation_fraction=0.1)
    monkeypatch.setattr(learnability.phantom, "draw", lambda *args, **options: rows)
    monkeypatch.setattr(learnability, "_pictures", lambda *args: {})
    monkeypatch.setattr(learnability, "_train", lambda *args: pytest.fail("trained again"))
    name = learnability._name(network)
    scores = np.random.default_rng(1).random(len(rows))
    pd.DataFrame({"sample_id": rows["sample_id"], "fresh": scores}).to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / f"{name}.json").write_text('{"weights": "some", "code": "abc"}')
    table = learnability.study(settings, cache=tmp_path, networks=[network])
    assert len(table) == 15
    assert table["weights"].eq("some").all()
    assert set(table["architecture"]) == {"ResNet-50"}
