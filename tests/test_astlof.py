"""The score is the sum of its parts, and the classes are those of the paper's Tables 1 and 2."""

import itertools

import pandas as pd
import pytest

from vcfkit import astlof, phantom


def test_classes_are_those_of_tables_1_and_2():
    found = {score: astlof.class_of(score) for score in range(1, 9)}
    assert found == {
        **dict.fromkeys((1, 2, 3), "class_0"),
        4: "class_1",
        **dict.fromkeys((5, 6, 7, 8), "class_2"),
    }


def test_a_score_of_zero_is_no_fracture_and_others_outside_the_scale_are_mistakes():
    with pytest.raises(ValueError, match=r"score of 0 has no class.*exclude"):
        astlof.class_of(0)
    for score in (-1, 9, 4.5):
        with pytest.raises(ValueError, match="within 1-8"):
            astlof.class_of(score)


@pytest.mark.parametrize(("t_score", "points"), [(-1, 0), (-2.49, 0), (-2.5, 1), (-3.5, 1), (-3.51, 2)])
def test_points_of_the_t_score(t_score, points):
    assert astlof.t_part(t_score) == points


def test_every_combination_of_parts_scores_their_sum():
    """By hand: of 81 combinations 1 scores 0, 30 score 1-3 (4 + 10 + 16), 19 score 4, 31 score 5-8."""
    parts = pd.DataFrame(itertools.product(range(3), repeat=4), columns=astlof.PARTS)
    scored = astlof.classify(parts)
    assert (scored["astlof_score"] == parts.sum(axis=1)).all()
    assert scored["label"].value_counts().to_dict() == {"class_0": 30, "class_1": 19, "class_2": 31}
    assert scored.loc[scored["label"].isna(), "astlof_score"].tolist() == [0]


def test_t_scores_stand_in_for_their_points():
    parts = pd.DataFrame({"astlof_morphology": [1], "astlof_mri": [1], "astlof_pain": [2], "t_score": [-3.6]})
    assert astlof.classify(parts)[["astlof_score", "label"]].values.tolist() == [[6, "class_2"]]


def test_a_part_that_cannot_be_is_refused_with_its_vertebra():
    good = {"sample_id": ["a", "b"], "astlof_morphology": [1, 2], "astlof_mri": [0, 1], "astlof_t": [1, 1]}
    with pytest.raises(ValueError, match="missing astlof_pain"):
        astlof.classify(pd.DataFrame(good))
    with pytest.raises(ValueError, match=r"astlof_pain: 0, 1 or 2 points required.*b: 3"):
        astlof.classify(pd.DataFrame(good | {"astlof_pain": [0, 3]}))


def test_labels_of_the_virtual_cohort_follow_from_their_parts():
    samples = phantom.draw("04_xray_ovf_astlof")
    scored = astlof.classify(samples)
    assert (scored["label"] == samples["label"]).all()
    assert (scored["astlof_t"] == samples["t_score"].map(astlof.t_part)).all()
