"""Run rivals in turn and compare them round by round: what every script in this folder shares.

A machine is faster in one minute than in the next, so two medians of separate batches of runs say
little. Here a round runs every side once, each run a process of its own (memory, threads and caches
start afresh), the next round runs them in the opposite order (A B, B A, A B, …), and what is
reported is the ratio *within* a round: its median and how far the rounds lie apart.
"""

import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from course_lib.environment import available_cores, machine, versions

try:
    from os import getloadavg
except ImportError:  # Windows
    getloadavg = None


def alternate(
    sides: Sequence[str], command: Callable[[str, int], Sequence[Any]], rounds: int
) -> dict[str, list[Any]]:
    """What `command(side, round)` printed as JSON in its last line: of each side, round by round.

    Exits with a message when there is no round, and when a command fails or prints something else.
    """
    if rounds < 1:
        sys.exit(f"{rounds} rounds measure nothing; give 1 or more")
    results = {side: [] for side in sides}
    with tqdm(total=rounds * len(sides), unit="run", delay=3, leave=False) as bar:
        for i in range(rounds):
            for side in sides if i % 2 == 0 else reversed(sides):
                results[side].append(_run(side, [str(part) for part in command(side, i)]))
                bar.update()
    return results


def _run(side: str, command: list[str]) -> Any:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    again = f"to see more: {shlex.join(command)}"
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        sys.exit(f"{side} failed with exit code {done.returncode} and said: {said}\n{again}")
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        sys.exit(f"{side} printed no line of JSON at its end\n{again}")


@dataclass(frozen=True)
class Ratio:
    """How many times as large one number was as another in the same round."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f}–{self.highest:.2f})"


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """The ratios round by round: their median, the lowest and the highest.

    Raises ValueError where the sides had different numbers of rounds.
    """
    ratios = [n / d for n, d in zip(numerators, denominators, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def conditions(rounds: int) -> str:
    """A line on the machine, its versions and how busy it is: print it before the first run."""
    here = machine()
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    busy = f", load {getloadavg()[0]:.1f} before" if getloadavg else ""
    return (
        f"{rounds} rounds in turn on {here['system']} {here['architecture']}, "
        f"{available_cores()} cores{busy}; {packages}\n"
        "ratios: median of the rounds (lowest–highest)"
    )
