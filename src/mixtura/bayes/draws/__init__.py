"""What follows sampling: draws as ArviZ's data, what is predicted, labels, and what it all says in words."""

from .arviz import inference_data
from .as_mixtures import density_bands, to_mixtures
from .diagnosis import Diagnosis, diagnose
from .labels import occupied, recover_labels
from .sampling import sampled, to_arviz
from .words import Interval, intervals, summary

__all__ = [
    "Diagnosis",
    "Interval",
    "density_bands",
    "diagnose",
    "inference_data",
    "intervals",
    "occupied",
    "recover_labels",
    "sampled",
    "summary",
    "to_arviz",
    "to_mixtures",
]
