"""Virtual patients: counts, determinism, geometry, physics, and that no label leaks where none may."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, f_oneway, kruskal

from vcfkit.phantom import anatomy, cohorts, render, scanner, scene, signs, truth
from vcfkit.phantom.chord import Bodies, chord, ellipsoid_chord, half_width, surface
from vcfkit.phantom.skeleton import Skeleton

STEM = cohorts.XRAY_ACUTE_CHRONIC


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def full():
    return cohorts.draw(STEM)


@pytest.fixture(scope="module")
def some(full):
    """Two samples of every class at every site."""
    return full.groupby(["site", "label"], sort=False).head(2).reset_index(drop=True)


@pytest.fixture(scope="module")
def described(full):
    return truth.describe(full[full.cohort == "development"].iloc[::7])


# Cohorts


def test_counts_of_the_paper_are_met_exactly(full):
    development = full[full.cohort == "development"]
    assert development.label.value_counts().to_dict() == {"acute": 1003, "chronic": 861, "pathologic": 167}
    assert development.patient_id.nunique() == 1460
    external = full[full.cohort.isin(cohorts.EXTERNAL)]
    assert (len(external), external.patient_id.nunique()) == (504, 387)
    prospective = full[full.cohort == "prospective"]
    assert (len(prospective), prospective.patient_id.nunique()) == (74, 57)
    assert (len(full), full.patient_id.nunique()) == (2609, 1904)
    assert full.sample_id.is_unique
    assert tuple(full.columns[:11]) == cohorts.COLUMNS


def test_external_class_mix_is_that_of_the_collaboration_set(full):
    external = full[full.cohort.isin(cohorts.EXTERNAL)].label.value_counts(normalize=True)
    for label, count in zip(signs.CLASSES, (80, 57, 13), strict=True):
        assert external[label] == pytest.approx(count / 150, abs=0.002)


def test_site_of_every_cohort_has_a_scanner_row(full):
    assert set(full.site) <= set(scanner.SITES)
    assert set(full[full.cohort == "prospective"].site) == {"Site 1"}
    with pytest.raises(KeyError, match="Site 1"):
        scanner.expose("elsewhere", np.random.default_rng(0))


def test_spec_table_says_what_is_the_papers_and_what_is_ours():
    table = cohorts.spec_table()
    assert table[["acute", "chronic", "pathologic"]].sum(axis=1).tolist() == table.vertebrae.tolist()
    assert table.paper.str.len().gt(0).all()
    assert table.ours.str.len().gt(0).all()


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_a_fraction_keeps_every_class_in_every_cohort(full, fraction):
    reduced = cohorts.draw(
        STEM, fractions={"development": fraction, "external": fraction, "prospective": max(fraction, 0.1)}
    )
    counts = reduced.groupby(["cohort", "label"]).size().unstack(fill_value=0)
    assert counts.shape == (5, 3)
    assert counts.to_numpy().min() >= 1
    assert counts.loc["development"].sum() == pytest.approx(2031 * fraction, abs=1)
    # whole virtual patients: all their fractures stay
    whole = full[full.patient_id.isin(reduced.patient_id)]
    assert sorted(whole.sample_id) == sorted(reduced.sample_id)


def test_unknown_cohorts_stems_and_references_are_refused(full):
    with pytest.raises(ValueError, match="external"):
        cohorts.draw(STEM, fractions={"developement": 0.1})
    with pytest.raises(KeyError, match=STEM):
        cohorts.draw("99_nothing")
    with pytest.raises(ValueError, match="phantom reference"):
        cohorts.resolve("crop.png")
    with pytest.raises(ValueError, match="no fracture"):
        cohorts.resolve(f"phantom:{STEM}/S1-9999/L1?seed=0")


def test_levels_and_fractures_per_patient_are_the_same_in_every_class(full):
    development = full[full.cohort == "development"]
    levels = development.groupby(["label", "level"]).size().unstack(fill_value=0)
    assert chi2_contingency(levels)[1] > 0.2
    acute = levels.loc["acute"] / (levels.loc["acute"] + levels.loc["chronic"])
    assert acute[["T11", "T12", "L1", "L2"]].std() < 0.01
    number = development.groupby("patient_id").label.transform("size")
    assert (
        chi2_contingency(development.groupby(["label", number]).size().unstack(fill_value=0).loc[:, [1, 2, 3]])[1]
        > 0.05
    )
    malignant = development.groupby("patient_id").label.agg(lambda s: (s == "pathologic").mean())
    assert set(malignant) == {0.0, 1.0}


# Determinism


def test_a_picture_does_not_depend_on_batch_order_or_subset(some):
    together, mask = render.vertebra_crops(some, size=24, masks=True)
    assert together.dtype == torch.uint8
    assert together.shape == (24, 24, 24)
    assert mask.dtype == torch.bool
    assert torch.equal(render.vertebra_crops(some.iloc[::-1], size=24).flip(0), together)
    assert torch.equal(render.vertebra_crops(some.iloc[[7]], size=24)[0], together[7])
    batched, _ = render.render([render.scene_of(image) for image in some.image], size=24)
    assert (batched * 255 - together).abs().max() <= 0.5 + 1e-6


def test_another_seed_gives_other_patients_and_other_pictures(some):
    other = cohorts.draw(STEM, seed=1)
    first = render.vertebra_crops(some.iloc[:3], size=24)
    second = render.vertebra_crops(other.iloc[:3], size=24)
    assert (first.double() - second.double()).abs().mean(dim=(1, 2)).min() > 3
    reseeded = cohorts.draw(STEM, seed=0)
    assert reseeded.equals(cohorts.draw(STEM, seed=0))
    assert not other.age.equals(reseeded.age)


def test_size_must_be_a_picture(some):
    with pytest.raises(ValueError, match="16"):
        render.vertebra_crops(some, size=8)


# Anatomy


def test_sampled_sizes_have_the_means_of_the_table():
    age = anatomy.REFERENCE_AGE
    spines = [anatomy.draw_spine(np.random.default_rng(k), age=age, sex="F") for k in range(2000)]
    for name in ("ha", "hp", "d", "w", "disc"):
        mean = np.mean([getattr(spine, name) for spine in spines], axis=0)
        lumbar = slice(0, 17)
        np.testing.assert_allclose(mean[lumbar], anatomy.TABLE[name][lumbar], rtol=0.02, err_msg=name)
    ratio = np.mean([spine.ha / spine.hp for spine in spines], axis=0)
    at = {level: k for k, level in enumerate(anatomy.BODIES)}
    assert all(0.93 <= ratio[at[level]] <= 0.99 for level in ("T4", "T8", "T11", "T12", "L1"))
    assert ratio[at["L3"]] == pytest.approx(1.0, abs=0.01)
    assert ratio[at["L5"]] > 1.1
    lordosis = [
        spine.disc_angle[12:17].sum() + np.degrees(np.log(spine.ha / spine.hp)[12:17] * 0.8).sum() for spine in spines
    ]
    assert 30 < np.mean(lordosis) < 60


def test_kyphosis_is_that_of_adults_and_grows_with_age():
    """T5-T12 30-45 degrees at 65, and 2-3 degrees more per decade."""
    upper, lower = anatomy.BODIES.index("T5"), anatomy.BODIES.index("T12")
    ages = np.tile([50.0, 65.0, 80.0], 200)
    kyphosis = []
    for k, age in enumerate(ages):
        spine = anatomy.draw_spine(np.random.default_rng(k), age=age, sex="F")
        tilt = anatomy.align(spine, scene.rims(spine, {})).tilt
        slope = np.arctan((spine.ha - spine.hp) / 2 / spine.d)  # of either endplate against the body's middle
        kyphosis.append(np.degrees((tilt[lower] - slope[lower]) - (tilt[upper] + slope[upper])))
    assert 30 < np.mean(kyphosis) < 45
    assert 5 < np.std(kyphosis) < 12
    assert 2 < 10 * np.polyfit(ages, kyphosis, 1)[0] < 4


def test_neighbouring_bodies_never_overlap():
    for k in range(200):
        rng = np.random.default_rng(k)
        spine = anatomy.draw_spine(rng, age=50 + 0.2 * k, sex="FM"[k % 2])
        fractures = {
            level: signs.draw_fracture(rng, label="chronic", ha=spine.ha[j], hp=spine.hp[j], effect=1.0)
            for j, level in enumerate(anatomy.LEVELS)
            if rng.random() < 0.3
        }
        rims = scene.rims(spine, fractures)
        pose = anatomy.align(spine, rims)
        for j in range(17):  # the inferior rims of a body lie above the superior endplate of the next
            for u, rim in ((spine.d[j] / 2, rims[j, 2]), (-spine.d[j] / 2, rims[j, 3])):
                y = pose.y[j] + u * np.cos(pose.tilt[j]) - rim * np.sin(pose.tilt[j])
                z = pose.z[j] + u * np.sin(pose.tilt[j]) + rim * np.cos(pose.tilt[j])
                dy, dz = y - pose.y[j + 1], z - pose.z[j + 1]
                local_u = dy * np.cos(pose.tilt[j + 1]) + dz * np.sin(pose.tilt[j + 1])
                local_v = dz * np.cos(pose.tilt[j + 1]) - dy * np.sin(pose.tilt[j + 1])
                line = np.interp(local_u, (-spine.d[j + 1] / 2, spine.d[j + 1] / 2), (rims[j + 1, 1], rims[j + 1, 0]))
                assert local_v > line


def test_a_wedge_fracture_bends_the_spine_forward():
    spine = anatomy.draw_spine(np.random.default_rng(0), age=70, sex="F")
    k = anatomy.BODIES.index("L1")
    rims = scene.rims(spine, {})
    broken = rims.copy()
    broken[k, 0] -= 8.0
    bend = anatomy.align(spine, rims).tilt - anatomy.align(spine, broken).tilt
    assert bend[k - 1] > np.radians(8)
    assert np.allclose(bend[k + 1 :], 0)


# Closed form against brute force


def test_closed_form_chord_equals_a_sum_of_thin_planes(full):
    """4000 planes across the width: mean absolute difference below 0.01 mm of about 32 mm."""
    bodies = [render.scene_of(image).bodies for image in full.image.iloc[[5, 700, 1500]]]
    skeleton = Skeleton(bodies, "cpu")
    geometry: Bodies = skeleton.bodies
    for b in range(3):
        body = bodies[b][1]
        y = body.y + np.linspace(-24, 24, 41)
        z = body.z + np.linspace(-18, 18, 37)
        s = surface(torch.tensor(y)[None, None, None, :], torch.tensor(z)[None, None, :, None], geometry)
        ours = chord(s, half_width(s, geometry.exponent), geometry.slope)[b, 1].numpy()

        dy, dz = y[None, :] - body.y, z[:, None] - body.z
        u = dy * np.cos(body.tilt) + dz * np.sin(body.tilt)
        v = dz * np.cos(body.tilt) - dy * np.sin(body.tilt)
        p = u / (body.depth / 2)
        top, bottom, c_sup, c_inf = (np.interp(p, scene.P, body.over_u[:, j]) for j in range(4))
        vn = np.clip((2 * v - top - bottom) / (top - bottom), -1, 1)
        front, back, wide = (np.interp(vn, scene.VN, body.over_v[:, j]) for j in range(3))
        xs = (np.arange(4000) + 0.5) / 4000 * body.width - body.width / 2
        q_depth = np.abs(u - (front - back) / 2) / ((front + back) / 2)
        reach = (
            body.width / 2 * wide * np.clip(1 - np.clip(q_depth, 0, 1) ** body.exponent, 0, None) ** (1 / body.exponent)
        )
        total = np.zeros_like(u)
        for x in xs:
            q = x / np.maximum(reach, 1e-9)
            inside = np.abs(x) < reach
            inside &= v < top - c_sup * (1 - q**2) + body.slope * x
            inside &= v > bottom + c_inf * (1 - q**2) + body.slope * x
            total += inside * (body.width / 4000)
        assert total.max() > 25
        assert np.abs(ours - total).mean() < 0.01
        assert np.abs(ours - total).max() < 0.1


def test_ellipsoid_chords_add_up_to_its_volume():
    u, v = torch.meshgrid(*[torch.linspace(-6, 6, 1201, dtype=torch.float64)] * 2, indexing="ij")
    volume = ellipsoid_chord(u, v, 5.0, 3.0, 4.0).sum() * 0.01**2
    assert float(volume) == pytest.approx(4 / 3 * np.pi * 60, rel=1e-3)


# Signs and the knob


def test_at_effect_zero_the_class_changes_nothing_that_is_drawn():
    for k in range(50):
        drawn = [
            signs.draw_fracture(np.random.default_rng(k), label=label, ha=25.0, hp=26.0, effect=0.0)
            for label in signs.CLASSES
        ]
        assert dataclasses.replace(drawn[1], label="acute") == drawn[0] == dataclasses.replace(drawn[2], label="acute")


def test_at_effect_zero_the_picture_is_the_same_whatever_the_label():
    samples = cohorts.draw(STEM, effect=0.0).groupby("label").head(2)
    for image in samples.image:
        patient, level, nuisance = cohorts.resolve(image)
        pictures = [
            render.render([scene.build(relabelled, level, nuisance=nuisance)], size=24)[0]
            for relabelled in (
                dataclasses.replace(patient, fractures=dict.fromkeys(patient.fractures, label))
                for label in signs.CLASSES
            )
        ]
        assert torch.equal(pictures[0], pictures[1])
        assert torch.equal(pictures[0], pictures[2])


def test_at_effect_zero_drawn_flags_loss_shape_age_and_sex_are_alike_in_all_classes():
    samples = cohorts.draw(STEM, effect=0.0)
    development = samples[samples.cohort == "development"]
    assert kruskal(*(group.age for _, group in development.groupby("label")))[1] > 0.01
    assert chi2_contingency(development.groupby(["label", "sex"]).size().unstack())[1] > 0.01
    table = truth.describe(development.groupby("label").head(160))
    losses = [group.height_loss for _, group in table.groupby("label")]
    assert kruskal(*losses)[1] > 0.01
    assert chi2_contingency(table.groupby(["label", "shape"]).size().unstack(fill_value=0))[1] > 0.01
    p_values = [
        chi2_contingency(table.groupby(["label", f"sign_{sign}"]).size().unstack(fill_value=0))[1]
        for sign in signs.SIGNS
    ]
    assert min(p_values) > 0.01 / len(p_values)


def test_probabilities_meet_at_effect_zero_and_part_with_the_effect():
    for sign in signs.SIGNS:
        assert len({round(signs.penetrance(sign, label, 0.0), 12) for label in signs.CLASSES}) == 1
        spread = [np.ptp([signs.penetrance(sign, label, s) for label in signs.CLASSES]) for s in (0.0, 0.5, 1.0)]
        assert spread[0] <= spread[1] <= spread[2]
        assert spread[2] > 0.2
    at_one = {sign: [signs.penetrance(sign, label, 1.0) for label in signs.CLASSES] for sign in signs.SIGNS}
    for sign, published in signs.PENETRANCE.items():
        assert at_one[sign] == pytest.approx(published)
    assert signs.shape_shares("pathologic", 1.0) == pytest.approx([0.35, 0.20, 0.45])


def test_acute_vertebrae_have_collapsed_less_than_old_ones(described):
    mean = {
        label: np.mean(
            [
                signs.draw_fracture(np.random.default_rng(k), label=label, ha=25.0, hp=26.0, effect=1.0).largest_loss
                for k in range(500)
            ]
        )
        for label in signs.CLASSES
    }
    assert mean["acute"] + 0.02 < mean["pathologic"] < mean["chronic"] - 0.01
    seen = described.groupby("label").height_loss.mean()
    assert seen["acute"] < seen["chronic"]
    assert described.height_loss.max() <= signs.LOSS_MAX


def test_every_fracture_meets_the_inclusion_rule(full):
    for image in full.image.iloc[::37]:
        s = render.scene_of(image)
        k = anatomy.BODIES.index(s.level)
        loss = max(s.fracture.loss)
        assert loss >= 0.20 - 1e-9 or loss * max(s.spine.ha[k], s.spine.hp[k]) >= 4.0 - 1e-9


def test_margins_of_the_box_are_the_same_in_every_class(described):
    box = np.array([text.split(",") for text in described.body_box], float)
    margins = np.column_stack([box[:, :2], 224 - box[:, 2:]]) / np.tile(box[:, 2:] - box[:, :2], 2)
    assert margins.mean() == pytest.approx(scene.MARGIN, abs=0.01)
    assert margins.min() >= -1e-3
    for side in margins.T:
        assert f_oneway(*(side[described.label == label] for label in signs.CLASSES))[1] > 0.01


def test_the_exposure_says_nothing_about_the_class(full):
    development = full[full.cohort == "development"].iloc[::3]
    rows = [
        scanner.expose(site, anatomy.generator(0, STEM, patient, "exposure"))
        for site, patient in zip(development.site, development.patient_id, strict=True)
    ]
    for name in ("kvp", "spr", "n0", "mtf", "unsharp", "gamma", "drc", "low", "high"):
        values = np.array([getattr(row, name) for row in rows])
        assert kruskal(*(values[development.label == label] for label in signs.CLASSES))[1] > 0.01, name


def test_the_films_processing_never_sees_the_fracture(full):
    patient, level, _ = cohorts.resolve(full.image[0])
    plain = scene.build(patient, level)
    changed = scene.build(dataclasses.replace(patient, fractures={level: "pathologic"}), level)
    for a, b in zip(plain.context, changed.context, strict=True):
        assert all(
            np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a) if f.name != "texture"
        )
    assert plain.context_centre == changed.context_centre


# Pictures and truth


def test_masks_boxes_and_landmarks_agree(some):
    size = 64
    table = truth.describe(some, size=size)
    _, masks = render.vertebra_crops(some, size=size, masks=True)
    for mask, (_, row) in zip(masks.numpy(), table.iterrows(), strict=True):
        x0, y0, x1, y1 = map(float, row.body_box.split(","))
        ys, xs = np.nonzero(mask)
        assert x0 - 1 <= xs.min()
        assert xs.max() <= x1 + 1
        assert y0 - 1 <= ys.min()
        assert ys.max() <= y1 + 1
        assert 0.45 < len(xs) / ((x1 - x0) * (y1 - y0)) < 1.0
        centre = np.array([[row[f"{m}_x"], row[f"{m}_y"]] for m in truth.LANDMARKS]).mean(0)
        assert mask[int(centre[1]), int(centre[0])]
        assert row.sup_ant_x > row.sup_post_x
        assert row.inf_ant_y > row.sup_ant_y


def test_denser_bone_is_brighter_and_gas_is_darker(full):
    s = render.scene_of(full[full.site == "Site 1"].image.iloc[10])
    brightness = []
    for hu in (20.0, 80.0, 160.0, 260.0):
        bodies = tuple(dataclasses.replace(body, hu=hu) for body in s.bodies)
        picture, mask = render.render([dataclasses.replace(s, bodies=bodies)], size=32)
        brightness.append(float(picture[mask].mean() - picture[~mask].mean()))
    assert np.all(np.diff(brightness) > 0.005)

    gas = s.surroundings.gas.copy()
    gas[0] = (s.bodies[1].y, s.bodies[1].z, 8, 8, 8)
    gas[1:, 4] = 0
    none = gas.copy()
    none[:, 4] = 0
    with_gas, without = (
        render.render([dataclasses.replace(s, surroundings=dataclasses.replace(s.surroundings, gas=g))], size=32)[0]
        for g in (gas, none)
    )
    assert float((without - with_gas)[0, 12:20, 12:20].mean()) > 0.03


def test_body_contrast_falls_with_the_t_score(full):
    samples = full[full.site == "Site 1"].iloc[::40][:50]
    pictures, masks = render.vertebra_crops(samples, size=24, masks=True)
    contrast = [float(x[m].double().mean() - x[~m].double().mean()) for x, m in zip(pictures, masks, strict=True)]
    t_score = [render.scene_of(image).spine.t_score for image in samples.image]
    assert np.corrcoef(t_score, contrast)[0, 1] > 0.3


def test_pictures_use_the_grey_scale(some):
    pictures = render.vertebra_crops(some, size=32).double()
    assert 40 < pictures.mean() < 180
    assert pictures.std(dim=(1, 2)).min() > 4
    assert ((pictures == 0) | (pictures == 255)).double().mean() < 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_accelerator_agrees_within_a_thousandth(some):
    scenes = [render.scene_of(image) for image in some.image]
    here, _ = render.render(scenes, size=48)
    there, _ = render.render(scenes, size=48, device="cuda")
    assert (here - there.cpu()).abs().max() < 1e-3
