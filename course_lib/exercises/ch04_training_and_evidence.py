"""The exercises of chapter 04, training and evidence: references and known mistakes.

Letters as on the pages: V symbols; z logits; a loss is in nats; a and b are the scores of two
models on the same items.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math
import re
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float, Int

from course_lib.exercises.broken_run import FAULTS, Run
from course_lib.exercises.exercise import Exercise

LIBRARY = ("course_lib",)  # an answer is written by hand


def whole_numbers(low: int, high: int, size: int) -> st.SearchStrategy[np.ndarray]:
    """Arrays of `size` small whole numbers, as floats."""
    return st.lists(st.integers(low, high), min_size=size, max_size=size).map(
        lambda values: np.array(values, float)
    )


# 04.1 ------------------------------------------------------------------------ the initial loss


def initial_loss(
    logits: Float[np.ndarray, "tokens vocab"], targets: Int[np.ndarray, " tokens"]
) -> dict[str, float]:
    """The mean loss of the targets in nats, and by how much it exceeds ln V.

    The loss of a token is ln Σ exp(z_j) - z_target; logits may be as large as 1,000.

    >>> found = initial_loss(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1]))
    >>> round(found["loss"], 4), round(found["excess"], 4)
    (500.3466, 499.6534)
    """
    losses = []
    for i, target in enumerate(targets):
        z = logits[i] - logits[i].max()  # so that exp cannot overflow
        losses.append(math.log(np.exp(z).sum()) - z[target])
    loss = float(np.mean(losses))
    return {"loss": loss, "excess": loss - math.log(logits.shape[1])}


def exponentials_overflow(logits, targets):
    sums = np.log(np.exp(logits).sum(axis=1))
    loss = float((sums - logits[np.arange(len(targets)), targets]).mean())
    return {"loss": loss, "excess": loss - math.log(logits.shape[1])}


def log_of_the_tokens(logits, targets):
    loss = initial_loss(logits, targets)["loss"]
    return {"loss": loss, "excess": loss - math.log(len(targets))}


def excess_in_bits(logits, targets):
    loss = initial_loss(logits, targets)["loss"]
    return {"loss": loss, "excess": loss - math.log2(logits.shape[1])}


def losses_added_up(logits, targets):
    loss = initial_loss(logits, targets)["loss"] * len(targets)
    return {"loss": loss, "excess": loss - math.log(logits.shape[1])}


def softmax_before_softmax(logits, targets):
    z = np.exp(logits - logits.max(axis=1, keepdims=True))
    return initial_loss(z / z.sum(axis=1, keepdims=True), targets)


@st.composite
def logits_and_targets(draw):
    tokens, V = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    number = st.sampled_from([0.0, 1.0, 2.0, -1.0, 3.0, 0.5, 900.0, -900.0])
    rows = [draw(st.lists(number, min_size=V, max_size=V)) for _ in range(tokens)]
    targets = draw(st.lists(st.integers(0, V - 1), min_size=tokens, max_size=tokens))
    return np.array(rows), np.array(targets)


# 04.2 -------------------------------------------------------------------------------- clipping


def clip_gradients(
    gradients: list[Float[np.ndarray, "..."]], max_norm: float | int
) -> tuple[list[Float[np.ndarray, "..."]], float]:
    """Shorten all gradients together to norm `max_norm`, where they are longer than that.

    Returns the new gradients, and the norm of all of them together before.

    >>> clipped, norm = clip_gradients([np.array([3.0]), np.array([[4.0]])], max_norm=1)
    >>> norm, [float(g.sum().round(3)) for g in clipped]
    (5.0, [0.6, 0.8])
    """
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    scale = max_norm / max(norm, max_norm)
    return [g * scale for g in gradients], norm


def each_on_its_own(gradients, max_norm):
    norm = clip_gradients(gradients, max_norm)[1]
    return [clip_gradients([g], max_norm)[0][0] for g in gradients], norm


def every_number_clipped(gradients, max_norm):
    norm = clip_gradients(gradients, max_norm)[1]
    return [np.clip(g, -max_norm, max_norm) for g in gradients], norm


def short_ones_stretched(gradients, max_norm):
    norm = clip_gradients(gradients, max_norm)[1]
    return [g * np.divide(max_norm, norm) for g in gradients], norm


def norms_added_up(gradients, max_norm):
    norm = sum(float(np.linalg.norm(g)) for g in gradients)
    scale = max_norm / max(norm, max_norm)
    return [g * scale for g in gradients], norm


def root_forgotten(gradients, max_norm):
    norm = sum(float((g**2).sum()) for g in gradients)
    scale = max_norm / max(norm, max_norm)
    return [g * scale for g in gradients], norm


def norm_after_clipping(gradients, max_norm):
    clipped, norm = clip_gradients(gradients, max_norm)
    return clipped, min(norm, max_norm)


@st.composite
def gradients_and_norm(draw):
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    gradients = [draw(whole_numbers(-4, 4, size)) for size in sizes]
    if draw(st.booleans()):
        gradients[0] = gradients[0].reshape(-1, 1)
    return gradients, draw(st.sampled_from([0.5, 1, 2, 5, 20]))


# 04.3 -------------------------------------------------------------------------- find the fault


def diagnose(run: "Run") -> str:
    """Which fault a training run has, by the procedure; "nothing" where it has none.

    The checks in their order: the initial loss is more than half a nat above ln V ("start"); two
    evaluations of the same weights differ ("training mode"); the gradient of the same batch at the
    same weights differs ("kept gradients"); one batch is fitted to a loss below its floor
    ("targets"), or not to within 0.1 nats of it ("rate").
    """
    if run.initial_loss() > math.log(run.vocab_size) + 0.5:
        return "start"
    if run.evaluate() != run.evaluate():
        return "training mode"
    first, second = run.gradient_norms()
    if first != second:
        return "kept gradients"
    fitted, floor = run.overfit(), run.floor()
    if fitted < floor:
        return "targets"
    return "rate" if fitted > floor + 0.1 else "nothing"


def on_a_run(diagnose: Callable[[Run], str]) -> Callable[[str, int], str]:
    """The diagnosis as a function of the fault and the seed that a run is made from."""

    def diagnosis(fault: str, seed: int) -> str:
        return diagnose(Run(fault, seed))

    return diagnosis


def rate_before_gradients(run):
    if run.initial_loss() > math.log(run.vocab_size) + 0.5:
        return "start"
    if run.evaluate() != run.evaluate():
        return "training mode"
    if run.overfit() > run.floor() + 0.1:
        return "rate"
    return diagnose(run)


def low_losses_welcome(run):
    found = diagnose(run)
    return "nothing" if found == "targets" else found


def evaluated_once(run):
    found = diagnose(run)
    return "nothing" if found == "training mode" else found


def started_in_bits(run):
    found = diagnose(run)
    if found == "start" and run.initial_loss() <= math.log2(run.vocab_size) + 0.5:
        return "nothing"
    return found


def any_excess_is_a_fault(run):
    return "start" if run.initial_loss() > math.log(run.vocab_size) else diagnose(run)


def floor_forgotten(run):
    found = diagnose(run)
    if found in ("targets", "rate", "nothing"):
        return "rate" if run.overfit() > 0.1 else "nothing"
    return found


def floor_must_be_met_exactly(run):
    found = diagnose(run)
    return "rate" if found == "nothing" else found


# 04.4 ---------------------------------------------------------------------------- the schedule


def learning_rate(
    step: int, steps: int, warmup: int, peak: float | int, final: float | int
) -> float:
    """The learning rate of a step: a straight rise over `warmup` steps, then half a cosine.

    Steps count from 0 to steps - 1. Step i of the warm-up has peak · (i + 1) / warmup. The first
    step after it has `peak`, the very last has `final`.

    >>> [round(learning_rate(i, 7, 2, 1.0, 0.2), 3) for i in range(7)]
    [0.5, 1.0, 1.0, 0.883, 0.6, 0.317, 0.2]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / (steps - 1 - warmup)  # from 0 to 1
    return final + (peak - final) * (1 + math.cos(math.pi * done)) / 2


def first_step_at_zero(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return learning_rate(step, steps, warmup, peak, final)


def cosine_from_the_start(step, steps, warmup, peak, final):
    rate = learning_rate(step, steps, warmup, peak, final)
    return rate if step < warmup else learning_rate(step, steps, 0, peak, final)


def falls_to_zero(step, steps, warmup, peak, final):
    return learning_rate(step, steps, warmup, peak, 0.0)


def final_added_on_top(step, steps, warmup, peak, final):
    rate = learning_rate(step, steps, warmup, peak, 0.0)
    return rate if step < warmup else rate + final


def a_whole_cosine(step, steps, warmup, peak, final):
    if step < warmup:
        return learning_rate(step, steps, warmup, peak, final)
    done = (step - warmup) / (steps - 1 - warmup)
    return final + (peak - final) * (1 + math.cos(2 * math.pi * done)) / 2


def never_arrives(step, steps, warmup, peak, final):
    if step < warmup:
        return learning_rate(step, steps, warmup, peak, final)
    return learning_rate(step, steps + 1, warmup, peak, final)


@st.composite
def steps_and_rates(draw):
    warmup, rest = draw(st.integers(0, 4)), draw(st.integers(2, 6))
    step = draw(st.integers(0, warmup + rest - 1))
    final = draw(st.sampled_from([0.0, 0.1, 0.5]))
    return step, warmup + rest, warmup, draw(st.sampled_from([1.0, 2.0, 4.0])), final


# 04.5 ---------------------------------------------------------------------------- early stopping


def early_stopping(losses: list[float], patience: int) -> tuple[int, int]:
    """Which evaluation to keep and after which one to stop, counted from 0.

    Training stops once `patience` evaluations in a row brought no loss lower than the best before;
    otherwise it ends with the last. An equal loss is not lower.

    >>> early_stopping([3.0, 2.0, 2.5, 2.1, 1.0], patience=2)
    (1, 3)
    """
    best = 0
    for i in range(len(losses)):
        if losses[i] < losses[best]:
            best = i
        if i - best == patience:
            return best, i
    return best, len(losses) - 1


def each_rise_counts(losses, patience):
    best, worse = 0, 0
    for i in range(1, len(losses)):
        worse = 0 if losses[i] < losses[i - 1] else worse + 1
        best = i if losses[i] < losses[best] else best
        if worse == patience:
            return best, i
    return best, len(losses) - 1


def last_one_kept(losses, patience):
    stop = early_stopping(losses, patience)[1]
    return stop, stop


def one_too_patient(losses, patience):
    return early_stopping(losses, patience + 1)


def ties_are_progress(losses, patience):
    best = 0
    for i in range(len(losses)):
        best = i if losses[i] <= losses[best] else best
        if i - best == patience:
            return best, i
    return best, len(losses) - 1


def looked_past_the_stop(losses, patience):
    return losses.index(min(losses)), early_stopping(losses, patience)[1]


def patience_never_reset(losses, patience):
    best, worse = 0, 0
    for i in range(1, len(losses)):
        if losses[i] < losses[best]:
            best = i
        else:
            worse += 1
        if worse == patience:
            return best, i
    return best, len(losses) - 1


def losses_and_patience() -> st.SearchStrategy[tuple[list[float], int]]:
    loss = st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0])
    return st.tuples(st.lists(loss, min_size=1, max_size=9), st.integers(1, 3))


# 04.6 -------------------------------------------------------------------- the paired bootstrap


def paired_bootstrap(
    a: Float[np.ndarray, " items"],
    b: Float[np.ndarray, " items"],
    draws: Int[np.ndarray, "resamples items"],
    confidence: float,
) -> tuple[float, float, float]:
    """The mean of a - b, and the two ends of its percentile interval.

    Each row of `draws` names the items of one resample. The interval leaves out the same share of
    the resampled differences at both ends, (1 - confidence) / 2; `np.quantile` finds them.

    >>> draws = np.array([[0, 0], [0, 1], [1, 1]])
    >>> paired_bootstrap(np.array([2.0, 5.0]), np.array([1.0, 3.0]), draws, confidence=0.5)
    (1.5, 1.25, 1.75)
    """
    differences = a - b
    means = [differences[items].mean() for items in draws]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(differences.mean()), float(low), float(high)


def drawn_apart(a, b, draws, confidence):
    means = [a[one].mean() - b[other].mean() for one, other in zip(draws, draws[::-1], strict=True)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float((a - b).mean()), float(low), float(high)


def both_tails_at_one_end(a, b, draws, confidence):
    means = [(a - b)[items].mean() for items in draws]
    low, high = np.quantile(means, [1 - confidence, confidence])
    return float((a - b).mean()), float(low), float(high)


def other_way_round(a, b, draws, confidence):
    return paired_bootstrap(b, a, draws, confidence)


def mean_of_the_resamples(a, b, draws, confidence):
    means = [(a - b)[items].mean() for items in draws]
    return float(np.mean(means)), *paired_bootstrap(a, b, draws, confidence)[1:]


def spread_of_the_items(a, b, draws, confidence):
    tail = (1 - confidence) / 2
    low, high = np.quantile(a - b, [tail, 1 - tail])
    return float((a - b).mean()), float(low), float(high)


def bell_curve_assumed(a, b, draws, confidence):
    means = [(a - b)[items].mean() for items in draws]
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(np.std(means))
    middle = float((a - b).mean())
    return middle, middle - half, middle + half


@st.composite
def scores_and_draws(draw):
    n, resamples = draw(st.integers(2, 5)), draw(st.integers(5, 9))
    a, b = draw(whole_numbers(0, 9, n)), draw(whole_numbers(0, 9, n))
    row = st.lists(st.integers(0, n - 1), min_size=n, max_size=n)
    draws = draw(st.lists(row, min_size=resamples, max_size=resamples))
    return a, b, np.array(draws), draw(st.sampled_from([0.5, 0.8, 0.9, 0.95]))


# 04.7 -------------------------------------------------------------------- how many items


def items_needed(difference: float, spread: float, power: float, alpha: float) -> int:
    """How many paired items it takes to see a difference.

    `spread` is the standard deviation of the items' differences; `power` the probability to find
    the difference where it is there; `alpha` that of finding one, of either sign, where none is.
    n = ((z of 1 - alpha/2, plus z of power) · spread / difference)², rounded up. z of p is
    `NormalDist().inv_cdf(p)`.

    >>> items_needed(difference=0.02, spread=0.1, power=0.8, alpha=0.05)
    197
    """
    z = NormalDist().inv_cdf
    return math.ceil(((z(1 - alpha / 2) + z(power)) * spread / difference) ** 2)


def one_sided(difference, spread, power, alpha):
    return items_needed(difference, spread, power, 2 * alpha)


def power_forgotten(difference, spread, power, alpha):
    return items_needed(difference, spread, 0.5, alpha)


def square_forgotten(difference, spread, power, alpha):
    z = NormalDist().inv_cdf
    return math.ceil((z(1 - alpha / 2) + z(power)) * spread / difference)


def rounded_down(difference, spread, power, alpha):
    return items_needed(difference, spread, power, alpha) - 1


def spread_squared_twice(difference, spread, power, alpha):
    return items_needed(difference, spread**2, power, alpha)


def as_if_unpaired(difference, spread, power, alpha):
    return items_needed(difference, math.sqrt(2) * spread, power, alpha)


def difference_spread_power_alpha() -> st.SearchStrategy[tuple[float, float, float, float]]:
    return st.tuples(
        st.sampled_from([0.01, 0.02, 0.03, 0.05]),
        st.sampled_from([0.1, 0.2, 0.3, 0.4]),
        st.sampled_from([0.7, 0.8, 0.9]),
        st.sampled_from([0.01, 0.05, 0.1]),
    )


# 04.8 ------------------------------------------------------------------------------------ Holm


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Holm's adjusted p-values, in the order of the tests.

    From the smallest of m p-values to the largest: multiply by m, m - 1, …, 1; let none be smaller
    than the one before it, and none larger than 1.

    >>> holm(np.array([0.04, 0.01, 0.03]))
    array([0.06, 0.03, 0.06])
    """
    m = len(p_values)
    adjusted, highest = np.empty(m), 0.0
    for rank, i in enumerate(np.argsort(p_values)):
        highest = max(highest, min(1.0, (m - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def bonferroni(p_values):
    return np.minimum(1, len(p_values) * p_values)


def may_fall_again(p_values):
    m, adjusted = len(p_values), np.empty(len(p_values))
    for rank, i in enumerate(np.argsort(p_values)):
        adjusted[i] = min(1.0, (m - rank) * p_values[i])
    return adjusted


def above_one(p_values):
    m, adjusted, highest = len(p_values), np.empty(len(p_values)), 0.0
    for rank, i in enumerate(np.argsort(p_values)):
        highest = adjusted[i] = max(highest, (m - rank) * p_values[i])
    return adjusted


def left_sorted(p_values):
    return np.sort(holm(p_values))


def one_test_too_few(p_values):
    m, adjusted, highest = len(p_values), np.empty(len(p_values)), 0.0
    for rank, i in enumerate(np.argsort(p_values)):
        highest = adjusted[i] = max(highest, min(1.0, (m - rank - 1) * p_values[i]))
    return adjusted


def false_discovery_rate(p_values):
    m, adjusted, lowest = len(p_values), np.empty(len(p_values)), 1.0
    for rank, i in reversed(list(enumerate(np.argsort(p_values), start=1))):
        lowest = adjusted[i] = min(lowest, m * p_values[i] / rank)
    return adjusted


def p_values_drawn() -> st.SearchStrategy[tuple[np.ndarray]]:
    p = st.integers(1, 70).map(lambda hundredths: hundredths / 100)
    return st.lists(p, min_size=1, max_size=6, unique=True).map(lambda ps: (np.array(ps),))


# 04.9 --------------------------------------------------------------------------------- leakage


def leaked(train: list[str], test: list[str]) -> list[int]:
    """Which sentences of `test` (their places, from 0) stand in `train` too.

    Sentences are the same if they have the same words, that is runs of letters a-z and digits, in
    the same order; case, spaces and all other signs don't count. No words: never the same.

    >>> leaked(["Thank you!", "No."], ["thank  YOU", "Thank", "No, no."])
    [0]
    """

    def words(sentence: str) -> str:
        return " ".join(re.findall("[a-z0-9]+", sentence.lower()))

    known = {words(sentence) for sentence in train} - {""}
    return [i for i in range(len(test)) if words(test[i]) in known]


def letter_for_letter(train, test):
    return [i for i, sentence in enumerate(test) if sentence in train and leaked(train, [sentence])]


def only_case_ignored(train, test):
    known = {sentence.lower() for sentence in train if leaked([sentence], [sentence])}
    return [i for i, sentence in enumerate(test) if sentence.lower() in known]


def parts_of_sentences(train, test):
    plain = [" ".join(re.findall("[a-z0-9]+", sentence.lower())) for sentence in train]
    return [
        i
        for i, sentence in enumerate(test)
        if (found := " ".join(re.findall("[a-z0-9]+", sentence.lower())))
        and any(found in known for known in plain)
    ]


def order_ignored(train, test):
    known = [sorted(re.findall("[a-z0-9]+", sentence.lower())) for sentence in train]
    words = [sorted(re.findall("[a-z0-9]+", sentence.lower())) for sentence in test]
    return [i for i, sentence in enumerate(words) if sentence and sentence in known]


def words_run_together(train, test):
    known = {"".join(re.findall("[a-z0-9]+", sentence.lower())) for sentence in train} - {""}
    words = ["".join(re.findall("[a-z0-9]+", sentence.lower())) for sentence in test]
    return [i for i, sentence in enumerate(words) if sentence in known]


def places_in_train(train, test):
    return leaked(test, train)


def repeats_within_test(train, test):
    return [i for i in range(len(test)) if leaked(train + test[:i], [test[i]])]


def nothing_equals_nothing(train, test):
    return leaked(["x " + s for s in train], ["x " + s for s in test])


@st.composite
def two_sets_of_sentences(draw):
    word = st.sampled_from(["no", "one", "No", "2", "noone"])
    sign = st.sampled_from(["", ".", " ", "!"])

    def sentence():
        return draw(sign) + " ".join(draw(st.lists(word, max_size=2))) + draw(sign)

    train = [sentence() for _ in range(draw(st.integers(0, 4)))]
    vary = st.sampled_from([str, str.upper, str.lower, "{}.".format, " {}".format])
    test = [
        draw(vary)(draw(st.sampled_from(train))) if train and draw(st.booleans()) else sentence()
        for _ in range(draw(st.integers(0, 4)))
    ]
    return train, test


# 04.10 ---------------------------------------------------------------------- the winner's curse


def expected_best(losses: list[float], k: int) -> float:
    """The mean, over all ways to draw k runs with replacement, of the lowest loss among them.

    Of n runs ordered from the worst to the best, the best of k draws is run i (from 0) with
    probability ((i + 1) / n)^k - (i / n)^k. Dodge et al. (2019), "Show Your Work".

    >>> expected_best([1.0, 2.0], k=1), expected_best([1.0, 2.0], k=2)
    (1.5, 1.25)
    """
    n, mean = len(losses), 0.0
    for i, loss in enumerate(sorted(losses, reverse=True)):
        mean += loss * (((i + 1) / n) ** k - (i / n) ** k)
    return mean


def the_best_of_all(losses, k):
    return float(min(losses))


def the_mean_of_all(losses, k):
    return sum(losses) / len(losses)


def the_worst_of_k(losses, k):
    return -expected_best([-loss for loss in losses], k)


def mean_of_the_k_best(losses, k):
    best = sorted(losses)[:k]
    return sum(best) / len(best)


def best_of_the_first_k(losses, k):
    return float(min(losses[:k]))


def not_subtracted(losses, k):
    n = len(losses)
    return sum(loss * ((i + 1) / n) ** k for i, loss in enumerate(sorted(losses, reverse=True)))


def losses_and_k() -> st.SearchStrategy[tuple[list[float], int]]:
    loss = st.integers(1, 40).map(lambda tenths: tenths / 10)
    return st.tuples(st.lists(loss, min_size=1, max_size=5), st.integers(1, 4))


# -------------------------------------------------------------------------------------- the list

EXERCISES = [
    Exercise(
        id="04.1",
        title="The initial loss",
        objective="You can tell a bad start from the loss before the first step.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=initial_loss,
        inputs=logits_and_targets(),
        without=(*LIBRARY, "torch", "scipy"),
        mistakes={
            exponentials_overflow: "The exponential of a large logit is infinite: subtract each "
            "row's largest logit first.",
            log_of_the_tokens: "V is the number of symbols, the width of a row, not the number of "
            "tokens.",
            excess_in_bits: "The loss is in nats, so compare it with the natural logarithm of V.",
            losses_added_up: "You add the tokens' losses up: take their mean.",
            softmax_before_softmax: "You take the softmax twice: the loss is computed from the "
            "logits themselves.",
        },
        hints=(
            "The loss of a token is -ln of its softmax probability, ln Σ exp(z_j) - z_target.",
            "Subtracting the same number from all logits of a row changes nothing: subtract the "
            "largest.",
            "For row i: z = logits[i] - logits[i].max(), then log(exp(z).sum()) - z[target].",
        ),
    ),
    Exercise(
        id="04.2",
        title="Clip the gradient",
        objective="You can keep one bad batch from throwing a network off.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=clip_gradients,
        inputs=gradients_and_norm(),
        without=(*LIBRARY, "torch"),
        mistakes={
            each_on_its_own: "You clip each array on its own, which turns the direction of the "
            "step: use one norm, of all arrays together.",
            every_number_clipped: "You clip every number; shorten the whole gradient instead, so "
            "that its direction stays.",
            short_ones_stretched: "A gradient that is short enough stays as it is; you stretch it "
            "to the limit.",
            norms_added_up: "Norms don't add up: add the squares of all numbers and take one root.",
            root_forgotten: "The norm is the square root of the sum of squares.",
            norm_after_clipping: "Return the norm as it was before clipping: that is the number "
            "to watch.",
        },
        hints=(
            "The norm of all arrays together is the root of the sum of all squares.",
            "Multiply every array by the same number, max_norm / norm, but only where the norm is "
            "larger than max_norm.",
            "scale = max_norm / max(norm, max_norm) is never above 1, and divides by no zero.",
        ),
    ),
    Exercise(
        id="04.3",
        title="Find the fault",
        objective="You can take a broken run from its symptoms to the cause.",
        points=5,
        minutes=30,
        difficulty=2,
        reference=diagnose,
        adapter=on_a_run,
        inputs=st.tuples(st.sampled_from(["nothing", *FAULTS]), st.integers(0, 999)),
        without=LIBRARY,
        n_inputs=100,
        mistakes={
            rate_before_gradients: "A run that keeps its gradients does not fit its batch either: "
            "look at the gradients before you blame the learning rate.",
            low_losses_welcome: "No model of bigrams can be below the floor of its batch: a loss "
            "that is too good means that the targets are wrong.",
            evaluated_once: "One evaluation cannot show that dropout is on: evaluate the same "
            "weights twice.",
            started_in_bits: "The losses are in nats: compare the first one with the natural "
            "logarithm of V.",
            any_excess_is_a_fault: "A healthy start is not exactly ln V: allow half a nat.",
            floor_forgotten: "A batch is fitted when its loss is near the floor, not near zero: "
            "the same history is followed by different tokens.",
            floor_must_be_met_exactly: "Training comes near the floor and never quite there: allow "
            "0.1 nats, and let a healthy run be healthy.",
        },
        hints=(
            "Write one if for each check, in the order of the procedure, each with its return.",
            "Call run.evaluate() twice; take the two numbers of run.gradient_norms() apart.",
            "Last: fitted, floor = run.overfit(), run.floor(). Below the floor: targets. More "
            "than 0.1 above: rate. Else nothing.",
        ),
    ),
    Exercise(
        id="04.4",
        title="Warm-up and cosine",
        objective="You can write the schedule that most language models are trained with.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=learning_rate,
        inputs=steps_and_rates(),
        without=(*LIBRARY, "torch"),
        mistakes={
            first_step_at_zero: "At step 0 the rate is zero, so the first step does nothing: the "
            "warm-up begins with peak / warmup.",
            cosine_from_the_start: "The cosine begins where the warm-up ends: count its steps "
            "from there.",
            falls_to_zero: "The cosine falls to `final`, not to zero.",
            final_added_on_top: "You add `final` on top of a cosine of full height: the cosine "
            "spans peak - final.",
            a_whole_cosine: "A whole cosine comes back up: half of one, from 0 to π, goes down.",
            never_arrives: "The last step, steps - 1, must have the rate `final`: divide by the "
            "steps after the first one.",
        },
        hints=(
            "Two cases: step < warmup, and the rest.",
            "In the rest, let `done` go from 0 at step warmup to 1 at step steps - 1.",
            "final + (peak - final) * (1 + cos(π · done)) / 2.",
        ),
    ),
    Exercise(
        id="04.5",
        title="Early stopping",
        objective="You can stop a run in time and keep its best weights.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=early_stopping,
        inputs=losses_and_patience(),
        without=LIBRARY,
        mistakes={
            each_rise_counts: "Compare with the best loss so far, not with the one before: a slow "
            "recovery is no progress.",
            last_one_kept: "Keep the best evaluation; the last one is worse, or training would "
            "not have stopped.",
            one_too_patient: "You wait one evaluation too long: stop when `patience` of them in a "
            "row were no better.",
            ties_are_progress: "An equal loss is not a lower one: it does not start the count "
            "again.",
            looked_past_the_stop: "You look at losses after the stop, which such a run never sees.",
            patience_never_reset: "After a new best the count starts again from zero.",
        },
        hints=(
            "Go through the losses once and remember the place of the lowest so far.",
            "At place i, i - best evaluations in a row have brought nothing better.",
            "Return (best, i) as soon as that number is `patience`; after the loop, the end.",
        ),
    ),
    Exercise(
        id="04.6",
        title="A paired bootstrap interval",
        objective="You can say how sure a difference between two models is.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=paired_bootstrap,
        inputs=scores_and_draws(),
        without=(*LIBRARY, "scipy"),
        mistakes={
            drawn_apart: "You draw other items for b than for a: the pairing is lost, and with it "
            "the narrow interval.",
            both_tails_at_one_end: "The interval leaves out (1 - confidence) / 2 at each end, not "
            "all of it at both.",
            other_way_round: "The difference is a - b.",
            mean_of_the_resamples: "The difference itself comes from the items as they are; the "
            "resamples only give the interval.",
            spread_of_the_items: "You take quantiles of the single items: take them of the "
            "resampled means.",
            bell_curve_assumed: "Use the quantiles of the resampled means; no bell curve is "
            "assumed.",
        },
        hints=(
            "First one difference an item: a - b.",
            "For each row of draws, the mean of the differences that it names.",
            "np.quantile(means, [tail, 1 - tail]) with tail = (1 - confidence) / 2.",
        ),
    ),
    Exercise(
        id="04.7",
        title="How many items?",
        objective="You can plan a comparison before you run it.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=items_needed,
        inputs=difference_spread_power_alpha(),
        without=(*LIBRARY, "scipy"),
        mistakes={
            one_sided: "Either model may be the better one: alpha is shared by two tails, so use "
            "1 - alpha / 2.",
            power_forgotten: "Without the z of the power you would find the difference half of "
            "the time only.",
            square_forgotten: "The error shrinks with the root of n, so n needs the square.",
            rounded_down: "Round up: fewer items have less than the power asked for.",
            spread_squared_twice: "`spread` is a standard deviation already, not a variance to be "
            "squared once more.",
            as_if_unpaired: "No factor 2: `spread` is that of the paired differences.",
        },
        hints=(
            "z is NormalDist().inv_cdf: z(0.975) is 1.96, z(0.8) is 0.84.",
            "Add z(1 - alpha / 2) and z(power); multiply by spread / difference.",
            "Square it, then math.ceil.",
        ),
    ),
    Exercise(
        id="04.8",
        title="Holm's correction",
        objective="You can test many ideas without being fooled by the luckiest.",
        points=2,
        minutes=15,
        difficulty=2,
        elective=True,
        reference=holm,
        inputs=p_values_drawn(),
        without=(*LIBRARY, "scipy", "statsmodels"),
        mistakes={
            bonferroni: "This is Bonferroni's: Holm's factor falls from m for the smallest to 1 "
            "for the largest.",
            may_fall_again: "An adjusted value may not be smaller than that of a smaller p-value: "
            "keep the highest so far.",
            above_one: "No probability is above 1.",
            left_sorted: "Return the values in the order in which the tests came, not sorted.",
            one_test_too_few: "The smallest of m p-values is multiplied by m, not by m - 1.",
            false_discovery_rate: "This is Benjamini and Hochberg's, which controls the share of "
            "false findings, not the chance of any.",
        },
        hints=(
            "np.argsort gives the places of the p-values from the smallest to the largest.",
            "At rank 0, 1, …, multiply by m - rank; keep the highest product so far, at most 1.",
            "Write it to adjusted[i], where i is the place that argsort names.",
        ),
    ),
    Exercise(
        id="04.9",
        title="Find the leak",
        objective="You can find test sentences that a model may have read in training.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=leaked,
        inputs=two_sets_of_sentences(),
        without=LIBRARY,
        mistakes={
            letter_for_letter: "The same words in capitals or with another full stop are the same "
            "sentence: compare words.",
            only_case_ignored: "Punctuation and spaces don't count either: compare words.",
            parts_of_sentences: "Part of a longer sentence is not that sentence: compare whole "
            "sentences.",
            order_ignored: "The order of the words counts.",
            words_run_together: "Keep the words apart: `no one` is not `noone`.",
            places_in_train: "Return the places in test, not those in train.",
            repeats_within_test: "A repetition inside test is no leak from train.",
            nothing_equals_nothing: "A sentence without words equals no other.",
        },
        hints=(
            "Turn a sentence into its words: re.findall on the lower-case text.",
            "Put the sentences of train, as words, into a set.",
            "Join the words with a space, and leave the empty string out of the set.",
        ),
    ),
    Exercise(
        id="04.10",
        title="The best of k",
        objective="You can say how much of a best result the number of tries explains.",
        points=3,
        minutes=20,
        difficulty=3,
        elective=True,
        reference=expected_best,
        inputs=losses_and_k(),
        without=LIBRARY,
        mistakes={
            the_best_of_all: "That is the best of all runs; of k draws it is the best only "
            "sometimes.",
            the_mean_of_all: "That is the mean, which k draws give for k = 1 only.",
            the_worst_of_k: "Low losses are good: the best of k is the lowest of them.",
            mean_of_the_k_best: "The k best are not k that were drawn: weigh every run by its "
            "chance to be the best of k.",
            best_of_the_first_k: "The order in which the runs are listed says nothing: average "
            "over all ways to draw k.",
            not_subtracted: "(i + 1) / n to the power k is the chance that the best is run i *or "
            "worse*: subtract that of run i - 1.",
        },
        hints=(
            "Sort the losses from the worst to the best.",
            "All k draws are among the i + 1 worst with probability ((i + 1) / n) ** k.",
            "So the best of them is exactly run i with ((i + 1) / n) ** k - (i / n) ** k.",
        ),
    ),
]
