"""Footfall's own Evidently metrics: one number a comparison, with Evidently's tests bound to it.

Importing this module imports Evidently (seconds): only `monitoring.report` does, and late. Each metric's docstring says what its number is;
the calculation class below it is bound by its type argument, as Evidently 0.7 wants it.
Slates are not events: they travel as Evidently's additional datasets CURRENT_SLATES and REFERENCE_SLATES, a row a slate.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from evidently import Dataset
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context
from scipy.spatial import distance
from scipy.stats import wasserstein_distance

from footfall.contracts import C
from monitoring.windows import IN_VOCABULARY, RECOMMENDABLE

CURRENT_SLATES, REFERENCE_SLATES = "current_slates", "reference_slates"
HIT_RATE = "hit_rate"


class VolumeChange(SingleValueMetric):
    """Absolute natural logarithm of current events a day over reference events a day: 0 for equal, the same for half as for twice as many."""

    reference_days: float
    current_days: float


class VolumeChangeCalculation(SingleValueCalculation[VolumeChange]):
    """Counts rows."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset) -> SingleValue:
        """Both rates, then the logarithm of their ratio."""
        current = len(current_data.as_dataframe()) / self.metric.current_days
        reference = len(reference_data.as_dataframe()) / self.metric.reference_days
        return self.result(abs(float(np.log(current / reference))))

    def display_name(self) -> str:
        """Title in the report."""
        return "Event volume: |ln(current / reference events a day)|"


class ConcentrationChange(SingleValueMetric):
    """Absolute difference of the share of events that goes to the most popular 1% of items."""


class ConcentrationChangeCalculation(SingleValueCalculation[ConcentrationChange]):
    """Counts items in each window by itself."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset) -> SingleValue:
        """Top share of each window, then their difference."""
        shares = [top_share(data.as_dataframe()) for data in (current_data, reference_data)]
        return self.result(abs(shares[0] - shares[1]))

    def display_name(self) -> str:
        """Title in the report."""
        return "Popularity: change of the share of the top 1% of items"


class ItemDistance(SingleValueMetric):
    """Jensen-Shannon distance (natural logarithm) of recommendable items. Large in quiet pairs too, so it is shown and never tested."""


class ItemDistanceCalculation(SingleValueCalculation[ItemDistance]):
    """Not ValueDrift: a bar for each of tens of thousands of items would swell the report."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset) -> SingleValue:
        """Distance of the two count vectors."""
        counts = [recommendable_items(data.as_dataframe()).value_counts() for data in (reference_data, current_data)]
        both = pd.concat(counts, axis=1).fillna(0.0).sort_index().to_numpy()
        return self.result(float(distance.jensenshannon(both[:, 0], both[:, 1])))

    def display_name(self) -> str:
        """Title in the report."""
        return "Items: Jensen-Shannon distance (does not vote)"


class UnknownItemRise(SingleValueMetric):
    """Share of recommendable events outside the vocabulary, current minus reference: a fall is negative and harmless."""


class UnknownItemRiseCalculation(SingleValueCalculation[UnknownItemRise]):
    """Reads the column that the window joined."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset) -> SingleValue:
        """Difference of the shares."""
        return self.result(unknown_share(current_data.as_dataframe()) - unknown_share(reference_data.as_dataframe()))

    def display_name(self) -> str:
        """Title in the report."""
        return "Out of vocabulary: rise of the share of events"


class ScoreDistance(SingleValueMetric):
    """Wasserstein distance of a slate score, normed by the reference's standard deviation (Evidently's own norm, floor 0.001)."""

    column: str


class ScoreDistanceCalculation(SingleValueCalculation[ScoreDistance]):
    """Reads the additional datasets of slates."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset) -> SingleValue:
        """Distance of one score column."""
        current, reference = (
            context.additional_data[name].as_dataframe()[self.metric.column].to_numpy() for name in (CURRENT_SLATES, REFERENCE_SLATES)
        )
        return self.result(float(wasserstein_distance(reference, current)) / max(float(np.std(reference)), 0.001))

    def display_name(self) -> str:
        """Title in the report."""
        return f"Scores: normed Wasserstein distance of {self.metric.column}"


class HitRateDrop(SingleValueMetric):
    """Hit rate of the reference minus that of the current slates: a gain is negative and harmless."""

    reference_hit_rate: float
    current_hit_rate: float


class HitRateDropCalculation(SingleValueCalculation[HitRateDrop]):
    """The rates were joined by the window."""

    def calculate(self, context: Context, current_data: Dataset, reference_data: Dataset) -> SingleValue:
        """Reference minus current."""
        return self.result(self.metric.reference_hit_rate - self.metric.current_hit_rate)

    def display_name(self) -> str:
        """Title in the report."""
        return f"Hit rate: drop from {self.metric.reference_hit_rate:.3f} to {self.metric.current_hit_rate:.3f}"


def recommendable_items(events: pd.DataFrame) -> pd.Series[str]:
    """The items of recommendable events."""
    items: pd.Series[str] = events.loc[events[RECOMMENDABLE], C.ITEM_ID].dropna()
    return items


def top_share(events: pd.DataFrame) -> float:
    """Share of recommendable events that goes to the most popular 1% (at least one) of the items that occur."""
    counts = np.sort(recommendable_items(events).value_counts().to_numpy(np.int64))[::-1]
    return float(counts[: max(1, len(counts) // 100)].sum() / counts.sum())


def unknown_share(events: pd.DataFrame) -> float:
    """Share of recommendable events whose item is outside the vocabulary."""
    known = events.loc[events[RECOMMENDABLE] & events[C.ITEM_ID].notna(), IN_VOCABULARY]
    return float(1.0 - known.mean())
