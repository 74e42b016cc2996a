"""Exact ground truth of virtual samples, written from the scene's parameters before any noise."""

import numpy as np
import pandas as pd

from .render import scene_of
from .signs import SIGNS

LANDMARKS = ("sup_ant", "sup_mid", "sup_post", "inf_ant", "inf_mid", "inf_post")


def describe(samples: pd.DataFrame, *, size: int = 224) -> pd.DataFrame:
    """What every virtual crop shows.

    Parameters
    ----------
    samples : pandas.DataFrame
        Rows with ``sample_id`` and a phantom reference in ``image``.
    size : int
        Pixels of the crop, in which landmarks and box are given (0-based, pixel edges at whole numbers).

    Returns
    -------
    pandas.DataFrame
        One row per sample: ``shape``, ``genant``, ``loss_ant``/``mid``/``post`` (fractions of the intact height),
        ``t_score``, ``hu``, heights in mm, ``sign_<name>`` (drawn flag), ``amp_<name>`` (drawn whether used or not),
        landmarks ``<name>_x``/``_y``, ``body_box`` (pixels), ``crop_width_mm``, ``crop_height_mm``.
    """
    rows = []
    for sample_id, image in zip(samples["sample_id"], samples["image"], strict=True):
        s = scene_of(image)
        y0, y1, z0, z1 = s.box
        to_x, to_y = size / (y1 - y0), size / (z1 - z0)
        marks = np.column_stack([(s.landmarks[:, 0] - y0) * to_x, (z1 - s.landmarks[:, 1]) * to_y])
        b = s.body_box
        box = ((b[0] - y0) * to_x, (z1 - b[3]) * to_y, (b[1] - y0) * to_x, (z1 - b[2]) * to_y)
        f = s.fracture
        rows.append(
            {
                "sample_id": sample_id,
                "label": f.label,
                "level": s.level,
                "shape": f.shape,
                "genant": f.genant,
                "loss_ant": f.loss[0],
                "loss_mid": f.loss[1],
                "loss_post": f.loss[2],
                "height_loss": f.largest_loss,
                "t_score": s.spine.t_score,
                "hu": s.bodies[1].hu,
                **{f"sign_{name}": f.flags[name] for name in SIGNS},
                **{f"amp_{name}": value for name, value in f.amplitude.items()},
                **{
                    f"{name}_{axis}": marks[i, j]
                    for i, name in enumerate(LANDMARKS)
                    for j, axis in enumerate(("x", "y"))
                },
                "body_box": ",".join(f"{v:.1f}" for v in box),
                "crop_width_mm": y1 - y0,
                "crop_height_mm": z1 - z0,
            }
        )
    return pd.DataFrame(rows)
