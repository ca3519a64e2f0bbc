"""Subjects in processes of their own, measured in turn, round after round, so that noise falls on all alike."""

from __future__ import annotations

import multiprocessing
import statistics
from dataclasses import dataclass, field
from typing import Any

from .cases import Case
from .worker import serve

_PATIENCE = 300.0  # seconds for one answer


class Subject:
    """A subject's process, started when first asked and again when it had to be ended."""

    def __init__(self, name: str, busy: bool = False) -> None:
        self.name, self.busy = name, busy
        self.process: Any = None

    def ask(self, task: str, case: Case | None, seconds: float) -> dict[str, Any]:
        """What the worker answers, or the reason why it did not."""
        if self.process is None:
            self._start()
        try:
            self.pipe.send((task, case, seconds))
            if self.pipe.poll(_PATIENCE):
                return self.pipe.recv()
            reason = f"took more than {_PATIENCE:g} s"
        except (EOFError, OSError):
            reason = "its process died"
        self.end()
        return {"reason": reason}

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(self.name, self.busy, theirs), daemon=True)
        self.process.start()
        theirs.close()


@dataclass
class Result:
    """One subject on one task and case."""

    task: str
    case: Case
    subject: str
    times: list[float] = field(default_factory=list)
    reason: str | None = None
    workspace: float | None = None
    value: float | None = None

    @property
    def seconds(self) -> float | None:
        return statistics.median(self.times) if self.times else None

    def note(self, answer: dict[str, Any]) -> None:
        if "reason" in answer:
            self.reason = answer["reason"]
            self.times.clear()
            return
        self.times.append(answer["seconds"])
        self.workspace, self.value = answer["workspace"], answer["value"]

    def ratio(self, other: Result) -> float | None:
        """The median over rounds of this time to another's in the same round."""
        pairs = [mine / theirs for mine, theirs in zip(self.times, other.times, strict=False) if min(mine, theirs) > 0]
        return statistics.median(pairs) if pairs else None


def take_turns(subjects: list[Subject], task: str, case: Case, seconds: float, rounds: int) -> list[Result]:
    """Measures every subject once a round, each round beginning with the next one; slow ones are asked less often."""
    results = [Result(task, case, subject.name) for subject in subjects]
    order = list(zip(subjects, results, strict=True))
    for turn in range(rounds):
        start = turn % len(order)
        for subject, result in order[start:] + order[:start]:
            if result.reason is None and turn < _turns(result, seconds, rounds):
                result.note(subject.ask(task, case, seconds))
    return results


def _turns(result: Result, seconds: float, rounds: int) -> int:
    """How many turns a subject gets: what takes long is steady."""
    if not result.times:
        return rounds
    return 1 if result.times[0] > 10 * seconds else min(rounds, 3) if result.times[0] > seconds else rounds
