"""The vertebra detector: its augmentation against pixels, its training on slices a child could read, its refusals."""

import numpy as np
import pytest
import torch

from vcfkit import detection, detector, training

SIDE = 64


def bright(boxes):
    """A slice that is white on its boxes."""
    image = torch.zeros((SIDE, SIDE), dtype=torch.uint8)
    for xmin, ymin, xmax, ymax in boxes:
        image[ymin:ymax, xmin:xmax] = 230
    return image


def blocks(n, seed=0):
    """Slices with two to four bright blocks in a column, and their boxes."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        x, count = rng.integers(14, 30), rng.integers(2, 5)
        found.append(np.array([(x, 4 + 15 * k, x + 14, 15 + 15 * k) for k in range(count)]))
    return torch.stack([bright(own) for own in found]), found


def small(backbone="resnet18", boxes=None, **settings):
    anchors = detector.anchor_shapes(np.concatenate(boxes if boxes is not None else blocks(4)[1]))
    return detector.faster_rcnn(backbone, size=SIDE, anchors=anchors, stride=8, weights="random", **settings)[0]


def train(network, images, boxes, n_steps, **settings):
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    launcher = training.fabric(device="cpu", precision="64-true")
    return detector.fit(
        network, images, boxes, optimizer=optimizer, launcher=launcher, n_steps=n_steps, batch_size=1, **settings
    )


def test_anchors_are_quantiles_of_the_training_boxes():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 20, 20], [5, 5, 35, 35]])
    assert detector.anchor_shapes(boxes) == ((13.3, 20.0, 26.7), (1.0, 1.0))
    with pytest.raises(ValueError, match=r"positive width and height required, found \[1.0, 1.0, 1.0, 3.0\] in row 1"):
        detector.anchor_shapes([[0, 0, 2, 2], [1, 1, 1, 3]])
    with pytest.raises(ValueError, match="at least one training box required"):
        detector.anchor_shapes(np.empty((0, 4)))


def test_every_box_of_the_eight_variants_frames_its_own_bright_block():
    images, boxes = blocks(1, seed=2)
    variants, moved = detector.eight_fold(images, boxes)
    assert len(variants) == len(moved) == 8
    assert torch.equal(variants[0], images[0])
    assert len({variant.numpy().tobytes() for variant in variants}) == 8
    for variant, own in zip(variants, moved, strict=True):
        inside = torch.zeros((SIDE, SIDE), dtype=torch.bool)
        for xmin, ymin, xmax, ymax in own.astype(int):
            inside[ymin:ymax, xmin:xmax] = True
        assert variant[inside].min() > 128 > variant[~inside].max()


@pytest.mark.parametrize("backbone", detector.BACKBONES)
@pytest.mark.parametrize("stride", detector.STRIDES)
def test_the_map_of_either_backbone_has_the_stride_that_was_asked_for(backbone, stride):
    anchors = detector.anchor_shapes(np.concatenate(blocks(2)[1]))
    network, start = detector.faster_rcnn(backbone, size=SIDE, anchors=anchors, stride=stride, weights="random")
    features = network.backbone(torch.zeros(1, 3, SIDE, SIDE))
    assert features.shape[2:] == (SIDE // stride, SIDE // stride)
    assert start.sha256 == "random"


def test_a_detector_learns_blocks_and_one_seed_gives_one_detector():
    images, boxes = blocks(12)
    network = small(boxes=boxes)
    history = train(network, images, boxes, 60)
    assert list(history)[:2] == ["step", "loss"]
    assert history["proposal_accuracy"].iloc[-10:].mean() > history["proposal_accuracy"].iloc[:5].mean()
    unseen, truth = blocks(8, seed=5)
    found = detector.detect(network, unseen)
    annotated = [{"boxes": own, "image_id": k} for k, own in enumerate(truth)]
    assert (
        detection.average_precision([part | {"labels": ["vertebra"] * len(part["boxes"])} for part in annotated], found)
        > 0.5
    )
    first, second = (small(boxes=boxes, seed=3) for _ in range(2))
    assert train(first, images, boxes, 3, seed=7).equals(train(second, images, boxes, 3, seed=7))


def test_a_slice_without_vertebrae_trains_as_background_and_gives_no_crash():
    images, boxes = blocks(2)
    images = torch.cat([images, torch.zeros((1, SIDE, SIDE), dtype=torch.uint8)])
    network = small(boxes=boxes)
    history = train(network, images, [*boxes, np.empty((0, 4))], 3)
    assert np.isfinite(history["loss"]).all()
    found = detector.detect(network, images[2:])
    assert list(found) == detector.BOX_COLUMNS


def test_bad_boxes_are_refused_with_their_slice():
    images, boxes = blocks(2)
    with pytest.raises(ValueError, match=r"slice 1: a box of positive area required, found \[9.0, 9.0, 9.0, 20.0\]"):
        train(small(), images, [boxes[0], np.array([[9, 9, 9, 20]])], 1)
    with pytest.raises(ValueError, match="found none on any slice"):
        train(small(), images, [np.empty((0, 4))] * 2, 1)
    with pytest.raises(ValueError, match="found 2 slices, 1 lists of boxes"):
        train(small(), images, boxes[:1], 1)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="backbone: one of resnet18, mobilenet_v2 required, found 'vgg'"):
        small("vgg")
    anchors = ((10.0,), (1.0,))
    with pytest.raises(ValueError, match="stride: 8 or 16 required, found 4"):
        detector.faster_rcnn("resnet18", size=SIDE, anchors=anchors, stride=4)
    with pytest.raises(ValueError, match="weights: auto, imagenet or random required"):
        detector.faster_rcnn("resnet18", size=SIDE, anchors=anchors, weights="best")
