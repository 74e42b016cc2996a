"""Virtual readers: a decision model of readers, set by the operating points that a paper prints.

Paper 02 prints how often each reader was right, not what each reader said of each vertebra. A virtual reader has, for a
case of true class c and each class k, a latent evidence

    z_k = skill · [k = c] + bias_k + e_k,        e_k independent N(0, 1) for every reader, case and class,

decides for the class with the most evidence and rates by softmax(z). Told the model's probabilities p, the same reader
on the same case decides by z + trust · log p: the first impression stays, the model's opinion is added to it.

`solve` finds skill and bias from the published unaided sensitivities, `solve_trust` the trust from the published aided
one, with a model that is itself such a reader of the published performance: nothing is fitted to a model at hand. All
expectations are integrals over one normal variable, by Gauss–Hermite quadrature, so that nothing here is random but
`readings`. What this leaves out: readers agree on hard cases more than independent evidence lets them, and they err
where the model errs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr, softmax

# Nodes and weights for the mean over a standard normal variable.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_WIDEST = 12.0  # skill, bias and trust are sought within this many standard deviations of the noise


class Reader(NamedTuple):
    """One virtual reader. ``bias`` has one value per class; ``trust`` 0 ignores the model."""

    name: str
    skill: float
    bias: tuple[float, ...]
    trust: float = 0.0


def expected_sensitivity(reader: Reader, model: Reader | None = None) -> np.ndarray:
    """Probability that a case of each class is called right, shape (n_classes,).

    With ``model``, a reader told log-probabilities of that model: their normalising constant is the same for all
    classes, so that the decision compares z + trust·z_model, of variance 1 + trust².
    """
    skill, bias, spread = reader.skill, np.asarray(reader.bias, dtype=np.float64), 1.0
    if model is not None:
        skill = skill + reader.trust * model.skill
        bias = bias + reader.trust * np.asarray(model.bias)
        spread = np.hypot(1.0, reader.trust)
    right = []
    for own in range(len(bias)):
        lead = (skill + bias[own] - np.delete(bias, own)) / spread
        # P(own evidence x beats every other) = ∫ φ(x) Π Φ(x + lead) dx
        right.append(_WEIGHTS @ ndtr(_NODES[:, None] + lead).prod(axis=1))
    return np.array(right)


def solve(
    name: str,
    *,
    overall: float,
    sensitivity: float,
    of: Hashable,
    classes: Sequence[Hashable],
    counts: Sequence[int],
) -> Reader:
    """The reader whose expected share of right answers, and sensitivity for one class, are the published ones.

    Two numbers set two unknowns, the skill and the bias of the class ``of``; the other classes share the bias 0. That
    they are equal is a choice: it makes the reader equally good at all other classes.

    Parameters
    ----------
    overall : float
        Share of all cases called right ("overall sensitivity", the plain accuracy).
    sensitivity : float
        Share of the cases of class ``of`` called right.
    counts : sequence of int
        Cases per class, in the order of ``classes``: the mix at which ``overall`` was printed.

    Raises
    ------
    ValueError
        Naming the reader: shares outside (0, 1), ``of`` not a class, or no such reader.
    """
    _require_share(name, "overall", overall)
    _require_share(name, "sensitivity", sensitivity)
    if of not in classes or len(classes) != len(counts):
        raise ValueError(f"{name}: of among the classes and one count per class required, found {of!r}, {counts!r}")
    place, mix = list(classes).index(of), np.asarray(counts) / np.sum(counts)

    def with_skill(skill: float) -> Reader:
        def missing(bias: float) -> float:
            return expected_sensitivity(Reader(name, skill, biases(bias)))[place] - sensitivity

        return Reader(name, skill, biases(brentq(missing, -2 * _WIDEST, 2 * _WIDEST, xtol=1e-12)))

    def biases(bias: float) -> tuple[float, ...]:
        return tuple(bias if k == place else 0.0 for k in range(len(classes)))

    def surplus(skill: float) -> float:
        return float(mix @ expected_sensitivity(with_skill(skill))) - overall

    if surplus(0.0) > 0 or surplus(_WIDEST) < 0:
        raise ValueError(
            f"{name}: no virtual reader is right in {overall:.3f} of all and {sensitivity:.3f} of {of} cases at the "
            f"mix {', '.join(map(str, counts))}"
        )
    return with_skill(brentq(surplus, 0.0, _WIDEST, xtol=1e-12))


def solve_trust(reader: Reader, model: Reader, *, overall: float, counts: Sequence[int]) -> tuple[Reader, float]:
    """The reader with the least trust at which the aided reader is expected to be right in ``overall`` of all cases.

    Returns
    -------
    reader, expected : Reader, float
        The reader with its trust, and the expected share of right answers at it: ``overall``, unless even the best
        weight of the model's opinion falls short of it; then that weight and what it reaches.
    """
    _require_share(reader.name, "overall", overall)
    mix = np.asarray(counts) / np.sum(counts)

    def expected(trust: float) -> float:
        return float(mix @ expected_sensitivity(reader._replace(trust=trust), model))

    if expected(0.0) >= overall:
        return reader, expected(0.0)
    best = minimize_scalar(lambda trust: -expected(trust), bounds=(0.0, _WIDEST), method="bounded").x
    if expected(best) < overall:
        return reader._replace(trust=float(best)), expected(best)
    trust = brentq(lambda trust: expected(trust) - overall, 0.0, best, xtol=1e-12)
    return reader._replace(trust=float(trust)), expected(trust)


def readings(
    readers: Sequence[Reader],
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    classes: Sequence[Hashable],
    cases: ArrayLike | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """What the readers say of each case, without the model and told its probabilities.

    Parameters
    ----------
    truth : array, shape (n_cases,)
        True class names.
    probabilities : array, shape (n_cases, n_classes)
        The model's, columns in the order of ``classes``.
    cases : array, shape (n_cases,), optional
        Names of the cases; 0, 1, … without.
    seed : int
        Of the evidence. Reader i of a seed has the same evidence whoever reads beside.

    Returns
    -------
    DataFrame
        The columns of a reader frame, then ``prob_<class>``; one row per reader, modality (unaided, aided) and case.

    Raises
    ------
    ValueError
        Shapes that do not fit, classes unknown, probabilities that are none.
    """
    truth, probabilities = np.asarray(truth, dtype=object), np.asarray(probabilities, dtype=np.float64)
    classes = list(classes)
    if probabilities.shape != (len(truth), len(classes)):
        raise ValueError(
            f"probabilities: shape {(len(truth), len(classes))} required, found {probabilities.shape} "
            "(one row per case, one column per class)"
        )
    strangers = ", ".join(sorted({str(name) for name in set(truth) - set(classes)}))
    if strangers:
        raise ValueError(f"truth: one of {', '.join(map(str, classes))} required, found {strangers}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all() or not np.allclose(probabilities.sum(axis=1), 1):
        raise ValueError("probabilities: rows of shares that sum to 1 required")
    own = truth[:, None] == np.asarray(classes, dtype=object)
    # A probability that has become 0 in floating point would outvote any evidence.
    opinion = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    names = np.arange(len(truth)) if cases is None else np.asarray(cases)
    parts = []
    for place, reader in enumerate(readers):
        noise = np.random.default_rng([seed, place]).standard_normal(probabilities.shape)
        unaided = reader.skill * own + np.asarray(reader.bias) + noise
        for modality, evidence in (("unaided", unaided), ("aided", unaided + reader.trust * opinion)):
            part = pd.DataFrame({"reader": reader.name, "modality": modality, "case": names, "truth": truth})
            part["rating"] = np.asarray(classes, dtype=object)[evidence.argmax(axis=1)]
            part[[f"prob_{name}" for name in classes]] = softmax(evidence, axis=1)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _require_share(name: str, argument: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name}, {argument}: a share between 0 and 1 required, found {value}")
