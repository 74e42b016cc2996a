"""Virtual readers have the operating points they are set to; real readings come in through a file."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr, softmax

from vcfkit import params, readers

CLASSES = ["acute", "chronic", "pathologic"]
COUNTS = [80, 57, 13]
PUBLISHED = params.published("02_xray_acute_chronic_pathological").set_index("id")["value"]
PLACE = "results.sensitivity.collaboration"


def solved(name):
    return readers.solve(
        name,
        overall=PUBLISHED[f"{PLACE}.{name}"],
        sensitivity=PUBLISHED[f"{PLACE}.{name}.pathologic"],
        of="pathologic",
        classes=CLASSES,
        counts=COUNTS,
    )


@pytest.fixture(scope="module")
def model():
    one_vs_rest = PUBLISHED["results.accuracy.collaboration.dl"]
    return readers.solve(
        "DL",
        overall=(3 * one_vs_rest - 1) / 2,
        sensitivity=PUBLISHED[f"{PLACE}.dl.pathologic"],
        of="pathologic",
        classes=CLASSES,
        counts=COUNTS,
    )


def simulated(reader, model, n, seed=0):
    """n cases of each class, read without and with a model that is itself a virtual reader."""
    truth = np.repeat(CLASSES, n)
    evidence = model.skill * np.repeat(np.eye(3), n, axis=0) + np.asarray(model.bias)
    evidence = evidence + np.random.default_rng(1000 + seed).standard_normal(evidence.shape)
    return readers.readings([reader], truth, softmax(evidence, axis=1), classes=CLASSES, seed=seed)


@pytest.mark.parametrize("name", ["trainee", "competent", "expert"])
def test_unaided_readers_are_expected_at_their_published_operating_point(name):
    right = readers.expected_sensitivity(solved(name))
    assert right @ COUNTS / 150 == pytest.approx(PUBLISHED[f"{PLACE}.{name}"], abs=1e-9)
    assert right[2] == pytest.approx(PUBLISHED[f"{PLACE}.{name}.pathologic"], abs=1e-9)
    assert right[0] == pytest.approx(right[1], abs=1e-12), "acute and chronic are called equally well by choice"


@pytest.mark.parametrize("name", ["trainee", "competent"])
def test_trust_brings_the_aided_reader_to_its_published_sensitivity(name, model):
    target = PUBLISHED[f"{PLACE}.dl-{name}"]
    reader, expected = readers.solve_trust(solved(name), model, overall=target, counts=COUNTS)
    assert expected == pytest.approx(target, abs=1e-9)
    assert readers.expected_sensitivity(reader, model) @ COUNTS / 150 == pytest.approx(target, abs=1e-9)
    less = reader._replace(trust=0.9 * reader.trust)
    assert readers.expected_sensitivity(less, model) @ COUNTS / 150 < target, "the least trust that does"


def test_the_experts_published_gain_is_beyond_the_best_weight_of_independent_evidence(model):
    target = PUBLISHED[f"{PLACE}.dl-expert"]
    reader, expected = readers.solve_trust(solved("expert"), model, overall=target, counts=COUNTS)
    grid = [
        readers.expected_sensitivity(reader._replace(trust=t), model) @ COUNTS / 150 for t in np.linspace(0, 5, 501)
    ]
    assert max(grid) <= expected + 1e-9 < target


def test_a_reader_who_already_is_better_than_asked_has_no_trust(model):
    reader, expected = readers.solve_trust(solved("expert"), model, overall=0.5, counts=COUNTS)
    assert reader.trust == 0
    assert expected == pytest.approx(PUBLISHED[f"{PLACE}.expert"])


def test_expectations_equal_closed_forms():
    assert readers.expected_sensitivity(readers.Reader("r", 0.0, (0.0,) * 3)) == pytest.approx([1 / 3] * 3, abs=1e-12)
    two = readers.expected_sensitivity(readers.Reader("r", 1.3, (0.0, -0.4)))
    assert two == pytest.approx(ndtr(np.array([1.7, 0.9]) / np.sqrt(2)), abs=1e-12)
    reader, model = readers.Reader("r", 1.0, (0.0, 0.0), trust=0.5), readers.Reader("m", 2.0, (0.0, 0.3))
    aided = readers.expected_sensitivity(reader, model)
    assert aided == pytest.approx(ndtr(np.array([1.85, 2.15]) / np.sqrt(2 * 1.25)), abs=1e-12)


def test_readings_come_out_as_expected(model):
    reader = solved("trainee")._replace(trust=0.7)
    n = 40_000
    points = readers.operating_points(simulated(reader, model, n), classes=CLASSES)
    found = points.pivot(index="class", columns="modality", values="sensitivity").loc[CLASSES]
    error = 4 * 0.5 / np.sqrt(n)
    assert found["unaided"].to_numpy() == pytest.approx(readers.expected_sensitivity(reader), abs=error)
    assert found["aided"].to_numpy() == pytest.approx(readers.expected_sensitivity(reader, model), abs=error)


def test_readings_are_decisions_and_softmax_ratings_that_the_statistics_take(model):
    trio = [solved(name)._replace(trust=1.0) for name in ("trainee", "competent", "expert")]
    truth = np.repeat(CLASSES, COUNTS)
    probabilities = softmax(np.random.default_rng(5).standard_normal((150, 3)), axis=1)
    frame = readers.readings(trio, truth, probabilities, classes=CLASSES, seed=2)
    shares = frame[[f"prob_{name}" for name in CLASSES]].to_numpy()
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert frame["rating"].tolist() == np.asarray(CLASSES)[shares.argmax(axis=1)].tolist()
    assert len(readers.accuracies(frame, classes=CLASSES)) == 6
    assert set(readers.compare(frame, classes=CLASSES)["n"]) == {150, 80, 70, 57, 93, 13, 137}
    result = readers.mrmc_test(readers.one_vs_rest(frame, "acute").assign(rating=frame["prob_acute"]))
    assert 0 <= result.p_value <= 1


def test_a_reader_without_trust_says_the_same_twice(model):
    frame = simulated(solved("expert"), model, 20).pivot(index="case", columns="modality", values="rating")
    assert (frame["aided"] == frame["unaided"]).all()


def test_a_model_that_is_sure_and_trusted_decides_even_with_probabilities_of_zero():
    reader = readers.Reader("r", 0.5, (0.0, 0.0, 0.0), trust=1.0)
    frame = readers.readings([reader], ["acute"] * 5, np.tile([0.0, 1.0, 0.0], (5, 1)), classes=CLASSES)
    assert (frame.loc[frame["modality"] == "aided", "rating"] == "chronic").all()
    assert frame[[f"prob_{name}" for name in CLASSES]].notna().all(axis=None)


def test_readings_repeat_and_do_not_depend_on_who_reads_after():
    first, second = readers.Reader("a", 1.0, (0.0,) * 3), readers.Reader("b", 1.0, (0.0,) * 3)
    truth, probabilities = CLASSES * 4, np.full((12, 3), 1 / 3)
    alone = readers.readings([first], truth, probabilities, classes=CLASSES, seed=3)
    both = readers.readings([first, second], truth, probabilities, classes=CLASSES, seed=3)
    pd.testing.assert_frame_equal(alone, both[both["reader"] == "a"])
    other = readers.readings([first], truth, probabilities, classes=CLASSES, seed=4)
    assert not alone["prob_acute"].equals(other["prob_acute"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overall": 1.2}, "trainee, overall: a share between 0 and 1"),
        ({"sensitivity": 0.0}, "trainee, sensitivity: a share"),
        ({"of": "old"}, "of among the classes"),
        ({"counts": [1, 2]}, "one count per class"),
        ({"overall": 0.2}, "no virtual reader is right in 0.200 of all and 0.154 of pathologic cases"),
    ],
)
def test_impossible_readers_are_named(change, message):
    asked = {"overall": 0.56, "sensitivity": 0.154, "of": "pathologic", "classes": CLASSES, "counts": COUNTS}
    with pytest.raises(ValueError, match=message):
        readers.solve("trainee", **(asked | change))


@pytest.mark.parametrize(
    ("truth", "probabilities", "message"),
    [
        (["acute"], np.full((2, 3), 1 / 3), r"shape \(1, 3\) required, found \(2, 3\)"),
        (["old"], np.full((1, 3), 1 / 3), "truth: one of acute, chronic, pathologic required, found old"),
        (["acute"], [[0.5, 0.5, 0.5]], "sum to 1"),
        (["acute"], [[np.nan, 0.5, 0.5]], "sum to 1"),
    ],
)
def test_bad_cases_are_named(truth, probabilities, message):
    with pytest.raises(ValueError, match=message):
        readers.readings([readers.Reader("r", 1.0, (0.0,) * 3)], truth, probabilities, classes=CLASSES)


# Real readers ---------------------------------------------------------------------------------------------------------

TRUTH = {"s1": "acute", "s2": "chronic", "s3": "pathologic", "unread": "acute"}


def written(tmp_path, rows, header="reader,aided,case,rating"):
    path = tmp_path / "readers.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_file_of_real_readings_gives_the_same_frame_as_virtual_ones(tmp_path):
    rows = [f"Dr A, {aided}, {case}, Acute" for aided in ("no", "yes") for case in ("s1", "s2", "s3")]
    frame = readers.read_csv(written(tmp_path, rows), truth=TRUTH)
    assert list(frame) == list(readers.COLUMNS)
    assert frame["modality"].tolist() == ["unaided"] * 3 + ["aided"] * 3
    assert frame["truth"].tolist() == ["acute", "chronic", "pathologic"] * 2
    assert set(frame["rating"]) == {"acute"}
    assert readers.accuracies(frame, classes=CLASSES)["accuracy"].tolist() == [1 / 3, 1 / 3]


def test_all_faults_of_a_readers_file_are_named_at_once(tmp_path):
    path = written(tmp_path, ["A,0,s1,acute", "A,perhaps,s1,acute", "A,1,s9,acute", "A,1,s2,old"])
    with pytest.raises(ValueError, match=r"readers\.csv") as refused:
        readers.read_csv(path, truth=TRUTH)
    for part in ("aided: 0 or 1 required, found perhaps", "found s9", "one of acute, chronic, pathologic", "found old"):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([], "reader,aided,case,rating", "no readings"),
        (["A,s1,acute"], "reader,case,rating", "columns aided missing"),
        (["A,0,s1,acute", "A,0,s1,chronic"], "reader,aided,case,rating", "given twice"),
        (["A,0,s1,acute", "A,1,s2,acute"], "reader,aided,case,rating", "absent"),
        ([",0,s1,acute"], "reader,aided,case,rating", "reader: a name required"),
    ],
)
def test_unusable_readers_files_are_refused(tmp_path, rows, header, message):
    with pytest.raises(ValueError, match=message):
        readers.read_csv(written(tmp_path, rows, header), truth=TRUTH)


def test_a_missing_readers_file_is_named_without_its_folder(tmp_path):
    with pytest.raises(ValueError, match=r"^readers.csv: no such file"):
        readers.read_csv(tmp_path / "readers.csv", truth=TRUTH)
