"""What is refused at the door of the statistics, and in which words."""

import numpy as np
import pytest

from vcfkit import checks


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: checks.numeric("risk", ["0.1"]), "risk: an array of numbers required, found dtype <U3"),
        (lambda: checks.numeric("risk", [[0.1]]), r"risk: 1 dimension\(s\) required, found shape \(1, 1\)"),
        (
            lambda: checks.finite("risk", [0.1, np.nan]),
            r"risk holds 1 value that is not finite, first in row 1 \(from 0",
        ),
        (lambda: checks.finite("risk", [np.inf, np.nan]), "risk holds 2 values that are not finite, first in row 0 "),
        (lambda: checks.finite("x", [[1, 2], [3, np.inf]], ndim=2), "first in row 1 .*; leave it out or mend it"),
        (lambda: checks.finite("harm", np.nan, ndim=0), "harm holds 1 value that is not finite$"),
        (lambda: checks.truth("y", []), "y holds no rows; both classes required"),
        (lambda: checks.truth("y", [1, 1]), r"y holds one class only \(\[1.0\]\)"),
        (lambda: checks.truth("y", [0, 1, 2]), "y of 0 and 1 required, found"),
        (lambda: checks.truth("y", [0, 1, 1], per_class=2), "at least 2 rows of each class required, found 1"),
        (lambda: checks.truth_and_score([0, 1], [0.5]), "y_true and y_score of one length required, found 2 and 1"),
        (lambda: checks.decisions("a", [0, 2], 2), "a: 2 values of 0 and 1 required, found 2"),
        (
            lambda: checks.class_table(["c"], [[0.5, 0.5]], ["a", "b"]),
            r"labels out of \['a', 'b'\] required, found \['c'\]",
        ),
        (lambda: checks.level(95), "level between 0 and 1 required, found 95"),
        (lambda: checks.threshold("half"), "threshold: a number required, found half"),
        (lambda: checks.count("n_jobs", 0), "n_jobs: a whole number of at least 1 required, found 0"),
        (lambda: checks.count("n_jobs", 1.5), "n_jobs: a whole number of at least 1 required, found 1.5"),
        (lambda: checks.generator(None), "seed: a whole number from 0 on, or a Generator, required, found None"),
        (lambda: checks.generator(-1), "seed: a whole number from 0 on, or a Generator, required, found -1"),
        (lambda: checks.units(["a"], 2), r"one entry per row required \(2\), found shape \(1,\)"),
        (lambda: checks.units(["a", None], 2), "groups: every row needs one, 1 are missing"),
    ],
)
def test_a_refusal_names_the_argument_what_it_needs_and_what_it_held(check, message):
    with pytest.raises(ValueError, match=message):
        check()


def test_what_is_sound_comes_back_as_arrays():
    positive, score = checks.truth_and_score([0, True, 1.0], [1, 2, 3])
    assert (positive.tolist(), score.dtype) == ([False, True, True], np.float64)
    assert checks.units(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    assert checks.units(None, 3) is None
    rng = np.random.default_rng(0)
    assert checks.generator(rng) is rng
    assert checks.generator(3).random() == np.random.default_rng(3).random()
