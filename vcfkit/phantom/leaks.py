"""Does anything but the spine tell the label? Films without their spine, simple features, a linear classifier.

A network trained on virtual patients is worth looking at only where the label cannot be read from the background or
the scanner. The classifier here is ridge logistic regression under cross-validation: weak enough to run in a test,
strong enough to find a shifted diaphragm, a site's grey scale or a band that follows the spine.
"""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BLOCKS = 14  # to a side, for the block means
FILTERS, FILTER_SIZE, POOLED = 24, 5, 6


def without_spine(films, bands):
    """Films (n, h, w) with the mean of the film's background in the place of the band; float64."""
    pictures, bands = torch.as_tensor(films).double() / 255, torch.as_tensor(bands)
    background = (pictures * ~bands).sum((1, 2)) / (~bands).sum((1, 2)).clamp(min=1)
    return torch.where(bands, background[:, None, None], pictures)


def background_features(pictures):
    """Block means, and pooled responses of fixed random filters, of pictures (n, h, w); array (n, features)."""
    pictures = torch.as_tensor(pictures).double()[:, None]
    means = torch.nn.functional.adaptive_avg_pool2d(pictures, BLOCKS)
    weight = torch.as_tensor(np.random.default_rng(0).standard_normal((FILTERS, 1, FILTER_SIZE, FILTER_SIZE)))
    weight = weight - weight.mean((2, 3), keepdim=True)
    responses = []
    for scale in (1, 2, 4):
        small = torch.nn.functional.avg_pool2d(pictures, scale)
        response = torch.nn.functional.conv2d(small, weight).clamp(min=0)
        responses.append(torch.nn.functional.adaptive_avg_pool2d(response, POOLED).flatten(1))
    return torch.cat([means.flatten(1), *responses], 1).numpy()


def scanner_features(films):
    """What a classifier could learn of the scanner: noise, histogram, corners, edges of the field; (n, features)."""
    pictures = torch.as_tensor(films).double() / 255
    rough = pictures[:, 1:-1, 1:-1] * 4 - pictures[:, :-2, 1:-1] - pictures[:, 2:, 1:-1]
    rough = (rough - pictures[:, 1:-1, :-2] - pictures[:, 1:-1, 2:]).abs().flatten(1)
    levels = torch.linspace(0.02, 0.98, 13, dtype=torch.float64)
    corner = max(pictures.shape[1] // 12, 1)
    corners = [
        pictures[:, rows, columns].mean((1, 2))
        for rows in (slice(None, corner), slice(-corner, None))
        for columns in (slice(None, corner), slice(-corner, None))
    ]
    lit = (pictures > 0.02).double()
    return torch.cat(
        [
            rough.quantile(torch.tensor([0.5, 0.75, 0.9], dtype=torch.float64), dim=1).T,
            pictures.flatten(1).quantile(levels, dim=1).T,
            torch.stack([*corners, lit.mean((1, 2)), (pictures > 0.995).double().mean((1, 2))], 1),
            torch.nn.functional.adaptive_avg_pool1d(lit.mean(1), 16),
        ],
        1,
    ).numpy()


def cross_validated_auc(features, labels, *, penalty: float = 100.0, folds: int = 5, seed: int = 0) -> float:
    """Mean area under the ROC curve of the folds left out; one row per patient, so that folds split patients.

    Scores of different folds are not pooled: where there is nothing to find, that would push the area below 0.5.

    Parameters
    ----------
    features : array (n, features)
    labels : array (n,), bool
    penalty : float
        Strength of the ridge; features are standardised within every training fold.
    """
    model = _classifier(penalty)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return float(cross_val_score(model, features, np.asarray(labels, bool), cv=split, scoring="roc_auc").mean())


def held_out_auc(features, labels, training, *, penalty: float = 100.0) -> float:
    """Area under the ROC curve on the rows that ``training`` (array (n,), bool) leaves out.

    For a null effect this is the fairer number: under cross-validation a chance association of one fold is missing,
    and hence reversed, in the others.
    """
    labels, training = np.asarray(labels, bool), np.asarray(training, bool)
    score = held_out_score(features[training], features[~training], labels[training], penalty=penalty)
    return float(roc_auc_score(labels[~training], score))


def held_out_score(training, testing, labels, *, penalty: float = 100.0) -> np.ndarray:
    """Decision function on the rows of ``testing``, fitted on those of ``training`` and their ``labels``."""
    return _classifier(penalty).fit(training, np.asarray(labels, bool)).decision_function(testing)


def _classifier(penalty):
    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=400))
