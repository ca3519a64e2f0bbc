r"""Judging distributions that were foretold, one for each row, by the targets that came.

=====================  ==========================================================================================
`judge`                all of these at once, with rows that count by weight
``mixture.log_prob``   the log-density, in nats; higher is better
`crps`                 the continuous ranked probability score of numbers, in their units; lower is better
`energy_score`         the same for vectors
`pit`                  where in its distribution each target fell: uniform if the distributions are true
`quantiles`            and `central_interval`: what is to hold a share of the targets, and how often it did
`highest_density`      the smallest set that is to hold a share: several intervals where there are several modes
`calibrate`            intervals whose level is guaranteed, whatever the mixtures, by rows held out
`alarm`                a threshold on log-densities with a guaranteed false-alarm rate
=====================  ==========================================================================================

Log-density, CRPS, energy and interval scores are proper: in the mean, none is better than the truth. Shapes are those
of mixtures, targets ``(*S, *B, *event)`` under a batch ``(*B)``.
"""

from .conformal import Alarm, Calibration, alarm, calibrate
from .crps import crps
from .energy import energy_score
from .highest import Region, highest_density
from .intervals import Interval, central_interval, quantiles
from .judgement import Coverage, Judgement, judge
from .transforms import Histogram, pit, pit_histogram

__all__ = [
    "Alarm",
    "Calibration",
    "Coverage",
    "Histogram",
    "Interval",
    "Judgement",
    "Region",
    "alarm",
    "calibrate",
    "central_interval",
    "crps",
    "energy_score",
    "highest_density",
    "judge",
    "pit",
    "pit_histogram",
    "quantiles",
]
