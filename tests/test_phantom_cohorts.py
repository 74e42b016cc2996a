"""Virtual cohorts of the five papers: the printed numbers, typed again from the papers, and no more than those."""

import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2_contingency, ks_2samp
from sklearn.metrics import roc_auc_score

from vcfkit.phantom import cohorts, ct
from vcfkit.phantom.anatomy import LEVELS, TABLE, generator
from vcfkit.phantom.cohorts import ct_diseases, levels, matching, xray_astlof
from vcfkit.phantom.cohorts.patient import VirtualPatient
from vcfkit.phantom.scanner import CT_SITES, SITES

STEMS = tuple(cohorts.SPEC)
FRESH, CROPS, DISEASES, ASTLOF, ACUTE = STEMS
# What the classes tell at effect 0 is what tables print; paper 05's table prints more, which the effect scales.
EFFECT = {stem: float(stem == ACUTE) for stem in STEMS}


@pytest.fixture(scope="module")
def full():
    """Samples frames at the scale of the papers."""
    return {stem: cohorts.draw(stem, effect=EFFECT[stem]) for stem in STEMS}


@pytest.fixture(scope="module")
def boxes():
    return cohorts.boxes(DISEASES)


def counts(part, *columns):
    return part.groupby(list(columns)).size().to_dict()


def mean_sd(values, decimals=2):
    return round(values.mean(), decimals), round(values.std(), decimals)


# The papers, one by one


def test_paper_01_table_1_table_3_and_the_text(full):
    films = full[FRESH]
    assert counts(films, "cohort") == {"training": 1050, "validation": 262, "YHDH": 221, "BMUH": 214}
    # Table 1: fresh, thoracic among them, men, old fractures, age
    expected = {
        "training": (355, 127, 416, 117, (62.78, 13.50)),
        "validation": (88, 56, 118, 31, (61.97, 13.05)),
        "YHDH": (59, 22, 100, 56, (56.80, 16.26)),
        "BMUH": (70, 23, 87, 47, (64.28, 13.12)),
    }
    for cohort, (fresh, thoracic, men, old, age) in expected.items():
        part = films[films.cohort == cohort]
        assert (part.label == "fresh").sum() == fresh
        assert (part.fresh_region == "thoracic").sum() == thoracic
        assert (part.fresh_region == "lumbar").sum() == fresh - thoracic
        assert (part.sex == "M").sum() == men
        assert part.has_old_vcf.sum() == old
        mean, sd = mean_sd(part.age)
        assert (round(part.age.mean(), 1) if cohort == "YHDH" else mean, sd) == age
    # Table 3: patients, fresh, men, mean age without and with an old fracture
    subgroups = {
        ("YHDH", False): (165, 43, 76, 53.43),
        ("YHDH", True): (56, 16, 24, 66.74),
        ("BMUH", False): (167, 44, 65, 62.44),
        ("BMUH", True): (47, 26, 22, 70.81),
    }
    for (cohort, old), (n, fresh, men, age) in subgroups.items():
        part = films[(films.cohort == cohort) & (films.has_old_vcf == old)]
        assert (len(part), (part.label == "fresh").sum(), (part.sex == "M").sum()) == (n, fresh, men)
        assert round(part.age.mean(), 2) == age
    # Results, Population characteristics
    assert mean_sd(films.age) == (62.08, 13.92)


def test_paper_01_pooled_subgroups_cannot_give_the_cohort_and_the_cohort_wins():
    table = cohorts.check_table(FRESH)
    missed = table[table.difference != 0]
    assert set(missed.quantity) == {"age SD, without old", "age SD, with old"}
    assert missed.difference.between(0.03, 0.07).all()
    assert missed.rule.str.contains("Table 1 is followed").all()


def test_paper_01_split_is_by_patient_number_and_devices_are_six_in_five_hospitals(full):
    films = full[FRESH]
    development = films[films.cohort.isin(["training", "validation"])].sort_values("patient_number")
    assert development.patient_number.tolist() == list(range(1, 1313))
    assert (development.cohort[:1050] == "training").all()  # Data partition: the first 80 %
    assert films.groupby("site").device.nunique().to_dict() == {
        "Hospital 1": 2,
        "Hospital 2": 1,
        "Hospital 3": 1,
        "YHDH": 1,
        "BMUH": 1,
    }
    assert set(films.device) <= set(SITES)
    table = pd.crosstab(development.device, development.label)
    assert chi2_contingency(table).pvalue > 0.9


def test_paper_01_old_fractures_know_the_label_only_where_table_3_does(full):
    films = full[FRESH]
    for cohort in ("training", "validation"):
        part = films[films.cohort == cohort]
        assert chi2_contingency(pd.crosstab(part.label, part.has_old_vcf), correction=False).pvalue > 0.7
    old = films[films.has_old_vcf]
    number = old.old_levels.str.count(",") + 1
    assert chi2_contingency(pd.crosstab(old.label, number)).pvalue > 0.5
    assert films.cement_levels.ne("").mean() == pytest.approx(0.02, abs=0.002)
    assert films.malignant.mean() == pytest.approx(0.01, abs=0.002)
    shown = films.fresh_level[films.fresh_level != ""]
    assert set(shown) <= set(LEVELS[LEVELS.index("T8") :])
    assert not any(f and f in o.split(",") for f, o in zip(films.fresh_level, films.old_levels, strict=True))


def test_paper_02_counts_and_its_frame_is_the_one_that_published_results_were_made_from():
    samples = cohorts.draw(CROPS)
    assert counts(samples[samples.cohort == "development"], "label") == {
        "acute": 1003,
        "chronic": 861,
        "pathologic": 167,
    }
    assert hashlib.sha256(samples.to_csv(index=False).encode()).hexdigest()[:16] == "ef09aad004ed462b"
    other = cohorts.draw(CROPS, seed=3, effect=0.5)
    assert hashlib.sha256(other.to_csv(index=False).encode()).hexdigest()[:16] == "8e960d6aeec8aa6a"


def test_paper_03_tables_1_and_2_and_the_detector(full, boxes):
    slices = full[DISEASES]
    people = slices.drop_duplicates("patient_id")
    # Table 1: patients, men, slices, age, T
    expected = {
        "training": (819, 192, 8548, (73, 8), (-2.9, 1.3)),
        "testing": (232, 52, 2456, (72, 8), (-2.9, 1.4)),
        "Xuanwu": (46, 13, 467, (76, 9), (-2.9, 0.5)),
    }
    for cohort, (n, men, number, age, t_score) in expected.items():
        part = people[people.cohort == cohort]
        assert (len(part), (part.sex == "M").sum(), (slices.cohort == cohort).sum()) == (n, men, number)
        assert mean_sd(part.age, 0) == age
        assert mean_sd(part.t_score, 1) == t_score
    assert people.age.min() >= 55  # Patient cohorts: inclusion
    # Table 2: OVCF, OF, SN, KD, PS, normal
    labels = boxes.groupby("cohort")[list(ct_diseases.CLASSES)].sum().T.to_dict("list")
    assert labels == {
        "training": [8046, 3257, 824, 478, 1979, 47604],
        "testing": [2536, 893, 154, 204, 702, 15122],
        "Xuanwu": [398, 66, 23, 56, 102, 2425],
    }
    assert [sum(labels[c][:5]) for c in labels] == [645, 4489, 14584]
    # Results, VDModule: images and vertebrae
    chosen = boxes[boxes.detector].groupby("cohort").agg(images=("sample_id", "nunique"), vertebrae=("level", "size"))
    assert chosen.T.to_dict("list") == {"training": [1082, 9135], "testing": [405, 3212]}


def test_paper_03_labels_follow_from_the_geometry_of_every_lesion(full, boxes):
    slices = full[DISEASES]
    joined = boxes.merge(slices[["sample_id", "offset_mm", "image"]], on="sample_id")
    patients = {}
    for image in slices.drop_duplicates("patient_id").image:
        patient, _, _ = cohorts.resolve(image)
        patients[patient.patient_id] = patient
    sick = joined[joined.patient_id.isin(list(patients)[::20])]
    for row in sick.itertuples():
        patient = patients[row.patient_id]
        own = patient.diseases.get(row.level, ())
        for label in cohorts.ct_diseases.DISEASES:
            expected = label in own
            if expected and label in ("SN", "KD", "PS"):
                middle, radius = patient.extents[row.level, label]
                expected = 1 - ((row.offset_mm - middle) / radius) ** 2 > 0.15
            assert getattr(row, label) == expected
        assert row.normal == (not any(getattr(row, d) for d in ct_diseases.DISEASES))
    for patient in patients.values():
        narrowest = min(TABLE["w"][LEVELS.index(level)] for level in patient.levels)
        assert max(np.abs(patient.offsets)) < 0.4 * narrowest
        assert np.diff(patient.offsets).min() > 0.5
        assert set(patient.diseases) <= set(patient.levels)
        index = [label for labels in patient.diseases.values() for label in labels if label in ("OVCF", "KD")]
        assert index  # everybody has an OVCF, or the type of it that is called KD


def test_paper_03_a_slice_says_what_any_of_its_vertebrae_has(full, boxes):
    slices = full[DISEASES].set_index("sample_id")
    seen = boxes.groupby("sample_id")[list(ct_diseases.CLASSES)].max().loc[slices.index]
    assert (seen == slices[list(ct_diseases.CLASSES)]).all(axis=None)
    assert (boxes.groupby("sample_id").size().loc[slices.index] == slices.n_vertebrae).all()
    with pytest.raises(ValueError, match="03_ct"):
        cohorts.boxes(FRESH)


def test_paper_03_a_rendered_slice_shows_the_vertebrae_and_labels_of_its_boxes(full, boxes):
    torch.set_num_threads(1)
    slices = full[DISEASES]
    sick = slices[slices[["SN", "KD", "PS"]].any(axis=1)]
    chosen = pd.concat([sick.iloc[::500], slices.iloc[5::1500]]).reset_index(drop=True)
    chosen["image"] = chosen.image.str.replace("effect=0.0", "effect=1.0")
    _, truth = ct.ct_slices(chosen, size=192, truth=True)
    columns = ["level", *ct_diseases.CLASSES]
    for j, name in enumerate(chosen.sample_id):
        expected = boxes[boxes.sample_id == name][columns].set_index("level").astype(bool)
        shown = truth.frame[truth.frame["slice"] == j][columns].set_index("level").astype(bool)
        pd.testing.assert_frame_equal(shown.sort_index(), expected.sort_index())


def test_paper_04_tables_1_and_2_figure_1_and_the_text(full):
    vertebrae = full[ASTLOF]
    # Table 1: men, thoracic, acute, classes, treatments, age, T; Figure 1: patients
    expected = {
        "training": (181, 205, 472, (330, 294, 88), (354, 290, 68), (70.38, 10.49), (-2.7, 0.70), 652),
        "internal_validation": (55, 47, 104, (75, 85, 18), (97, 58, 23), (68.01, 10.73), (-3.0, 0.81), 125),
        "external": (41, 19, 76, (53, 49, 9), (60, 36, 15), (65.54, 9.19), (-2.7, 0.53), 96),
        "prospective": (24, 19, 53, (32, 33, 10), (42, 19, 14), (65.83, 11.32), (-2.9, 0.69), 68),
    }
    assert counts(vertebrae, "cohort") == {
        "training": 712,
        "internal_validation": 178,
        "external": 111,
        "prospective": 75,
    }
    for cohort, (men, thoracic, acute, classes, treatments, age, t_score, patients) in expected.items():
        part = vertebrae[vertebrae.cohort == cohort]
        assert (part.sex == "M").sum() == men
        assert part["level"].str.startswith("T").sum() == thoracic
        assert (part.acuity == "acute").sum() == acute
        assert tuple(part.label.value_counts().sort_index()) == classes
        assert tuple((part.treatment == name).sum() for name in xray_astlof.TREATMENTS) == treatments
        assert mean_sd(part.age) == age
        assert (round(part.t_score.mean(), 1), round(part.t_score.std(), 2)) == t_score
        assert part.patient_id.nunique() == patients
    # Table 2: conservative, augmentation, open surgery
    by_class = pd.crosstab(vertebrae.label, vertebrae.treatment)[list(xray_astlof.TREATMENTS)]
    assert by_class.to_numpy().tolist() == [[357, 98, 35], [159, 232, 70], [37, 73, 15]]
    # Results, Clinical baseline characteristics, per patient; one woman fewer, as Figure 1 adds up to 941
    people = vertebrae.drop_duplicates("patient_id")
    assert mean_sd(people.age) == (69.34, 10.19)
    assert (people.age.min(), people.age.max()) == (50, 97)
    assert people.sex.value_counts().to_dict() == {"F": 677, "M": 264}
    bone = np.histogram(people.t_score, [-9, -2.5, -1.0, 9])[0]
    assert bone.tolist() == [720, 205, 16]
    assert vertebrae.patient_id.value_counts().value_counts().to_dict() == {1: 830, 2: 87, 3: 24}


def test_paper_04_the_score_adds_its_parts_and_gives_the_class(full):
    vertebrae = full[ASTLOF]
    parts = vertebrae[["astlof_morphology", "astlof_mri", "astlof_t", "astlof_pain"]]
    assert parts.min().min() == 0
    assert parts.max().max() == 2
    assert (parts.sum(axis=1) == vertebrae.astlof_score).all()
    classes = vertebrae.astlof_score.map({1: 0, 2: 0, 3: 0, 4: 1, 5: 2, 6: 2, 7: 2, 8: 2})
    assert (vertebrae.label == "class_" + classes.astype(str)).all()
    cut = np.select([vertebrae.t_score > -2.5, vertebrae.t_score >= -3.5], [0, 1], 2)
    assert (vertebrae.astlof_t == cut).all()
    oedema = vertebrae.groupby("acuity").astlof_mri.agg(set)
    assert oedema.to_dict() == {"acute": {1, 2}, "chronic": {0, 2}}
    pain = vertebrae.groupby("acuity").astlof_pain.mean()
    assert pain["acute"] > pain["chronic"]
    # Pain is the part no picture shows: without it, the class stays open for most vertebrae with three points.
    seen = vertebrae[vertebrae.astlof_score - vertebrae.astlof_pain == 3]
    assert seen.label.nunique() == 3
    with pytest.raises(ValueError, match="begin at 1 point"):
        xray_astlof.class_of(0)


def test_paper_05_table_1_and_the_split(full):
    fractures = full[ACUTE]
    # Table 1: patients, women, fractures, thoracic, age, range
    expected = {
        "acute": (253, 164, 315, 111, (59.3, 18.1), (17, 95)),
        "chronic": (112, 78, 205, 88, (71.1, 11.9), (39, 95)),
    }
    for label, (n, women, number, thoracic, age, ends) in expected.items():
        part = fractures[fractures.label == label]
        people = part.drop_duplicates("patient_id")
        assert (len(people), (people.sex == "F").sum()) == (n, women)
        assert (len(part), (part.region == "thoracic").sum()) == (number, thoracic)
        assert mean_sd(people.age, 1) == age
        assert (people.age.min(), people.age.max()) == ends
    # Discussion: 252 + 164 and 63 + 41
    assert counts(fractures, "cohort", "label") == {
        ("training", "acute"): 252,
        ("training", "chronic"): 164,
        ("testing", "acute"): 63,
        ("testing", "chronic"): 41,
    }


# All papers


@pytest.mark.parametrize("stem", STEMS)
def test_every_number_that_is_not_met_has_its_rule_whatever_the_seed(stem):
    for seed in (0, 7):
        table = cohorts.check_table(stem, seed=seed)
        assert len(table) >= 9
        assert table["where"].str.len().gt(0).all()
        missed = table[table.difference != 0]
        assert missed.rule.str.len().gt(0).all(), missed
        ours, paper = table.ours.astype(float), table.paper.astype(float)
        assert np.allclose(ours - paper, table.difference)


@pytest.mark.parametrize("stem", STEMS)
def test_the_same_seed_gives_the_same_frame_and_another_one_other_patients(stem, full):
    again = cohorts.PAPERS[stem].cohorts.__wrapped__(0, 0.0)  # past the cache
    assert again == cohorts.PAPERS[stem].cohorts(0, 0.0)
    other = cohorts.draw(stem, seed=1, effect=0.0)
    assert tuple(other.columns) == tuple(full[stem].columns)
    assert not other.age.equals(full[stem].age)
    assert other.columns[:12].tolist() == [*cohorts.COLUMNS, "source"]
    assert full[stem].sample_id.is_unique


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("fraction", [0.03, 0.3])
def test_a_fraction_keeps_whole_patients_and_every_class_in_every_cohort(stem, fraction, full):
    names = [cohort.name for cohort in cohorts.PAPERS[stem].cohorts(0, 0.0)]
    reduced = cohorts.draw(stem, effect=EFFECT[stem], fractions=dict.fromkeys(names, fraction))
    whole = full[stem][full[stem].patient_id.isin(reduced.patient_id)]
    assert sorted(whole.sample_id) == sorted(reduced.sample_id)
    assert set(reduced.cohort) == set(full[stem].cohort)
    if stem == DISEASES:
        assert reduced.groupby("cohort")[list(ct_diseases.CLASSES)].max().to_numpy().min() == 1
    else:
        classes = set(full[stem].label)
        assert reduced.groupby("cohort").label.agg(lambda part: set(part) == classes).all()
    assert len(reduced) == pytest.approx(fraction * len(full[stem]), rel=0.25, abs=12)


def test_a_group_of_cohorts_can_be_named_and_a_cohort_of_its_own_goes_first(full):
    reduced = cohorts.draw(FRESH, fractions={"development": 0.1, "external": 0.5, "YHDH": 0.2})
    size = counts(reduced, "cohort")
    assert size["training"] == 105
    assert size["validation"] == 26
    assert size["YHDH"] == 44
    assert size["BMUH"] == 107
    with pytest.raises(ValueError, match="external"):
        cohorts.draw(FRESH, fractions={"prospective": 0.1})
    with pytest.raises(KeyError, match=ACUTE):
        cohorts.check_table("99_nothing")


@pytest.mark.parametrize("stem", STEMS)
def test_every_reference_resolves_to_its_patient_and_no_other_picture_does(stem, full):
    for row in full[stem].iloc[:: max(len(full[stem]) // 60, 1)].itertuples():
        patient, target, nuisance = cohorts.resolve(row.image)
        assert isinstance(patient, VirtualPatient)
        assert (patient.patient_id, patient.age, patient.sex, patient.site) == (
            row.patient_id,
            row.age,
            row.sex,
            row.site,
        )
        assert cohorts.reference(patient, target, nuisance) == row.image
        assert patient.site in (CT_SITES if "_ct_" in stem else SITES)
        with pytest.raises(ValueError, match="no fracture or picture"):
            cohorts.resolve(row.image.replace(f"/{target}?", "/slice-99.5?"))
    assert set(full[stem].source) == {"virtual"}


# What a class may tell: only what the paper's own table prints


def test_label_of_paper_01_tells_nothing_of_age_and_sex_beyond_table_3(full):
    films = full[FRESH]
    for (cohort, old), part in films.groupby(["cohort", "has_old_vcf"]):
        fresh = part.label == "fresh"
        # Ages are dealt evenly to both labels: what is left falls with the size of the subgroup, 31 at least.
        assert abs(roc_auc_score(fresh, part.age) - 0.5) < 0.02 + 3 / len(part), (cohort, old)
        assert chi2_contingency(pd.crosstab(fresh, part.sex), correction=False).pvalue > 0.7
    training = films[films.cohort == "training"]
    fresh = training.label == "fresh"
    assert abs(roc_auc_score(fresh, training.age) - 0.5) < 0.01
    assert abs(roc_auc_score(fresh, training.t_score) - 0.5) < 0.05
    assert abs(roc_auc_score(fresh, training.patient_number) - 0.5) < 0.05


def test_class_of_paper_04_tells_nothing_of_age_sex_and_level(full):
    vertebrae = full[ASTLOF]
    for cohort, part in vertebrae.groupby("cohort"):
        assert chi2_contingency(pd.crosstab(part.label, part.sex)).pvalue > 0.5, cohort
        assert chi2_contingency(pd.crosstab(part.label, part["level"])).pvalue > 0.2, cohort
        assert chi2_contingency(pd.crosstab(part.acuity, part["level"])).pvalue > 0.2, cohort
        for a, b in itertools.combinations(sorted(set(part.label)), 2):
            assert ks_2samp(part.age[part.label == a], part.age[part.label == b]).pvalue > 0.05, cohort
    assert abs(np.corrcoef(vertebrae.age, vertebrae.t_score)[0, 1]) < 0.1


def test_class_of_paper_05_tells_of_level_and_t_only_what_age_sex_and_region_do(full):
    fractures = full[ACUTE]
    for _, part in fractures.groupby("region"):
        assert chi2_contingency(pd.crosstab(part.label, part["level"])).pvalue > 0.5
    people = fractures.drop_duplicates("patient_id")
    slope = np.where(people.sex == "M", 0.027, 0.045)  # of T on age: the one rule of both classes
    residual = people.t_score + slope * (people.age - 60)
    assert abs(roc_auc_score(people.label == "chronic", residual) - 0.5) < 0.08
    number = people.patient_id.str[3:].astype(int)
    assert abs(roc_auc_score(people.label == "chronic", number) - 0.5) < 0.08


def test_diseases_of_paper_03_tell_nothing_of_age_sex_and_t(full):
    people = (
        full[DISEASES]
        .groupby("patient_id")
        .agg({"age": "first", "sex": "first", "t_score": "first", **dict.fromkeys(ct_diseases.DISEASES, "max")})
    )
    for label in ("OF", "SN", "KD", "PS"):
        assert abs(roc_auc_score(people[label], people.age) - 0.5) < 0.1, label
        assert abs(roc_auc_score(people[label], people.t_score) - 0.5) < 0.1, label
        assert chi2_contingency(pd.crosstab(people[label], people.sex)).pvalue > 0.02, label


def test_classes_of_paper_05_differ_in_nothing_at_effect_zero_and_more_above_one():
    people, share = {}, {}
    for effect in (0.0, 1.0, 1.5, 2.0, 9.0):
        fractures = cohorts.draw(ACUTE, effect=effect)
        people[effect] = fractures.drop_duplicates("patient_id").groupby("label")
        share[effect] = (fractures.region == "thoracic").groupby(fractures.label).mean()
        # Table 1: 365 patients, 242 women, 62.9 ± 17.3 years, whatever the classes' part of it
        everybody = fractures.drop_duplicates("patient_id")
        assert (len(everybody), (everybody.sex == "F").sum()) == (365, 242)
        assert abs(everybody.age.mean() - 62.9) < 0.05
    same = people[0.0]
    assert ks_2samp(*(part.age for _, part in same)).pvalue > 0.5
    assert np.ptp(same.age.mean()) < 0.05
    assert np.ptp(same.age.std()) < 0.05
    assert np.ptp(same.sex.agg(lambda sex: (sex == "F").mean())) < 0.01
    assert np.ptp(share[0.0]) < 0.01
    gap = {effect: np.ptp(groups.age.mean()) for effect, groups in people.items()}
    assert gap[1.0] == pytest.approx(11.8, abs=0.05)
    assert gap[1.5] == pytest.approx(1.5 * 11.8, abs=0.05)
    assert gap[9.0] == pytest.approx(gap[2.0], abs=0.05)


@pytest.mark.parametrize("stem", [FRESH, DISEASES, ASTLOF])
def test_effect_changes_no_row_but_the_reference(stem, full):
    strong = cohorts.draw(stem, effect=1.5)
    pd.testing.assert_frame_equal(strong.drop(columns="image"), full[stem].drop(columns="image"))
    assert strong.image.str.contains("effect=1.5&").all()


# Machinery


def test_controlled_rounding_keeps_three_two_way_margins():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 30, (4, 3, 3))
    margins = [(axes, truth.sum(axis=gone)) for axes, gone in (((0, 1), 2), ((0, 2), 1), ((1, 2), 0))]
    fitted = matching.fit_margins(np.ones(truth.shape), margins)
    table = matching.round_within_margins(fitted, margins)
    for (_, target), gone in zip(margins, (2, 1, 0), strict=True):
        assert (table.sum(axis=gone) == target).all()
    assert np.abs(table - fitted).max() < 2
    with pytest.raises(ValueError, match="margins not met"):
        matching.fit_margins(np.array([[1.0, 0.0], [0.0, 1.0]]), [((0,), [3, 1]), ((1,), [1, 3])], rounds=50)


def test_moments_are_met_within_bounds_and_with_weights():
    rng = generator(0, "moments")
    weights = np.repeat((1, 2, 3), (60, 12, 4))
    start = rng.permutation(matching.truncated_normal(rng, 76, 70, 10, 50, 97))
    fixed = np.arange(76) < 2
    start[fixed] = 50.0, 97.0
    x = matching.match_moments(
        start, 69.41, 10.23, step=0.1, low=50, high=97, tolerance=(0.005, 0.005), weights=weights, fixed=fixed
    )
    every = np.repeat(x, weights)
    assert (round(every.mean(), 2), round(every.std(ddof=1), 2)) == (69.41, 10.23)
    assert x[:2].tolist() == [50.0, 97.0]
    assert x.min() >= 50
    assert x.max() <= 97
    assert np.allclose(x * 10, np.round(x * 10))
    assert np.abs(x - start).max() < 3
    with pytest.raises(ValueError, match="not reached"):
        matching.match_moments([1.0, 2.0, 3.0], 2.0, 30.0, step=0.1, low=0, high=4, tolerance=(0.01, 0.01))


def test_interleaved_cells_share_every_stretch_of_the_row():
    order = matching.interleave((30, 60, 10), np.random.default_rng(0))
    assert np.bincount(order).tolist() == [30, 60, 10]
    for start in range(0, 100, 20):
        assert np.abs(np.bincount(order[start : start + 20], minlength=3) - (6, 12, 2)).max() <= 1


def test_a_subset_meets_size_and_sum_and_says_when_it_cannot():
    values = np.random.default_rng(0).integers(6, 17, 300)
    chosen = matching.subset_with_sum(values, 40, 480, np.random.default_rng(1))
    assert len(set(chosen)) == 40
    assert values[chosen].sum() == 480
    with pytest.raises(ValueError, match="add up to 7"):
        matching.subset_with_sum(values, 40, 7, np.random.default_rng(1))


def test_levels_meet_their_quota_whatever_the_number_of_fractures():
    pool = levels.quota({"thoracic": 40, "lumbar": 60})
    sizes = [4, 1, 3, 2, 2, 2] + [1] * 60 + [2] * 13
    dealt = levels.group(pool, sizes, np.random.default_rng(0))
    assert [len(own) for own in dealt] == sizes
    assert all(len(set(own)) == len(own) for own in dealt)
    found = pd.Series([level for own in dealt for level in own]).value_counts().to_dict()
    assert found == {level: n for level, n in pool.items() if n}
    several = [np.ptp([LEVELS.index(level) for level in own]) for own in dealt if len(own) == 2]
    assert max(several) <= 2
