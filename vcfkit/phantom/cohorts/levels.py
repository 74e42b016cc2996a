"""Which vertebrae are broken: levels by quota, and their distribution over patients."""

import numpy as np

from ..anatomy import LEVELS
from .matching import largest_remainder
from .patient import FRACTURE_LEVELS, region

NEAR = 2  # further fractures of a patient cluster within two levels of the first, of four fractures within three


def quota(counts: dict, *, among=tuple(FRACTURE_LEVELS)) -> dict:
    """Number of vertebrae per level: the weights of ``FRACTURE_LEVELS`` within each region.

    Parameters
    ----------
    counts : dict
        ``{"thoracic": 111, "lumbar": 204}``.
    among : sequence of str
        Levels that can be broken here.
    """
    result = {}
    for name, count in counts.items():
        levels = [level for level in among if region(level) == name]
        for level, n in zip(levels, largest_remainder([FRACTURE_LEVELS[k] for k in levels], count), strict=True):
            result[level] = int(n)
    return result


def fractures_per_patient(vertebrae: int, patients: int) -> dict:
    """How many patients hold 1, 2, 3 and 4 fractures (our choice: 3 % and 15 % of the extra fractures make 4 and 3)."""
    extra = vertebrae - patients
    four, three = round(0.03 * extra), round(0.15 * extra)
    two = extra - 2 * three - 3 * four
    return {1: patients - two - three - four, 2: two, 3: three, 4: four}


def group(pool: dict, sizes, rng) -> list:
    """Deal the vertebrae of ``pool`` (level -> number) to patients with ``sizes`` fractures.

    Patients with most fractures choose first: a first level by what is left, further ones near it. So the levels of
    all vertebrae are the quota whatever the sizes are.

    Returns
    -------
    list of tuple
        Levels of every patient, in the order of ``sizes``.
    """
    left = np.array([pool.get(level, 0) for level in LEVELS], float)
    dealt = [()] * len(sizes)
    for k in np.argsort(-np.asarray(sizes), kind="stable"):
        own = []
        for _ in range(sizes[k]):
            reach = NEAR if sizes[k] < 4 else NEAR + 1
            weight = left.copy()
            weight[own] = 0
            if own:
                distance = np.abs(np.arange(len(LEVELS)) - own[0])
                while not (weight * (distance <= reach)).any():
                    reach += 1
                weight *= distance <= reach
            own.append(int(rng.choice(len(LEVELS), p=weight / weight.sum())))
            left[own[-1]] -= 1
        dealt[k] = tuple(LEVELS[j] for j in own)
    return dealt
