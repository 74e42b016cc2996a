"""Nodes of virtual patients on slices: how deep they are there, and the pixels that are theirs alone."""

import numpy as np

from vcfkit import phantom
from vcfkit.phantom import ct, lesions

STEM = "03_ct_vertebra_diseases"


def vertebrae(label, n=3):
    rows = phantom.cohorts.boxes(STEM, fractions=dict.fromkeys(("training", "testing", "Xuanwu"), 0.03))
    only = rows[(rows[label] == 1) & (rows[["OVCF", "OF", "SN", "KD", "PS"]].sum(axis=1) == 1)]
    return only.groupby("patient_id").nth([0]).head(n).reset_index(drop=True)


def test_a_nodes_depth_on_a_slice_is_its_own_or_less_and_nan_without_node():
    nodes, others = vertebrae("SN"), vertebrae("OVCF")
    depths = lesions.node_depths(nodes)
    assert ((depths > 0.3) & (depths <= 6.5)).all()
    assert np.isnan(lesions.node_depths(others)).all()
    assert np.isnan(lesions.node_depths(nodes.assign(image="own.nii.gz"))).all()


def test_node_pixels_lie_at_the_end_of_their_vertebra():
    rows = vertebrae("SN", 2)
    masks = lesions.node_masks(rows, size=256)
    truth = ct.ct_slices(rows, size=256, truth=True)[1].frame
    for k, mask in enumerate(masks.numpy()):
        box = truth[(truth["slice"] == k) & (truth["level"] == rows["level"][k])].iloc[0]
        at = np.argwhere(mask)
        assert 10 < len(at) < 300
        assert at[:, 0].min() >= box["ymin"] - 6
        assert at[:, 0].max() <= box["ymax"] + 6
        assert at[:, 1].min() >= box["xmin"] - 6
        assert at[:, 1].max() <= box["xmax"] + 6
