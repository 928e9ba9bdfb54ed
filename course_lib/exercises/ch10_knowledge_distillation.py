"""The exercises of chapter 10, knowledge distillation: references and known mistakes.

Letters as in the chapter: z are logits, a row an example and a column a class; p is the teacher's
distribution, q the student's; T is the temperature, alpha the share of the soft term.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float, Int

from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch", "sklearn", "scipy")  # an answer is written by hand
IGNORE = -100


def logits(rows: int, classes: int) -> st.SearchStrategy[np.ndarray]:
    """Logits of small size, seldom equal in a row."""
    number = st.sampled_from([0.0, 1.0, -1.0, 2.0, -0.5, 3.0, 0.25, -2.0])
    row = st.lists(number, min_size=classes, max_size=classes)
    return st.lists(row, min_size=rows, max_size=rows).map(
        lambda m: np.array(m).reshape(rows, classes)
    )


temperatures = st.sampled_from([2.0, 1.0, 4.0, 0.5, 3.0])


# 10.1 -------------------------------------------------------------------------- soft targets


def soft_targets(
    z: Float[np.ndarray, "rows classes"], T: float
) -> Float[np.ndarray, "rows classes"]:
    """softmax(z / T), each row a distribution over the classes, for logits of any size.

    >>> soft_targets(np.array([[0.0, np.log(9.0)]]), 1.0)
    array([[0.1, 0.9]])
    >>> soft_targets(np.array([[0.0, np.log(9.0)]]), 2.0)
    array([[0.25, 0.75]])
    """
    e = np.exp((z - z.max(1, keepdims=True)) / T)
    return e / e.sum(1, keepdims=True)


def times_the_temperature(z, T):
    return soft_targets(z * T, 1.0)


def probabilities_divided(z, T):
    return soft_targets(z, 1.0) / T


def over_the_rows(z, T):
    return soft_targets(z.T, T).T


def overflowing(z, T):
    with np.errstate(all="ignore"):
        e = np.exp(z / T)
        return e / e.sum(1, keepdims=True)


def temperature_forgotten(z, T):
    return soft_targets(z, 1.0)


@st.composite
def large_and_small_logits(draw):
    z = draw(logits(draw(st.integers(1, 3)), draw(st.integers(2, 4))))
    return z + draw(st.sampled_from([0.0, 5000.0])), draw(temperatures)


# 10.2 ----------------------------------------------------------------------- KL divergence


def kl_divergence(
    teacher: Float[np.ndarray, "rows classes"], student: Float[np.ndarray, "rows classes"]
) -> Float[np.ndarray, " rows"]:
    """KL(teacher ‖ student) = Σ p log(p / q) of each row, in nats; p and q are probabilities.

    A class that the teacher gives no probability adds nothing; the student's are all above 0.

    >>> kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).round(3)
    array([0.693])
    """
    nats = []
    for row in range(len(teacher)):
        p, q = teacher[row], student[row]
        said = p > 0
        nats.append((p[said] * np.log(p[said] / q[said])).sum())
    return np.array(nats)


def the_other_direction(teacher, student):
    safe = np.where(teacher > 0, teacher, 1e-12)
    return (student * (np.log(student) - np.log(safe))).sum(1)


def class_sum_missing(teacher, student):
    likeliest = teacher.argmax(1)
    rows = np.arange(len(teacher))
    p, q = teacher[rows, likeliest], student[rows, likeliest]
    return p * (np.log(p) - np.log(q))


def mean_over_the_classes(teacher, student):
    return kl_divergence(teacher, student) / teacher.shape[1]


def cross_entropy_instead(teacher, student):
    return -(teacher * np.log(student)).sum(1)


def nan_where_the_teacher_is_zero(teacher, student):
    with np.errstate(all="ignore"):
        return (teacher * np.log(teacher / student)).sum(1)


def in_bits(teacher, student):
    return kl_divergence(teacher, student) / np.log(2)


@st.composite
def two_distributions(draw):
    rows, classes = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    weight = st.sampled_from([1, 0, 2, 3, 5, 10])
    p = draw(st.lists(weight, min_size=rows * classes, max_size=rows * classes))
    p = np.array(p, float).reshape(rows, classes)
    p[:, 0] += p.sum(1) == 0
    return p / p.sum(1, keepdims=True), soft_targets(draw(logits(rows, classes)), 1.0)


# 10.3 ---------------------------------------------------------------------- the soft loss


def soft_loss(
    student: Float[np.ndarray, "rows classes"], teacher: Float[np.ndarray, "rows classes"], T: float
) -> float:
    """T² · KL(teacher at T ‖ student at T), the mean over rows; both arguments are logits.

    >>> round(soft_loss(np.array([[0.0, 0.0]]), np.array([[0.0, 2 * np.log(3.0)]]), 2.0), 4)
    0.5232
    """

    def log_softmax(z):
        z = z / T
        z = z - z.max(1, keepdims=True)
        return z - np.log(np.exp(z).sum(1, keepdims=True))

    log_p, log_q = log_softmax(teacher), log_softmax(student)
    return float(T**2 * (np.exp(log_p) * (log_p - log_q)).sum(1).mean())


def t_squared_forgotten(student, teacher, T):
    return soft_loss(student, teacher, T) / T**2


def t_once(student, teacher, T):
    return soft_loss(student, teacher, T) / T


def student_and_teacher_swapped(student, teacher, T):
    return soft_loss(teacher, student, T)


def student_left_at_one(student, teacher, T):
    return T**2 * soft_loss(student, teacher / T, 1.0)


def teacher_left_at_one(student, teacher, T):
    return T**2 * soft_loss(student / T, teacher, 1.0)


def mean_over_everything(student, teacher, T):
    return soft_loss(student, teacher, T) / student.shape[1]


def sum_over_the_rows(student, teacher, T):
    return soft_loss(student, teacher, T) * len(student)


def without_the_teachers_entropy(student, teacher, T):
    p, q = soft_targets(teacher, T), soft_targets(student, T)
    return float(-(T**2) * (p * np.log(q)).sum(1).mean())


@st.composite
def two_logits_and_T(draw):
    rows, classes = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    shift = draw(st.sampled_from([0.0, 5000.0]))  # exp of it is infinite
    student, teacher = draw(logits(rows, classes)), draw(logits(rows, classes))
    return student + shift, teacher + shift, draw(temperatures)


# 10.4 -------------------------------------------------------------- the gradient, by hand


def soft_gradient(
    student: Float[np.ndarray, "rows classes"], teacher: Float[np.ndarray, "rows classes"], T: float
) -> Float[np.ndarray, "rows classes"]:
    """The gradient of T² · KL(teacher at T ‖ student at T), a mean over rows, by the student's z.

    >>> soft_gradient(np.array([[0.0, 0.0]]), np.array([[0.0, 2 * np.log(3.0)]]), 2.0)
    array([[ 0.5, -0.5]])
    """
    q, p = soft_targets(student, T), soft_targets(teacher, T)
    return T * (q - p) / len(student)


def no_factor(student, teacher, T):
    return soft_gradient(student, teacher, T) / T


def one_over_T(student, teacher, T):
    return soft_gradient(student, teacher, T) / T**2


def T_twice(student, teacher, T):
    return soft_gradient(student, teacher, T) * T


def uphill(student, teacher, T):
    return -soft_gradient(student, teacher, T)


def of_a_sum_over_rows(student, teacher, T):
    return soft_gradient(student, teacher, T) * len(student)


def at_temperature_one(student, teacher, T):
    return soft_gradient(student, teacher, 1.0)


# 10.5 ------------------------------------------------------------ the high-temperature limit


def matching_logits(
    student: Float[np.ndarray, "rows classes"], teacher: Float[np.ndarray, "rows classes"]
) -> float:
    """What the soft loss tends to as T grows: half the mean squared gap of the centred logits.

    The mean is over rows and classes; a row is centred by taking its own mean away.

    >>> matching_logits(np.array([[1.0, 3.0]]), np.array([[10.0, 10.0]]))
    0.5
    """
    centred_student = student - student.mean(1, keepdims=True)
    centred_teacher = teacher - teacher.mean(1, keepdims=True)
    return float(0.5 * ((centred_student - centred_teacher) ** 2).mean())


def not_centred(student, teacher):
    return float(0.5 * ((student - teacher) ** 2).mean())


def half_forgotten(student, teacher):
    return 2 * matching_logits(student, teacher)


def summed_over_the_classes(student, teacher):
    return matching_logits(student, teacher) * student.shape[1]


def centred_over_all_rows(student, teacher):
    gap = (student - student.mean()) - (teacher - teacher.mean())
    return float(0.5 * (gap**2).mean())


def scaled_to_one_spread(student, teacher):
    def standard(z):
        spread = z.std(1, keepdims=True)
        return (z - z.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1.0)

    return float(0.5 * ((standard(student) - standard(teacher)) ** 2).mean())


@st.composite
def two_logits(draw):
    rows, classes = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    return draw(logits(rows, classes)), draw(logits(rows, classes))


# 10.6 ----------------------------------------------------------------------- the whole loss


def distillation_loss(
    student: Float[np.ndarray, "rows classes"],
    teacher: Float[np.ndarray, "rows classes"],
    labels: Int[np.ndarray, " rows"],
    alpha: float,
    T: float,
) -> float:
    """alpha · (soft loss at T, with T²) + (1 − alpha) · (cross-entropy with the labels at T = 1).

    >>> z = np.array([[0.0, 0.0]])
    >>> round(distillation_loss(z, np.array([[0.0, 2 * np.log(3.0)]]), np.array([0]), 0.5, 2.0), 4)
    0.6082
    """
    q = soft_targets(student, 1.0)
    hard = -np.log(q[np.arange(len(labels)), labels]).mean()
    return float(alpha * soft_loss(student, teacher, T) + (1 - alpha) * hard)


def alpha_on_the_hard_term(student, teacher, labels, alpha, T):
    return distillation_loss(student, teacher, labels, 1 - alpha, T)


def hard_against_the_teacher(student, teacher, labels, alpha, T):
    return distillation_loss(student, teacher, teacher.argmax(1), alpha, T)


def hard_at_T(student, teacher, labels, alpha, T):
    soft = alpha * soft_loss(student, teacher, T)
    return soft + distillation_loss(student / T, teacher, labels, 0.0, 1.0) * (1 - alpha)


def weights_of_T_squared_on_both(student, teacher, labels, alpha, T):
    soft = alpha * soft_loss(student, teacher, T)
    return soft + T**2 * (1 - alpha) * distillation_loss(student, teacher, labels, 0.0, T)


def mixture_without_T_squared(student, teacher, labels, alpha, T):
    hard = (1 - alpha) * distillation_loss(student, teacher, labels, 0.0, T)
    return hard + alpha * soft_loss(student, teacher, T) / T**2


def hard_term_at_full_weight(student, teacher, labels, alpha, T):
    hard = distillation_loss(student, teacher, labels, 0.0, T)
    return hard + alpha * soft_loss(student, teacher, T)


def teacher_scored_by_the_labels(student, teacher, labels, alpha, T):
    soft = alpha * soft_loss(student, teacher, T)
    return soft + (1 - alpha) * distillation_loss(teacher, teacher, labels, 0.0, T)


@st.composite
def examples_to_distil(draw):
    student, teacher, T = draw(two_logits_and_T())
    rows, classes = student.shape
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    alpha = draw(st.sampled_from([0.25, 0.9, 0.5, 0.0, 1.0]))
    return student, teacher, np.array(labels), alpha, T


# 10.7 ----------------------------------------------------------------- a soft loss of tokens


def soft_loss_of_tokens(
    student: Float[np.ndarray, "texts tokens vocab"],
    teacher: Float[np.ndarray, "texts tokens vocab"],
    labels: Int[np.ndarray, "texts tokens"],
    T: float,
) -> float:
    """The soft loss, a mean over all tokens of the batch whose label is not −100; 0.0 if none is.

    >>> student, teacher = np.zeros((1, 2, 2)), np.array([[[0.0, 2 * np.log(3.0)], [9.0, 0.0]]])
    >>> round(soft_loss_of_tokens(student, teacher, np.array([[1, -100]]), 2.0), 4)
    0.5232
    """
    scored = labels != IGNORE
    if not scored.any():
        return 0.0
    return soft_loss(student[scored], teacher[scored], T)


def padding_scored(student, teacher, labels, T):
    vocab = student.shape[-1]
    return soft_loss(student.reshape(-1, vocab), teacher.reshape(-1, vocab), T)


def divided_by_all_tokens(student, teacher, labels, T):
    return soft_loss_of_tokens(student, teacher, labels, T) * float((labels != IGNORE).mean())


def mean_of_the_texts_means(student, teacher, labels, T):
    means = [
        soft_loss(s[row != IGNORE], t[row != IGNORE], T)
        for s, t, row in zip(student, teacher, labels, strict=True)
        if (row != IGNORE).any()
    ]
    return float(np.mean(means)) if means else 0.0


def nothing_scored_is_nan(student, teacher, labels, T):
    if not (labels != IGNORE).any():
        return float("nan")
    return soft_loss_of_tokens(student, teacher, labels, T)


def labels_of_zero_left_out(student, teacher, labels, T):
    return soft_loss_of_tokens(student, teacher, np.where(labels == 0, IGNORE, labels), T)


@st.composite
def texts_to_distil(draw):
    texts, tokens, vocab = draw(st.integers(1, 2)), draw(st.integers(1, 3)), 3
    shape = (texts, tokens, vocab)
    student = draw(logits(texts * tokens, vocab)).reshape(shape)
    teacher = draw(logits(texts * tokens, vocab)).reshape(shape)
    label = st.sampled_from([1, IGNORE, 0, IGNORE, 2])
    labels = draw(st.lists(label, min_size=texts * tokens, max_size=texts * tokens))
    return student, teacher, np.array(labels).reshape(texts, tokens), draw(temperatures)


# 10.8 ------------------------------------------------------------- which way of being wrong


def best_by_both(
    teacher: Float[np.ndarray, " outcomes"], students: Float[np.ndarray, "students outcomes"]
) -> tuple[int, float, int, float]:
    """Who has the smallest KL(teacher ‖ student), and that; the same for KL(student ‖ teacher).

    Students are named by their row. All probabilities are above 0. Of equals the first.

    >>> two_modes = np.array([0.495, 0.01, 0.495])
    >>> best = best_by_both(two_modes, np.array([[0.98, 0.01, 0.01], [0.33, 0.34, 0.33]]))
    >>> [round(value, 3) for value in best]
    [1, 0.366, 0, 0.63]
    """
    log_p, log_q = np.log(teacher), np.log(students)
    forward = (teacher * (log_p - log_q)).sum(1)
    reverse = (students * (log_q - log_p)).sum(1)
    covers, seeks = int(forward.argmin()), int(reverse.argmin())
    return covers, float(forward[covers]), seeks, float(reverse[seeks])


def directions_swapped(teacher, students):
    covers, forward, seeks, reverse = best_by_both(teacher, students)
    return seeks, reverse, covers, forward


def forward_twice(teacher, students):
    covers, forward, _, _ = best_by_both(teacher, students)
    return covers, forward, covers, forward


def reverse_twice(teacher, students):
    _, _, seeks, reverse = best_by_both(teacher, students)
    return seeks, reverse, seeks, reverse


def by_the_squared_gap(teacher, students):
    best = int(((students - teacher) ** 2).sum(1).argmin())
    log_p, log_q = np.log(teacher), np.log(students[best])
    forward, reverse = teacher @ (log_p - log_q), students[best] @ (log_q - log_p)
    return best, float(forward), best, float(reverse)


def the_worst(teacher, students):
    log_p, log_q = np.log(teacher), np.log(students)
    forward = (teacher * (log_p - log_q)).sum(1)
    reverse = (students * (log_q - log_p)).sum(1)
    return int(forward.argmax()), float(forward.max()), int(reverse.argmax()), float(reverse.max())


def entropy_of_the_student_forgotten(teacher, students):
    covers, forward, _, _ = best_by_both(teacher, students)
    cross = (-students * np.log(teacher)).sum(1)
    return covers, forward, int(cross.argmin()), float(cross.min())


@st.composite
def a_teacher_and_students(draw):
    outcomes, n = draw(st.integers(3, 4)), draw(st.integers(2, 4))
    weight = st.sampled_from([1, 40, 10, 100, 3, 70])
    rows = st.lists(weight, min_size=outcomes, max_size=outcomes)
    weights = np.array(draw(st.lists(rows, min_size=n + 1, max_size=n + 1)), float)
    distributions = weights / weights.sum(1, keepdims=True)
    return distributions[0], distributions[1:]


# 10.9 -------------------------------------------------- a step of distillation, and of no such


def distil_step(
    student: Float[np.ndarray, "features classes"],
    teacher: Float[np.ndarray, "features classes"],
    x: Float[np.ndarray, "rows features"],
    T: float,
    lr: float,
) -> tuple[Float[np.ndarray, "features classes"], Float[np.ndarray, "features classes"]]:
    """The weights of student and teacher after one step of gradient descent on the soft loss.

    Both are linear: the logits are x @ W. The step needs no labels, and the teacher is frozen.

    >>> x, start = np.array([[1.0]]), np.zeros((1, 2))
    >>> distil_step(start, np.array([[0.0, 2 * np.log(3.0)]]), x, 2.0, 0.1)[0]
    array([[-0.05,  0.05]])
    """
    by_logits = soft_gradient(x @ student, x @ teacher, T)
    return student - lr * x.T @ by_logits, teacher.copy()


def teacher_learns_too(student, teacher, x, T, lr):
    moved, _ = distil_step(student, teacher, x, T, lr)
    step = lr * x.T @ soft_gradient(x @ student, x @ teacher, T)
    return moved, teacher + step


def teacher_moved_in_place_of_the_student(student, teacher, x, T, lr):
    moved, _ = distil_step(teacher, student, x, T, lr)
    return student.copy(), moved


def fine_tuning_on_what_the_teacher_would_say(student, teacher, x, T, lr):
    hard = np.eye(student.shape[1])[(x @ teacher).argmax(1)]
    gradient = (soft_targets(x @ student, 1.0) - hard) / len(x)
    return student - lr * x.T @ gradient, teacher.copy()


def fine_tuning_of_the_teacher(student, teacher, x, T, lr):
    return distil_step(teacher, teacher, x, T, lr)


def uphill_step(student, teacher, x, T, lr):
    return distil_step(student, teacher, x, T, -lr)


def step_at_one(student, teacher, x, T, lr):
    return distil_step(student, teacher, x, 1.0, lr)


@st.composite
def linear_networks(draw):
    features, classes = draw(st.integers(1, 2)), draw(st.integers(2, 3))
    x = draw(logits(draw(st.integers(1, 3)), features))
    student, teacher = draw(logits(features, classes)), draw(logits(features, classes))
    return student, teacher, x, draw(st.sampled_from([2.0, 4.0, 1.0])), 0.5


# 10.10 ------------------------------------------------------ the noise of a one-hot label


def label_noise(p: Float[np.ndarray, "rows classes"]) -> Float[np.ndarray, " rows"]:
    """E |e_y − p|², where the label y is drawn from p and e_y is its one-hot vector.

    That is how far, squared, the gradient with a drawn label lies from the gradient with p itself.

    >>> label_noise(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([0.5, 0. ])
    """
    return 1 - (p**2).sum(1)


def entropy_instead(p):
    safe = np.where(p > 0, p, 1.0)
    return -(p * np.log(safe)).sum(1)


def chance_of_agreement(p):
    return (p**2).sum(1)


def of_the_likeliest_label(p):
    return ((np.eye(p.shape[1])[p.argmax(1)] - p) ** 2).sum(1)


def labels_all_equally_likely(p):
    one_hot = np.eye(p.shape[1])
    return ((one_hot[None] - p[:, None]) ** 2).sum(2).mean(1)


def chance_of_an_error(p):
    return 1 - p.max(1)


@st.composite
def label_distributions(draw):
    p, _ = draw(two_distributions())
    return (p,)


# 10.11 ------------------------------------------------------------------- the gap recovered


def gap_recovered(
    student: Float[np.ndarray, " examples"],
    alone: Float[np.ndarray, " examples"],
    teacher: Float[np.ndarray, " examples"],
) -> float:
    """How much of what the teacher is better by the distilled student got; nan if it is not.

    Each array has 1 for an example that was right and 0 for one that was not: of the distilled
    student, of the same student trained without a teacher, and of the teacher.

    >>> gap_recovered(np.array([1, 1, 0, 0.0]), np.array([1, 0, 0, 0.0]), np.array([1, 1, 1, 0.0]))
    0.5
    """
    gap = teacher.mean() - alone.mean()
    if gap <= 0:
        return float("nan")
    return float((student.mean() - alone.mean()) / gap)


def share_of_the_teachers_accuracy(student, alone, teacher):
    with np.errstate(all="ignore"):
        share = np.float64(student.mean()) / teacher.mean()
    return float(share) if teacher.mean() > alone.mean() else float("nan")


def gap_that_is_left(student, alone, teacher):
    return 1 - gap_recovered(student, alone, teacher)


def never_below_zero(student, alone, teacher):
    recovered = gap_recovered(student, alone, teacher)
    return recovered if np.isnan(recovered) else float(np.clip(recovered, 0.0, 1.0))


def a_teacher_that_is_worse(student, alone, teacher):
    with np.errstate(all="ignore"):
        gap = np.float64(teacher.mean() - alone.mean())
        return float((student.mean() - alone.mean()) / gap)


def only_where_the_teacher_is_right(student, alone, teacher):
    right = teacher == 1
    if teacher.mean() <= alone.mean():
        return float("nan")
    return float(student[right].mean())


@st.composite
def right_and_wrong(draw):
    n = draw(st.integers(2, 6))
    answers = st.lists(st.sampled_from([1.0, 0.0]), min_size=n, max_size=n)
    return tuple(np.array(draw(answers)) for _ in range(3))


# 10.12 --------------------------------------------------------- a teacher that knows nothing


def smoothed(
    labels: Int[np.ndarray, " rows"], classes: int, epsilon: float
) -> Float[np.ndarray, "rows classes"]:
    """Label smoothing: (1 − epsilon) · one-hot + epsilon · uniform, over all the classes.

    >>> smoothed(np.array([1]), 4, 0.2)
    array([[0.05, 0.85, 0.05, 0.05]])
    """
    return (1 - epsilon) * np.eye(classes)[labels] + epsilon / classes


def spread_over_the_others(labels, classes, epsilon):
    one_hot = np.eye(classes)[labels]
    return (1 - epsilon) * one_hot + epsilon / (classes - 1) * (1 - one_hot)


def not_a_distribution(labels, classes, epsilon):
    return np.eye(classes)[labels] + epsilon / classes


def epsilon_for_each_class(labels, classes, epsilon):
    return (1 - epsilon) * np.eye(classes)[labels] + epsilon


def label_at_epsilon(labels, classes, epsilon):
    return epsilon * np.eye(classes)[labels] + (1 - epsilon) / classes


@st.composite
def labels_to_smooth(draw):
    classes = draw(st.integers(2, 5))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=3))
    return np.array(labels), classes, draw(st.sampled_from([0.2, 0.1, 0.5, 0.0, 1.0]))


# 10.13 ------------------------------------------------------------------- what came from what


def ancestors(cites: dict[str, list[str]], year: dict[str, int], name: str) -> list[str]:
    """All works that `name` builds on, directly or through others, the oldest first.

    `cites` says of each work on which it builds directly. Of the same year: in alphabetical order.

    >>> cites = {"c": ["b"], "b": ["a"], "a": [], "other": []}
    >>> ancestors(cites, {"c": 2019, "b": 2017, "a": 2014, "other": 2006}, "c")
    ['a', 'b']
    """
    found, to_read = [], list(cites[name])
    while len(to_read) > 0:
        work = to_read.pop()
        if work not in found:
            found.append(work)
            to_read.extend(cites[work])
    return sorted(found, key=lambda work: (year[work], work))


def only_the_direct(cites, year, name):
    return sorted(set(cites[name]), key=lambda work: (year[work], work))


def everything_older(cites, year, name):
    older = [work for work in cites if year[work] < year[name]]
    return sorted(older, key=lambda work: (year[work], work))


def descendants(cites, year, name):
    return sorted(
        (work for work in cites if name in ancestors(cites, year, work)),
        key=lambda work: (year[work], work),
    )


def itself_too(cites, year, name):
    return sorted([*ancestors(cites, year, name), name], key=lambda work: (year[work], work))


def the_newest_first(cites, year, name):
    return ancestors(cites, year, name)[::-1]


def by_name(cites, year, name):
    return sorted(ancestors(cites, year, name))


@st.composite
def histories(draw):
    n = draw(st.integers(2, 5))
    names = draw(st.permutations(["ba", "hinton", "vaswani", "sanh", "jiao"]))[:n]
    years = sorted(draw(st.lists(st.sampled_from([2006, 2014, 2015, 2017, 2019]),
                                 min_size=n, max_size=n)))  # fmt: skip
    cites = {
        name: [older for j, older in enumerate(names[:i])
               if years[j] < years[i] and draw(st.booleans())]
        for i, name in enumerate(names)
    }  # fmt: skip
    return cites, dict(zip(names, years, strict=True)), draw(st.sampled_from(names))


EXERCISES = [
    Exercise(
        id="10.1",
        title="Soft targets",
        objective="You can soften a teacher's answer with a temperature.",
        points=2,
        minutes=8,
        difficulty=1,
        reference=soft_targets,
        inputs=large_and_small_logits(),
        without=BY_HAND,
        mistakes={
            times_the_temperature: "Divide the logits by T: a high temperature brings the "
            "probabilities nearer to each other.",
            probabilities_divided: "T divides the logits, before the softmax; probabilities "
            "divided by T no longer sum to one.",
            over_the_rows: "Each row must sum to one: take the softmax over the classes.",
            overflowing: "exp of a large logit is infinite: take the row's largest away first, "
            "which changes nothing.",
            temperature_forgotten: "That is right only at T = 1: divide the logits by T.",
        },
        hints=(
            "softmax(z / T) = exp(z / T) / the sum of exp(z / T) over the row.",
            "Take z.max(1, keepdims=True) away first.",
            "e = np.exp((z - z.max(1, keepdims=True)) / T); e / e.sum(1, keepdims=True)",
        ),
    ),
    Exercise(
        id="10.2",
        title="How far from the teacher",
        objective="You can compute the KL divergence in the direction that distillation needs.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=kl_divergence,
        inputs=two_distributions(),
        without=BY_HAND,
        mistakes={
            the_other_direction: "That is KL(student ‖ teacher): weigh by the teacher's "
            "probabilities.",
            class_sum_missing: "Sum over all classes: with one class left, what the teacher says "
            "of the others is lost.",
            mean_over_the_classes: "A divergence is the sum over the classes, not their mean.",
            cross_entropy_instead: "That is the cross-entropy, larger by the teacher's entropy: it "
            "is not zero when the two agree.",
            nan_where_the_teacher_is_zero: "0 · log 0 counts as 0: leave out the classes to which "
            "the teacher gives nothing.",
            in_bits: "Nats: take the natural logarithm.",
        },
        hints=(
            "Each row: Σ p (log p − log q), p the teacher's.",
            "Row by row: keep only the classes with p > 0.",
            "said = p > 0; (p[said] * np.log(p[said] / q[said])).sum()",
        ),
    ),
    Exercise(
        id="10.3",
        title="The soft loss",
        objective="You can write the soft loss with its temperature on both sides, and its T².",
        points=3,
        minutes=15,
        difficulty=2,
        reference=soft_loss,
        inputs=two_logits_and_T(),
        without=BY_HAND,
        mistakes={
            t_squared_forgotten: "Multiply by T²: without it the gradient shrinks like 1/T².",
            t_once: "Multiply by T², not by T.",
            student_and_teacher_swapped: "That is KL(student ‖ teacher): weigh by the teacher's "
            "probabilities.",
            student_left_at_one: "Divide the student's logits by T too: otherwise a perfect copy "
            "of the teacher is not the minimum.",
            teacher_left_at_one: "Divide the teacher's logits by T too.",
            mean_over_everything: "Sum over the classes, then take the mean over rows only.",
            sum_over_the_rows: "The loss is the mean over the rows, not their sum.",
            without_the_teachers_entropy: "That is the cross-entropy at T; KL takes the teacher's "
            "entropy away, so that it is zero when they agree.",
        },
        hints=(
            "p = softmax(teacher / T) and q = softmax(student / T).",
            "Sum p (log p − log q) over the classes, then the mean over the rows.",
            "Multiply by T**2 at the end.",
        ),
    ),
    Exercise(
        id="10.4",
        title="Its gradient, by hand",
        objective="You can give the gradient of the soft loss without autograd.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=soft_gradient,
        inputs=two_logits_and_T(),
        without=BY_HAND,
        mistakes={
            no_factor: "The factor T is missing: T² from the loss, 1/T from the chain rule.",
            one_over_T: "That is the gradient of KL without T².",
            T_twice: "The chain rule takes one T away: T² · (1/T) = T.",
            uphill: "The gradient points uphill: q − p, not p − q.",
            of_a_sum_over_rows: "The loss is a mean over the rows: divide by their number.",
            at_temperature_one: "Both softmaxes are at T, and the factor is T: yours is right only "
            "at T = 1.",
        },
        hints=(
            "For T = 1 and one row it is q − p.",
            "z enters as z / T, which gives a factor 1/T.",
            "T * (q − p) / len(student)",
        ),
    ),
    Exercise(
        id="10.5",
        title="Very hot",
        objective="You can say what the soft loss becomes at a high temperature.",
        points=2,
        minutes=10,
        difficulty=2,
        reference=matching_logits,
        inputs=two_logits(),
        without=BY_HAND,
        mistakes={
            not_centred: "A softmax does not see a constant added to a row: take each row's mean "
            "away first.",
            half_forgotten: "Half of the mean squared gap: the ½ comes from the Taylor series.",
            summed_over_the_classes: "The mean is over the classes too: that is the 1/K.",
            centred_over_all_rows: "Each row has its own mean: center row by row.",
            scaled_to_one_spread: "Center, but don't divide by the spread: how sure the teacher is "
            "must be learned too.",
        },
        hints=(
            "Center each row: z − z.mean(1, keepdims=True).",
            "Square the difference of the centred logits.",
            "0.5 * (…).mean() over everything",
        ),
    ),
    Exercise(
        id="10.6",
        title="Soft and hard together",
        objective="You can combine the teacher's answer and the label.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=distillation_loss,
        inputs=examples_to_distil(),
        without=BY_HAND,
        mistakes={
            alpha_on_the_hard_term: "Here alpha is the share of the soft term: your formula has "
            "the other convention.",
            hard_against_the_teacher: "The hard term is scored against the labels; you took the "
            "teacher's likeliest class.",
            hard_at_T: "The hard term is at T = 1: that is where the student will be used.",
            weights_of_T_squared_on_both: "T² belongs to the soft term only.",
            mixture_without_T_squared: "T² is missing from the soft term: at T = 4 it would count "
            "a sixteenth.",
            hard_term_at_full_weight: "The weights sum to one: the hard term's is 1 − alpha.",
            teacher_scored_by_the_labels: "The hard term is the student's cross-entropy; yours "
            "scores the teacher, and moves nothing.",
        },
        hints=(
            "The soft term is your answer to 10.3.",
            "The hard term: −log of the student's probability of the label, at T = 1, the mean.",
            "alpha * soft + (1 − alpha) * hard",
        ),
    ),
    Exercise(
        id="10.7",
        title="Tokens, and padding",
        objective="You can distil texts of different lengths without scoring padding.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=soft_loss_of_tokens,
        inputs=texts_to_distil(),
        without=BY_HAND,
        mistakes={
            padding_scored: "Tokens labelled −100 are not scored, by the teacher neither.",
            divided_by_all_tokens: "Divide by the number of scored tokens, not by all of them: a "
            "mask applied after the mean is no mask.",
            mean_of_the_texts_means: "One mean over all scored tokens: a mean of means lets the "
            "tokens of short texts count more.",
            nothing_scored_is_nan: "A batch with nothing to score has a loss of 0.0, or one NaN "
            "ends the training.",
            labels_of_zero_left_out: "Token 0 is a token like any other: only −100 is left out.",
        },
        hints=(
            "scored = labels != -100 picks the rows: student[scored] has shape (scored, vocab).",
            "If none is scored, return 0.0.",
            "Then it is your answer to 10.3.",
        ),
    ),
    Exercise(
        id="10.8",
        title="Cover or seek",
        objective="You can tell what each direction of KL chooses.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=best_by_both,
        inputs=a_teacher_and_students(),
        without=BY_HAND,
        mistakes={
            directions_swapped: "First KL(teacher ‖ student), weighed by the teacher; yours are "
            "the other way round.",
            forward_twice: "The second is KL(student ‖ teacher): weigh by the student.",
            reverse_twice: "The first is KL(teacher ‖ student): weigh by the teacher.",
            by_the_squared_gap: "Squared gaps hardly see small probabilities; take the logarithms.",
            the_worst: "The smallest divergence, not the largest.",
            entropy_of_the_student_forgotten: "KL(student ‖ teacher) takes the student's entropy "
            "away: q (log q − log p), not −q log p.",
        },
        hints=(
            "forward = Σ p (log p − log q), one number a student.",
            "reverse = Σ q (log q − log p).",
            "argmin gives the first of equals.",
        ),
    ),
    Exercise(
        id="10.9",
        title="A step of distillation",
        objective="You can tell distillation from fine-tuning in code: who teaches, who moves.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=distil_step,
        inputs=linear_networks(),
        without=BY_HAND,
        mistakes={
            teacher_learns_too: "The teacher is frozen: return its weights as they were.",
            teacher_moved_in_place_of_the_student: "The student learns from the teacher; yours "
            "moved the teacher.",
            fine_tuning_on_what_the_teacher_would_say: "That is fine-tuning on hard labels, the "
            "teacher's likeliest class; distillation learns from its probabilities at T.",
            fine_tuning_of_the_teacher: "You moved a copy of the teacher: the student has weights "
            "of its own, and here they are smaller.",
            uphill_step: "A step goes against the gradient.",
            step_at_one: "Both sides at T, and the gradient has a factor T.",
        },
        hints=(
            "The gradient by the logits is your answer to 10.4.",
            "By the weights of z = x @ W it is x.T @ (the gradient by z).",
            "Return student − lr * x.T @ g, and teacher.copy().",
        ),
    ),
    Exercise(
        id="10.10",
        title="The noise of a label",
        objective="You can say how much noise a soft label takes out of the gradient.",
        points=2,
        minutes=10,
        difficulty=2,
        reference=label_noise,
        inputs=label_distributions(),
        without=BY_HAND,
        mistakes={
            entropy_instead: "That is the entropy; asked is the mean squared length of e_y − p.",
            chance_of_agreement: "That is Σ p²; the noise is what is left of 1.",
            of_the_likeliest_label: "The label is drawn from p, so take the mean over all labels, "
            "not the likeliest alone.",
            labels_all_equally_likely: "Weigh each label by its probability p.",
            chance_of_an_error: "That is how often the likeliest class is wrong; asked is a "
            "squared length.",
        },
        hints=(
            "|e_y − p|² = 1 − 2 p_y + Σ p².",
            "The mean of p_y, when y is drawn from p, is Σ p².",
            "1 − Σ p²",
        ),
    ),
    Exercise(
        id="10.11",
        title="The gap recovered",
        objective="You can report a student beside the two numbers that give it a meaning.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=gap_recovered,
        inputs=right_and_wrong(),
        without=BY_HAND,
        mistakes={
            share_of_the_teachers_accuracy: "“97 % of the teacher” flatters: take away what the "
            "student reaches without a teacher, above and below.",
            gap_that_is_left: "The share that was recovered, not the share that is left.",
            never_below_zero: "A teacher can harm, and a student can pass it: don't cut the result "
            "off at 0 or 1.",
            a_teacher_that_is_worse: "Without a gap there is nothing to recover: return nan.",
            only_where_the_teacher_is_right: "All examples count, also those on which the teacher "
            "is wrong.",
        },
        hints=(
            "The mean of each array is its accuracy.",
            "(student − alone) / (teacher − alone)",
            'If the teacher is not better than the student alone, return float("nan").',
        ),
    ),
    Exercise(
        id="10.12",
        title="A teacher that knows nothing",
        objective="You can write label smoothing as a teacher that says the same of every example.",
        points=1,
        minutes=8,
        difficulty=1,
        reference=smoothed,
        inputs=labels_to_smooth(),
        without=BY_HAND,
        elective=True,
        mistakes={
            spread_over_the_others: "The uniform teacher gives epsilon / K to every class, the "
            "label too.",
            not_a_distribution: "The one-hot part keeps 1 − epsilon: a row must sum to one.",
            epsilon_for_each_class: "Epsilon is divided among the classes.",
            label_at_epsilon: "The label's part is 1 − epsilon, the uniform part epsilon.",
        },
        hints=(
            "np.eye(classes)[labels] gives the one-hot rows.",
            "The uniform distribution has 1 / classes everywhere.",
            "(1 − epsilon) * one_hot + epsilon / classes",
        ),
    ),
    Exercise(
        id="10.13",
        title="What came from what",
        objective="You can tell what a method builds on from what is only older.",
        points=2,
        minutes=15,
        difficulty=2,
        reference=ancestors,
        inputs=histories(),
        without=BY_HAND,
        elective=True,
        mistakes={
            only_the_direct: "What is built on something that is built on something counts too: "
            "follow the citations to their end.",
            everything_older: "Older is not the same as built on: distillation is older than the "
            "Transformer, and neither comes from the other.",
            descendants: "Those build on it; asked is on what it builds.",
            itself_too: "A work is not its own ancestor.",
            the_newest_first: "The oldest first.",
            by_name: "Sort by year, and by name only within a year.",
        },
        hints=(
            "Keep a list of works still to read, and a list of those found.",
            "Read a work once, then put on the list what it cites.",
            "sorted(found, key=lambda work: (year[work], work))",
        ),
    ),
]
