"""Kneser–Ney, order 6: fit on the ladder's training text and score its validation text.

    python benchmarks/kneser_ney.py [--rounds N] [--text FILE]

Ours (`course_lib.models.ngram`) against a compact implementation in plain Python dictionaries of
the same model (one discount an order). Each run is a process of its own, the two alternate, and the
losses must agree: the peak memory is then that of one run, interpreter and text included.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from pairs import alternate, conditions, paired_ratio

from course_lib.data import corpora

try:
    import resource
except ImportError:
    resource = None

ORDER = 6
SIDES = ("ours", "dictionaries")


def ours(train: str, validation: str, alphabet: str) -> float:
    """Mean loss in nats per character, with the course's model."""
    from course_lib.evaluation import evaluate
    from course_lib.models.ngram import KneserNey, NGramCounts
    from course_lib.tokenization.characters import CharacterTokenizer

    tokenizer = CharacterTokenizer(alphabet)
    history, tokens = tokenizer.encode(train), tokenizer.encode(validation)
    model = KneserNey(NGramCounts.of(history, tokenizer.vocab_size, ORDER), ORDER, discounts=1)
    return evaluate(model, history, tokens, n_bytes=len(validation.encode())).loss


def dictionaries(train: str, validation: str, alphabet: str) -> float:
    """The same with Counters over strings."""
    tables, discounts, totals, followers = {}, {}, {}, {}
    table = Counter([train[i : i + ORDER] for i in range(len(train) - ORDER + 1)])
    distinct = set(table)  # n-grams of this length
    for m in range(ORDER, 0, -1):
        if m < ORDER:
            table = Counter([gram[1:] for gram in distinct])  # each longer n-gram votes once
            distinct = {gram[:-1] for gram in distinct} | {train[-m:]}
        of_counts = Counter(table.values())
        n1, n2 = of_counts[1], of_counts[2]
        discounts[m] = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
        total, kinds = defaultdict(int), defaultdict(int)
        for gram, c in table.items():
            history = gram[:-1]
            total[history] += c
            kinds[history] += 1
        tables[m], totals[m], followers[m] = table, total, kinds

    text, nats = train[-(ORDER - 1) :] + validation, 0.0
    levels = [(m, tables[m], totals[m], followers[m], discounts[m]) for m in range(1, ORDER + 1)]
    for i in range(ORDER, len(text) + 1):
        p = 1 / len(alphabet)
        for m, table, total, kinds, D in levels:
            gram = text[i - m : i]
            history = gram[:-1]
            if history not in total:
                break  # nor was any longer one
            c = table.get(gram, D)
            p = (c - D + D * kinds[history] * p) / total[history]
        nats -= math.log(p)
    return nats / len(validation)


def run_once(which: str, text: Path | None) -> None:
    """In a process of its own: print loss, seconds of fit and score, and peak memory in MB."""
    corpus = corpora.read_text_file(text) if text else corpora.load("shakespeare")
    run = {"ours": ours, "dictionaries": dictionaries}[which]
    begun = time.perf_counter()
    loss = run(corpus.train, corpus.validation, corpus.alphabet)
    seconds = time.perf_counter() - begun
    megabytes = math.nan  # Windows does not say
    if resource:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes; on macOS bytes
        megabytes = peak / (1e6 if sys.platform == "darwin" else 1e3)
    print(json.dumps({"loss": loss, "seconds": seconds, "megabytes": megabytes}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--text", type=Path, help="a UTF-8 text instead of the ladder's")
    parser.add_argument("--once", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        run_once(arguments.once, arguments.text)
        return

    print(f"Kneser–Ney, order {ORDER}, one discount: fit + score")
    print(conditions(arguments.rounds), flush=True)
    text = ["--text", arguments.text] if arguments.text else []
    command = [sys.executable, __file__, *text, "--once"]
    runs = alternate(SIDES, lambda side, _: [*command, side], arguments.rounds)

    print(f"\n{'':<14}{'seconds':>9}{'peak MB':>9}{'nats/char':>11}")
    for which, rows in runs.items():
        seconds = statistics.median(row["seconds"] for row in rows)
        peak = max(row["megabytes"] for row in rows)
        print(f"{which:<14}{seconds:>9.2f}{peak:>9.0f}{rows[0]['loss']:>11.6f}")
    times = {which: [row["seconds"] for row in rows] for which, rows in runs.items()}
    gap = abs(runs["ours"][0]["loss"] - runs["dictionaries"][0]["loss"])
    ratio = paired_ratio(times["dictionaries"], times["ours"])
    print(f"dictionaries : ours, time: {ratio}; losses differ by {gap:.0e}")
    if gap > 1e-9:
        sys.exit("the two disagree about the loss")


if __name__ == "__main__":
    main()
