"""Whole radiographs: determinism, geometry, truth, physics, and that only the spine knows of a fracture."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from vcfkit.phantom import anatomy, cohorts, delineation, film, leaks, render, scanner, scene, signs
from vcfkit.phantom.chord import chord, half_width, surface
from vcfkit.phantom.cohorts.xray_astlof import Astlof
from vcfkit.phantom.skeleton import Skeleton

SITES = ("Hospital 1", "Hospital 2", "Hospital 3", "YHDH", "BMUH", "Center I", "Center II", "Center III")
LEVEL_SHARE = {"T8": 5, "T9": 4, "T10": 5, "T11": 9, "T12": 20, "L1": 28, "L2": 15, "L3": 8, "L4": 4, "L5": 2}


def patient(number, *, fractures=None, site=None, effect=1.0, age=None):
    """A virtual patient of no cohort; fractures None: fresh with p = .34, old with p = .11, whatever is fresh."""
    rng = np.random.default_rng([number, 77])
    share = np.array(list(LEVEL_SHARE.values())) / sum(LEVEL_SHARE.values())
    levels = [str(level) for level in rng.choice(list(LEVEL_SHARE), size=2, replace=False, p=share)]
    drawn = np.clip(62 + 13 * rng.standard_normal(), 22, 95)
    sex, fresh, old = "FM"[int(rng.random() < 0.4)], rng.random() < 0.34, rng.random() < 0.11
    if fractures is None:
        fractures = {levels[0]: "acute"} if fresh else {}
        fractures |= {levels[1]: "chronic"} if old else {}
    return cohorts.VirtualPatient(
        stem="film",
        patient_id=f"P{number:05d}",
        site=site or SITES[number % 5],
        age=float(np.round(age or drawn, 1)),
        sex=sex,
        fractures=fractures,
        seed=0,
        effect=effect,
    )


@pytest.fixture(scope="module")
def some():
    return [film.build(patient(k)) for k in range(60)]


@pytest.fixture(scope="module")
def shown(some):
    return film.films_of(some, size=112, truth=True)


# Determinism


def test_a_film_does_not_depend_on_batch_order_or_subset(some):
    scenes = some[:7]
    together = film.films_of(scenes, size=96)
    assert together.dtype == torch.uint8
    assert together.shape == (7, 96, 96)
    assert torch.equal(film.films_of(scenes[::-1], size=96).flip(0), together)
    for k in (0, 3, 6):
        assert torch.equal(film.films_of(scenes[k : k + 1], size=96)[0], together[k])
    batched, _ = film.render(scenes, shape=(96, 96))
    assert (batched * 255 - together).abs().max() <= 0.5 + 1e-6


def test_truth_does_not_change_the_picture_nor_depend_on_the_batch(some, shown):
    pictures, truths = shown
    assert torch.equal(film.films_of(some[:3], size=112), pictures[:3])
    _, alone = film.films_of(some[5:6], size=112, truth=True)
    for field in dataclasses.fields(film.FilmTruth):
        assert np.array_equal(getattr(alone[0], field.name), getattr(truths[5], field.name)), field.name


def test_references_give_the_films_of_their_patients():
    samples = cohorts.draw("02_xray_acute_chronic_pathological", fractions={"development": 0.002, "external": 0.02})
    ours = film.whole_radiographs(samples.iloc[:3], size=64)
    assert torch.equal(film.whole_radiographs(list(samples.image[:3]), size=64), ours)
    assert torch.equal(ours[1], film.films_of([film.film_of(samples.image[1])], size=64)[0])


@pytest.mark.parametrize("size", [16, (64, 20), (64, 64, 64)])
def test_a_size_that_is_no_film_is_refused(some, size):
    with pytest.raises(ValueError, match="at least 32"):
        film.films_of(some[:1], size=size)


def test_pixels_are_square_and_the_height_is_the_same_in_every_shape(some):
    boxes = [film.frames(some[:4], shape) for shape in ((224, 224), (256, 128), (100, 180))]
    for box, (h, w) in zip(boxes, ((224, 224), (256, 128), (100, 180)), strict=True):
        np.testing.assert_allclose((box[:, 1] - box[:, 0]) / w, (box[:, 3] - box[:, 2]) / h)
        np.testing.assert_allclose(box[:, 2:], boxes[0][:, 2:])
    assert film.films_of(some[:2], size=(96, 48)).shape == (2, 96, 48)


# Truth


def test_every_film_shows_t8_to_l5_in_order(some, shown):
    expected = anatomy.LEVELS[anatomy.LEVELS.index("T8") :]
    for truth in shown[1]:
        places = [anatomy.LEVELS.index(level) for level in truth.levels]
        assert places == sorted(places)
        assert set(expected) <= set(truth.levels)
        centres = truth.boxes[:, [1, 3]].mean(1)
        assert np.all(np.diff(centres) > 0)
    for s, truth in zip(some, shown[1], strict=True):
        found = {level: broken for level, broken in zip(truth.levels, truth.fractures, strict=True) if broken}
        assert found == s.patient.fractures
        assert truth.acuity == truth.fractures  # no pathologic fracture here
        assert all((loss > 0) == bool(broken) for loss, broken in zip(truth.height_loss, truth.fractures, strict=True))


def test_boxes_landmarks_and_masks_agree_and_bodies_never_overlap(some):
    _, truths = film.films_of(some[:20], size=224, truth=True)
    for truth in truths:
        assert truth.masks.sum(0).max() == 1
        for box, marks, mask in zip(truth.boxes, truth.landmarks, truth.masks, strict=True):
            ys, xs = np.nonzero(mask)
            assert box[0] - 1 <= xs.min()
            assert xs.max() <= box[2] + 1
            assert box[1] - 1 <= ys.min()
            assert ys.max() <= box[3] + 1
            inside = np.prod(np.minimum(box[2:], 224) - np.maximum(box[:2], 0))
            assert 0.4 < len(xs) / inside <= 1.1
            centre = marks.mean(0)
            if 0 <= centre[1] < 224:
                assert mask[int(centre[1]), int(centre[0])]
            assert np.all(marks[[0, 3], 0] > marks[[2, 5], 0])  # anterior to the right
            assert np.all(marks[3:, 1] > marks[:3, 1])


def test_upright_spines_keep_their_shape_and_stay_near_the_intact_one(some):
    for s in some:
        actual, pose, intact = s.person.actual, s.pose, s.person.intact
        np.testing.assert_allclose(
            np.hypot(np.diff(actual.y), np.diff(actual.z)), np.hypot(np.diff(pose.y), np.diff(pose.z))
        )
        assert np.ptp(pose.tilt - actual.tilt) < 1e-12
        assert np.hypot(pose.y - intact.y, pose.z - intact.z)[film.SHOWN].max() < 25
        if not s.patient.fractures:
            np.testing.assert_allclose(pose.z, intact.z, atol=1e-9)


def test_recumbent_lordosis_is_that_of_adults():
    """L1-S1 36.8 ± 13.2 degrees (627 adults, PMC6680033)."""
    lordosis = []
    for k in range(400):
        s = film.build(patient(k, fractures={}))
        spine, pose, upper = s.person.spine, s.person.intact, anatomy.BODIES.index("L1")
        endplate = pose.tilt[upper] + np.arctan((spine.ha[upper] - spine.hp[upper]) / 2 / spine.d[upper])
        lordosis.append(np.degrees(endplate) + spine.sacral_slope)
    assert np.mean(lordosis) == pytest.approx(36.8, abs=3)
    assert np.std(lordosis) == pytest.approx(13.2, abs=2.5)


# Physics


def test_chords_are_those_of_voxels_of_the_same_scene(some):
    """1 mm steps across the width, as a CT volume would hold the body: mean error at most 1 % of the width."""
    s = some[1]
    bodies = [scene.body_of(s.person, k, target=False, alignment=s.pose, textured=False) for k in range(9, 17)]
    geometry = Skeleton([[b] for b in bodies], "cpu").bodies
    reach = torch.arange(-24.5, 25, 1.0, dtype=torch.float64)
    y, z = geometry.y[..., None, None] + reach.view(1, 1, 1, -1), geometry.z[..., None, None] + reach.view(1, 1, -1, 1)
    found = surface(y, z, geometry)
    x = half_width(found, geometry.exponent)
    ours = chord(found, x, geometry.slope)
    total = torch.zeros_like(ours)
    for at in torch.arange(-35.0, 35.5, 1.0, dtype=torch.float64):
        q, slope = at / x.clamp(min=1e-9), geometry.slope[..., None, None] * at
        inside = (found.above > found.concavity_sup * (1 - q * q) - slope) & (x > at.abs())
        total += inside & (found.below > found.concavity_inf * (1 - q * q) + slope)
    error = (ours - total).abs().mean((1, 2, 3))
    assert total.amax() > 30
    assert (error / geometry.width[:, 0]).max() < 0.01


def test_denser_patients_have_brighter_bodies():
    scenes = [film.build(patient(k, fractures={}, site="Center I")) for k in range(60)]
    pictures, truths = film.films_of(scenes, size=112, truth=True)
    contrast = []
    for picture, truth in zip(pictures.double().numpy(), truths, strict=True):
        found = []
        for level in ("L2", "L3", "L4"):
            k = truth.levels.index(level)
            x0, y0, x1, y1 = truth.boxes[k].astype(int)
            around = np.zeros_like(truth.masks[k])  # the tissue before the body, and the discs
            around[y0:y1, x1 + 2 : x1 + 2 + (x1 - x0) // 2] = True
            around[y0 - 5 : y1 + 5, x0 + 2 : x1 - 2] = True
            found.append(picture[truth.masks[k]].mean() - np.median(picture[around & ~truth.masks.any(0)]))
        contrast.append(np.median(found))
    assert np.corrcoef([s.person.spine.t_score for s in scenes], contrast)[0, 1] > 0.5


def test_lung_and_gas_are_darker_than_soft_tissue_and_bodies_above_the_dome_are_not_black(some, shown):
    above, below, chest, belly = [], [], [], []
    for s, picture, truth in zip(some, shown[0].double().numpy(), shown[1], strict=True):
        grey = {level: picture[mask].mean() for level, mask in zip(truth.levels, truth.masks, strict=True)}
        above.append(np.mean([grey["T8"], grey["T9"]]))
        below.append(np.mean([grey["L2"], grey["L3"]]))
        for level, values in (("T9", chest), ("L3", belly)):
            _, y0, x1, y1 = truth.boxes[truth.levels.index(level)].astype(int)
            values.append(picture[max(y0, 0) : y1, x1 + 4 : x1 + 14].mean())
        assert s.wide.frame[2] > s.wide.frame[1]
    assert np.mean(chest) < 0.75 * np.mean(belly)
    assert np.mean(above) > 50
    assert np.percentile(above, 5) > 25
    assert np.mean(below) > np.mean(above)

    s = some[1]
    gas = s.wide.gas.copy()
    gas[:, 4] = 0
    gas[0] = (s.person.intact.y[14] + 60, s.person.intact.z[14], 14, 12, 12)
    bare = gas.copy()
    bare[:, 4] = 0
    pair = [dataclasses.replace(s, wide=dataclasses.replace(s.wide, gas=g)) for g in (gas, bare)]
    with_gas, without = film.films_of(pair, size=112).int()
    assert (without - with_gas).max() > 25
    assert (without - with_gas).min() > -16  # the compression lifts the tissue around a dark patch a little


def test_power_falls_with_frequency_as_in_radiographs(some):
    slopes = []
    for s in some[:12]:
        picture = film.films_of([s], size=224)[0].double().numpy()
        window = picture[20:204, 70:150]
        window = (window - window.mean()) * np.hanning(184)[:, None] * np.hanning(80)[None]
        power = np.abs(np.fft.fft2(window, (184, 184))) ** 2
        frequency = np.hypot(np.fft.fftfreq(184)[:, None], np.fft.fftfreq(184)[None])
        bins = np.geomspace(0.02, 0.25, 9)
        mean = [power[(frequency >= a) & (frequency < b)].mean() for a, b in itertools.pairwise(bins)]
        slopes.append(-np.polyfit(np.log(np.sqrt(bins[:-1] * bins[1:])), np.log(mean), 1)[0])
    assert 2 < np.mean(slopes) < 3.5


def test_cement_is_the_brightest_thing_in_a_film():
    bare = patient(4, fractures={"L1": "chronic"}, site="Hospital 1")

    treated = dataclasses.replace(bare, diseases={"L1": ("OF", "PS")})
    pictures, truths = film.films_of([film.build(bare), film.build(treated)], size=224, truth=True)
    mask = truths[0].masks[truths[0].levels.index("L1")]
    assert np.percentile(pictures[1].numpy()[mask], 95) > np.percentile(pictures[0].numpy()[mask], 95) + 30


# Sites


@pytest.mark.parametrize("site", SITES)
def test_every_site_uses_the_grey_scale(site):
    scenes = [film.build(patient(k, site=site)) for k in range(4)]
    pictures, truths = film.films_of(scenes, size=112, truth=True)
    for picture, truth in zip(pictures.double().numpy(), truths, strict=True):
        bodies = picture[truth.masks.any(0)]
        assert 60 < bodies.mean() < 210
        assert bodies.std() > 10
        assert (bodies == 255).mean() < 0.05


def test_a_film_is_exposed_by_the_device_of_its_patient():
    bare = patient(3, site="Hospital 1")
    devices = scanner.DEVICES["Hospital 1"]
    films = [film.build(dataclasses.replace(bare, device=device)).scanner for device in devices]
    assert [found.marker for found in films] == [scanner.SITES[device].marker for device in devices]
    assert films[0].kvp != films[1].kvp


# Leaks


def test_outside_the_spine_a_film_is_the_same_whatever_is_broken():
    changed = total = 0
    for k in range(24):
        whole = film.build(patient(k, fractures={}))
        rng = np.random.default_rng(k)
        levels = rng.choice(["T10", "T11", "T12", "L1", "L2", "L3"], size=1 + k % 2, replace=False)
        broken = film.build(patient(k, fractures={str(level): "acute" for level in sorted(levels)}))
        pictures = film.films_of([whole, broken], size=112)
        band = film.spine_band([whole], (112, 112))
        assert torch.equal(band, film.spine_band([broken], (112, 112)))
        different = (pictures[0] != pictures[1])[None]
        assert different[band].any()
        changed += int(different[~band].sum())
        total += int((~band).sum())
        assert np.array_equal(whole.wide.frame, broken.wide.frame)
        assert whole.scanner == broken.scanner
    assert changed < 0.001 * total


def test_at_effect_zero_the_film_is_the_same_whatever_the_label():
    for k in range(3):
        pictures = film.films_of(
            [film.build(patient(k, fractures={"L1": label}, effect=0.0, age=70)) for label in signs.CLASSES], size=64
        )
        assert torch.equal(pictures[0], pictures[1])
        assert torch.equal(pictures[0], pictures[2])


def test_the_leak_check_finds_a_leak():
    rng = np.random.default_rng(0)
    films, labels = rng.integers(80, 120, (160, 48, 48)).astype(np.uint8), np.arange(160) % 2 == 0
    bands = np.zeros((160, 48, 48), dtype=bool)
    bands[:, :, 15:30] = True
    clean = leaks.background_features(leaks.without_spine(films, bands))
    assert 0.35 < leaks.cross_validated_auc(clean, labels) < 0.65
    hidden, seen = films.copy(), films.copy()
    hidden[labels, 10:20, 20:25] += 40
    seen[labels, 10:20, 2:8] += 10
    assert np.allclose(leaks.background_features(leaks.without_spine(hidden, bands)), clean)
    assert leaks.cross_validated_auc(leaks.background_features(leaks.without_spine(seen, bands)), labels) > 0.9
    seen = films.copy()
    seen[labels] += 6
    assert leaks.cross_validated_auc(leaks.scanner_features(seen), labels, penalty=10) > 0.9


@pytest.mark.slow
def test_background_and_scanner_do_not_tell_a_fresh_fracture():
    """1500 films at 96²: spine masked by a band of the intact anatomy, age and sex independent of the label."""
    patients = [patient(k) for k in range(1500)]
    fresh = np.array(["acute" in p.fractures.values() for p in patients])
    scenes = [film.build(p) for p in patients]
    films = film.films_of(scenes, size=96)
    masked = leaks.without_spine(films, film.spine_band(scenes, (96, 96)))
    assert leaks.cross_validated_auc(leaks.background_features(masked), fresh) <= 0.55
    assert leaks.cross_validated_auc(leaks.scanner_features(films), fresh, penalty=10) <= 0.55
    assert leaks.cross_validated_auc(leaks.background_features(films.double() / 255), fresh) > 0.57


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "low", "high"), [(0.0, 0.47, 0.53), (1.5, 0.65, 1.0)])
def test_bodies_tell_fresh_from_old_as_far_as_the_effect_does(effect, low, high):
    """True height loss and the bodies' grey, one fracture a film; 1500 films to fit, 1500 to test."""
    n, step = 3000, 60
    rng = np.random.default_rng(5)
    levels, fresh = rng.choice(["T11", "T12", "L1", "L2"], size=n), rng.random(n) < 0.5
    rows = []
    for start in range(0, n, step):
        scenes = [
            film.build(patient(k, fractures={str(levels[k]): "acute" if fresh[k] else "chronic"}, effect=effect))
            for k in range(start, start + step)
        ]
        pictures, truths = film.films_of(scenes, size=64, truth=True)
        for picture, truth in zip(pictures.double().numpy(), truths, strict=True):
            k = next(k for k, acuity in enumerate(truth.acuity) if acuity)
            grey = [g(picture[truth.masks[j]]) for j in (k - 1, k, k + 1) for g in (np.mean, np.std)]
            x0, y0, x1, y1 = truth.boxes[k]
            rows.append([truth.height_loss[k], (y1 - y0) / (x1 - x0), *grey])
    assert low <= leaks.held_out_auc(np.array(rows), fresh, np.arange(n) < n // 2, penalty=1.0) <= high


# Windows and readers of paper 04


def test_burst_fractures_bulge_and_normal_bodies_keep_their_height():
    found = {}
    for effect in (0.0, 1.0):
        for morphology in (0, 1, 2):
            people = [
                scene.person_of(
                    dataclasses.replace(
                        patient(k, fractures={"L1": "acute"}, effect=effect),
                        astlof={"L1": Astlof(morphology, 1, 1, 1)},
                    )
                ).fractures["L1"]
                for k in range(40)
            ]
            found[effect, morphology] = (
                [max(f.loss) for f in people],
                np.mean([f.loss[2] / max(f.loss) for f in people]),
                np.mean([f.flags["posterior_wall"] for f in people]),
            )
    assert max(found[1.0, 0][0]) <= scene.NORMAL_LOSS + 1e-9 < min(found[1.0, 1][0])
    assert found[1.0, 2][1] > found[1.0, 1][1] + 0.1
    assert found[1.0, 2][2] == 1 > found[1.0, 1][2]
    wall, round_wall = scene.bulge(3.0, 0.5), scene.bulge(3.0, 0.0)
    assert abs(scene.VN[wall.argmax()] - 0.5) < 0.02  # the fragment is the upper third, a bulge the middle
    assert abs(scene.VN[round_wall.argmax()]) < 0.02
    assert wall[0] == round_wall[0] == 0
    assert found[0.0, 0] == found[0.0, 1] == found[0.0, 2]


def test_gas_in_a_body_is_seen_on_a_window_and_every_scored_vertebra_may_show_it_at_effect_zero():
    """MRI scored 2: gas or fluid in three quarters and one quarter of the bodies; elsewhere a window is the same."""
    without, with_gas, share = [], [], {0.0: [], 1.0: []}
    for k in range(40):
        base = patient(k, fractures={"L1": "acute"}, site="Center I", age=70)
        scored = {
            (effect, mri): dataclasses.replace(base, effect=effect, astlof={"L1": Astlof(1, mri, 1, 1)})
            for effect in share
            for mri in (1, 2)
        }
        for (effect, mri), one in scored.items():
            s = scene.build(one, "L1")
            if mri == 2:
                share[effect].append(bool(s.signs.cleft[-1]))
            else:
                assert effect == 0.0 or not s.signs.cleft[-1]
        if k < 8:
            pair = [render.windowed(scene.build(scored[1.0, mri], "L1"), 64.0) for mri in (1, 2)]
            if pair[1].signs.cleft[4] < -100:
                pictures, masks = render.render(pair, size=64)
                without.append(pictures[0][masks[1]].min().item())
                with_gas.append(pictures[1][masks[1]].min().item())
    assert all(share[1.0])
    assert np.mean(share[0.0]) < 0.2  # as for any score
    assert np.mean(without) - np.mean(with_gas) > 0.1
    blind = [
        scene.build(dataclasses.replace(base, effect=0.0, astlof={"L1": Astlof(1, m, 1, 1)}), "L1") for m in (0, 2)
    ]
    assert torch.equal(*(render.render([s], size=32)[0] for s in blind))


def test_a_node_on_a_film_is_a_dark_dent_of_its_endplate_and_nothing_elsewhere():
    changed = []
    for k in range(3):
        bare = patient(k, fractures={"L1": "chronic"}, site="Hospital 1", age=70)
        noded = dataclasses.replace(bare, diseases={"L1": ("SN",)})
        s = [render.windowed(scene.build(p, "L1"), 64.0) for p in (bare, noded)]
        superior, u, _, depth, *_ = s[1].signs.node
        a, b = render.render(s, size=128)[0]
        body = s[1].bodies[1]
        edge = body.over_u[scene.NU // 2, 0 if superior else 1]
        v = edge - (1 if superior else -1) * (1.5 + depth / 2)
        y = body.y + u * np.cos(body.tilt) - v * np.sin(body.tilt)
        z = body.z + u * np.sin(body.tilt) + v * np.cos(body.tilt)
        column, row = int((y - s[1].box[0]) / 0.5), int((s[1].box[3] - z) / 0.5)
        near = slice(row - 6, row + 7), slice(column - 6, column + 7)
        changed.append((a - b)[near].max().item())
        difference = (b - a).abs()
        difference[row - 28 : row + 29, column - 28 : column + 29] = 0  # 14 mm
        assert difference.max() < 0.01
    assert min(changed) > 0.02


@pytest.fixture(scope="module")
def windows():
    samples = cohorts.draw("02_xray_acute_chronic_pathological", fractions={"development": 0.004, "external": 0.02})
    samples = samples.iloc[:8].reset_index(drop=True)
    return samples, *render.vertebra_windows(samples, size=96, mm_per_pixel=0.7)


def test_windows_have_one_pixel_size_and_hold_the_whole_body(windows):
    samples, pictures, masks, marks = windows
    assert pictures.shape == masks.shape == (8, 96, 96)
    for image, mask, mark in zip(samples.image, masks.numpy(), marks, strict=True):
        body = render.scene_of(image).bodies[1]
        assert np.linalg.norm(mark[0] - mark[2]) * 0.7 == pytest.approx(body.depth, rel=0.12)  # a wedge is longer
        assert mask[1:-1, 1:-1].sum() == mask.sum()
        centre = mark.mean(0).astype(int)
        assert mask[centre[1], centre[0]]
        assert abs(mask.sum() * 0.49 - body.depth * np.mean(body.over_u[:, 0] - body.over_u[:, 1])) < 300


def test_windows_do_not_change_with_the_batch(windows):
    samples, pictures, masks, _ = windows
    alone, mask, _ = render.vertebra_windows(samples.iloc[[5]], size=96, mm_per_pixel=0.7)
    assert torch.equal(alone[0], pictures[5])
    assert torch.equal(mask[0], masks[5])


def test_a_second_reader_differs_more_than_the_same_reader(windows):
    samples, _, masks, marks = windows
    truth = masks.numpy()
    overlap, area = {}, {}
    for reader in delineation.READERS:
        again = delineation.redelineate_all(samples, truth, marks, mm_per_pixel=0.7, reader=reader)
        assert np.array_equal(
            again[2:3],
            delineation.redelineate_all(samples[2:3], truth[2:3], marks[2:3], mm_per_pixel=0.7, reader=reader),
        )
        both, sizes = (truth & again).sum((1, 2)), truth.sum((1, 2)) + again.sum((1, 2))
        overlap[reader] = 2 * both / sizes
        area[reader] = again.sum() / truth.sum()
    assert overlap["intra"].min() > 0.9
    assert overlap["intra"].mean() > overlap["inter"].mean() > 0.85
    assert area["inter"] > area["intra"]


def test_without_error_a_delineation_is_the_mask(windows, monkeypatch):
    samples, _, masks, marks = windows
    monkeypatch.setitem(delineation.READERS, "none", (0.0, 0.0))
    again = delineation.redelineate_all(samples, masks.numpy(), marks, mm_per_pixel=0.7, reader="none")
    assert (again != masks.numpy()).mean() < 0.002
    with pytest.raises(ValueError, match="unknown reader"):
        delineation.redelineate_all(samples, masks.numpy(), marks, mm_per_pixel=0.7, reader="third")
    with pytest.raises(ValueError, match="empty"):
        delineation.redelineate(
            np.zeros((8, 8), bool), marks[0], mm_per_pixel=1.0, reader="intra", rng=np.random.default_rng(0)
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_accelerator_agrees_within_a_thousandth(some):
    here, _ = film.render(some[:4], shape=(96, 96))
    there, _ = film.render(some[:4], shape=(96, 96), device="cuda")
    assert (here - there.cpu()).abs().max() < 1e-3


def test_montages_are_drawn_by_name(tmp_path):
    from typer.testing import CliRunner

    from vcfkit.phantom.__main__ import app

    assert pd.Series(SITES).is_unique
    result = CliRunner().invoke(app, ["montage", "nothing", "--folder", str(tmp_path)])
    assert result.exit_code != 0
