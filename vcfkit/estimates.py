"""What an estimate and a test return."""

from __future__ import annotations

import math
from collections import namedtuple

_NAN = math.nan


class Interval(namedtuple("Interval", ["estimate", "low", "high"])):
    """An estimate with its interval; unpacks to three numbers and prints as ``0.824 (0.749–0.899)``.

    ``variance`` is that of the estimate where the method has one (DeLong), else NaN.
    """

    variance: float = _NAN

    def __new__(cls, estimate: float, low: float, high: float, *, variance: float = _NAN) -> Interval:
        self = super().__new__(cls, estimate, low, high)
        self.variance = variance
        return self

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f}–{self.high:.3f})"


class TestResult(namedtuple("TestResult", ["auc_a", "auc_b", "difference", "statistic", "p_value"])):
    """Two AUCs compared, ``difference = auc_a - auc_b``, two-sided p; unpacks to five numbers.

    Beside them: ``variance`` of the difference, its interval ``low``, ``high`` at the level asked for, and the degrees
    of freedom ``df`` of the statistic's t distribution (infinite: a normal one). NaN where a test has none.
    """

    __test__ = False  # not a test case for pytest, whatever the name
    df: float = math.inf
    variance: float = _NAN
    low: float = _NAN
    high: float = _NAN

    def __new__(
        cls,
        auc_a: float,
        auc_b: float,
        difference: float,
        statistic: float,
        p_value: float,
        *,
        df: float = math.inf,
        variance: float = _NAN,
        low: float = _NAN,
        high: float = _NAN,
    ) -> TestResult:
        self = super().__new__(cls, auc_a, auc_b, difference, statistic, p_value)
        self.df, self.variance, self.low, self.high = df, variance, low, high
        return self
