"""What Mixtura promises, and which measurements keep it."""

from __future__ import annotations

from collections.abc import Iterator

from .cases import Case
from .turns import Result

_WORKSPACE = 64.0  # MiB
_AGREE = 1e-9  # relative, in float64


def least_ratios(task: str, case: Case) -> dict[str, float]:
    """How many times slower than Mixtura a peer must be, at the least."""
    wide = case.features >= 10
    return {
        "em": {"sklearn": 8.0 if case.features <= 10 else 4.0},
        "log_prob": {"torch_mixture": 5.0 if wide else 1.0},
        "gradient": {"torch_mixture": 1.0},
        "sample": {"torch_mixture": 10.0} if wide else {},
    }[task]


def misses(results: list[Result]) -> Iterator[str]:
    """One sentence for each promise that a cell breaks."""
    ours, *peers = results
    if ours.seconds is None:
        yield f"failed: {ours.reason}"
        return
    least = least_ratios(ours.task, ours.case)
    for peer in peers:
        ratio, wanted = peer.ratio(ours), least.get(peer.subject)
        if ratio is not None and wanted is not None and ratio < wanted:
            yield f"{ratio:.2g} times {peer.subject}, wanted {wanted:g}"
        if peer.subject == "sklearn" and (gap := difference(ours, peer)) is not None and gap > _AGREE:
            yield f"differs from scikit-learn by {gap:.1e}"
    if ours.workspace is not None and ours.workspace > _WORKSPACE:
        yield f"workspace {ours.workspace:.0f} MiB, wanted {_WORKSPACE:g}"


def difference(ours: Result, peer: Result) -> float | None:
    """Relative difference of what two subjects found, in float64, where both find the same thing."""
    if ours.task == "sample" or ours.case.dtype != "float64" or None in (ours.value, peer.value):
        return None
    return abs(peer.value - ours.value) / abs(ours.value)  # type: ignore[operator, arg-type]
