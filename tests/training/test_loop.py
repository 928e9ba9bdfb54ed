"""The training loop: what a step is, when it ends, and what it says when numbers go wrong."""

import math
import signal
import time
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from tiny_model import TEXT, TinyLM, optimizers, tiny_lm, windows, without_clock
from torch import nn
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.training.batches import blocks
from course_lib.training.loop import train
from course_lib.training.objectives import causal_lm_loss, mean_loss
from course_lib.training.optimizers import AdamW, adamw
from course_lib.training.schedules import cosine, trapezoid


def frequent_tokens_only(model, batch):
    """An objective that scores a different number of tokens in each batch."""
    targets = batch[:, 1:].flatten()
    scored = targets < 3
    logits = model(batch[:, :-1]).flatten(0, 1)
    return F.cross_entropy(logits[scored], targets[scored], reduction="sum"), int(scored.sum())


# ------------------------------------------------------------------------------------- a step


def test_a_run_is_the_twenty_lines_one_would_write():
    """Same batches, AdamW, clipping and schedule written out; weights agree to 1e-6."""
    ours, by_hand = tiny_lm(), tiny_lm()
    history = train(ours, windows(), adamw(ours, lr=0.01), schedule=cosine, steps=10, clip=0.5)

    optimizer, losses, norms = adamw(by_hand, lr=0.01), [], []
    for step in range(10):
        batch = windows()(step)
        loss = F.cross_entropy(by_hand(batch[:, :-1]).transpose(1, 2), batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5).item())
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * cosine((step + 0.5) / 10)
        optimizer.step()
        losses.append(loss.item())
    assert history.train_loss == pytest.approx(losses, abs=1e-6)
    assert history.grad_norm == pytest.approx(norms, abs=1e-5)
    assert max(norms) > 0.5  # the clipping was at work
    assert_close(list(ours.parameters()), list(by_hand.parameters()), atol=1e-6, rtol=0)


def test_accumulation_equals_the_large_batch_also_where_batches_score_different_counts():
    """Losses within 1e-5 over 20 steps: the sums are taken in another order."""
    models = tiny_lm(), tiny_lm()
    large, small = (
        train(
            model,
            windows(batch_size),
            optimizers(model),
            objective=frequent_tokens_only,
            steps=20,
            accumulate=accumulate,
        )
        for model, batch_size, accumulate in zip(models, (12, 4), (1, 3), strict=True)
    )
    assert small.scored == large.scored
    assert small.train_loss == pytest.approx(large.train_loss, abs=1e-5)
    assert small.grad_norm == pytest.approx(large.grad_norm, abs=1e-5)


def test_two_runs_with_dropout_are_the_same_and_another_seed_is_another_run():
    def losses(seed):
        model = tiny_lm(dropout=0.5)
        return train(model, windows(), optimizers(model), steps=5, seed=seed).train_loss

    assert losses(0) == losses(0)
    assert losses(0)[0] != losses(1)[0]


def test_training_leaves_the_callers_random_numbers_and_learning_rates_alone():
    model = tiny_lm()
    mine, before = optimizers(model), torch.get_rng_state()
    train(model, windows(), mine, schedule=cosine, steps=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert [o.param_groups[0]["lr"] for o in mine] == [0.02, 3e-3]


def test_it_learns_what_there_is_to_learn():
    """The text's tokens are independent, so nothing beats their entropy, and the fit nears it."""
    shares = torch.bincount(torch.from_numpy(TEXT)) / len(TEXT)
    entropy = -(shares * shares.log()).nansum().item()
    model = tiny_lm()
    validation = blocks(TEXT, 8)
    history = train(
        model,
        windows(16),
        optimizers(model),
        steps=150,
        schedule=trapezoid,
        evaluate=partial(mean_loss, batches=validation),
    )
    assert entropy - 0.3 < history.best_loss < entropy + 0.05
    assert history.best_loss < history.train_loss[0] - 0.5


def test_bf16_stays_near_float32():
    """8 bits of mantissa: the losses of the first 10 steps agree within 2 %."""
    models = tiny_lm(), tiny_lm()
    fine, coarse = (
        train(model, windows(), optimizers(model), steps=10, bf16=bf16).train_loss
        for model, bf16 in zip(models, (False, True), strict=True)
    )
    assert coarse == pytest.approx(fine, rel=0.02)
    assert coarse != fine


def test_a_compiled_model_gives_the_same_losses_and_its_compilation_is_timed_apart(monkeypatch):
    eager = partial(torch.compile, backend="eager")  # the machine need not have a C++ compiler
    monkeypatch.setattr(torch, "compile", eager)
    models = tiny_lm(), tiny_lm()
    plain, compiled = (
        train(model, windows(), optimizers(model), steps=3, compile=compile)
        for model, compile in zip(models, (False, True), strict=True)
    )
    assert compiled.train_loss == pytest.approx(plain.train_loss, abs=1e-6)
    assert compiled.compile_seconds > 0 == plain.compile_seconds
    assert list(models[1].state_dict()) == list(models[0].state_dict())


# ------------------------------------------------------------------------------------ the end


def test_a_run_by_seconds_follows_the_clock_which_evaluation_does_not_move():
    model = tiny_lm()

    def slow(model):
        time.sleep(0.05)
        return 1.0

    history = train(
        model,
        windows(),
        adamw(model, lr=1.0),
        schedule=lambda progress: progress,
        seconds=0.3,
        evaluate=slow,
        every=10,
    )
    clock = [0.0, *history.seconds]
    assert history.stopped == "seconds"
    assert clock[-2] < 0.3 <= clock[-1]
    assert history.evaluation_seconds >= 0.05 * len(history.val_loss)
    assert history.lr[0] == 0.0
    for done, (elapsed, lr) in enumerate(zip(history.seconds[:-1], history.lr[1:], strict=True), 1):
        half_a_step = elapsed / done / 2
        assert lr == pytest.approx(min(1, (elapsed + half_a_step) / 0.3), abs=1e-9)


def scripted(values):
    """An evaluation that returns these values in turn, and keeps the weights that it was shown."""
    shown, left = [], iter(values)

    def evaluate(model):
        shown.append([p.clone() for p in model.parameters()])
        return next(left)

    return evaluate, shown


def test_it_stops_after_evaluations_without_progress_with_the_best_weights():
    model = tiny_lm()
    evaluate, shown = scripted([3.0, 1.0, 2.0, 1.0, 0.0])
    history = train(
        model, windows(), optimizers(model), steps=100, evaluate=evaluate, every=4, patience=2
    )
    assert (history.stopped, history.val_loss) == ("patience", [3.0, 1.0, 2.0, 1.0])
    assert (history.steps, history.best_step) == (16, 8)
    assert_close(list(model.parameters()), shown[1], atol=0, rtol=0)
    assert not model.training


def test_the_best_weights_outlive_the_process_that_found_them(tmp_path):
    path = tmp_path / "run.safetensors"
    first, shown = scripted([1.0, 2.0])
    settings = {"every": 4, "checkpoint": path}
    model = tiny_lm()
    train(model, windows(), optimizers(model), steps=8, evaluate=first, **settings)
    resumed = tiny_lm()
    second, _ = scripted([3.0])
    history = train(resumed, windows(), optimizers(resumed), steps=12, evaluate=second, **settings)
    assert (history.val_loss, history.best_step) == ([1.0, 2.0, 3.0], 4)
    assert_close(list(resumed.parameters()), shown[0], atol=0, rtol=0)


def test_the_last_step_is_always_evaluated():
    model = tiny_lm()
    evaluate, _ = scripted([3.0, 2.0, 1.0])
    history = train(model, windows(), optimizers(model), steps=5, evaluate=evaluate, every=2)
    assert history.val_steps == [2, 4, 5]


def test_dropout_is_off_during_evaluation_and_on_again_after():
    model, modes = tiny_lm(), []

    def evaluate(model):
        modes.append((model.training, torch.is_grad_enabled()))
        return 1.0

    def objective(model, batch):
        modes.append(model.training)
        return causal_lm_loss(model, batch)

    train(model, windows(), adamw(model), objective=objective, steps=2, evaluate=evaluate, every=1)
    assert modes == [True, (False, False), True, (False, False)]


def test_a_run_needs_an_end_and_something_to_score():
    model = tiny_lm()
    with pytest.raises(CourseError, match=r"give steps=… or seconds=…"):
        train(model, windows(), adamw(model))
    nothing = lambda model, batch: (model(batch).sum() * 0, 0)  # noqa: E731
    with pytest.raises(CourseError, match="step 0 scored nothing"):
        train(model, windows(), adamw(model), objective=nothing, steps=1)


@pytest.mark.parametrize("moment", ["forward", "update", "evaluation"])
def test_an_interrupted_run_returns_its_history_and_goes_on_to_the_same_end(tmp_path, moment):
    """Ctrl-C comes as a signal; in the midst of an update it waits for the update's end."""
    interrupt = partial(signal.raise_signal, signal.SIGINT)

    def run(checkpoint=None, at=None):
        model = tiny_lm(dropout=0.1)
        validate, calls = partial(mean_loss, batches=blocks(TEXT, 8)), {"evaluation": 0}

        def batches(step, share):
            if at == "forward" and step == 6:
                interrupt()
            return windows()(step, share)

        def evaluate(model):
            calls["evaluation"] += 1
            if at == "evaluation" and calls["evaluation"] == 2:
                interrupt()
            return validate(model)

        muon, adam = optimizers(model)
        if at == "update":
            muon.register_step_post_hook(
                lambda *_: interrupt() if adam.state and adam_steps(adam) == 6 else None
            )
        history = train(
            model,
            batches,
            [muon, adam],
            schedule=cosine,
            steps=12,
            evaluate=evaluate,
            every=4,
            checkpoint=checkpoint,
        )
        return history, model

    whole, model = run()
    interrupted, _ = run(tmp_path / "run.safetensors", moment)
    assert interrupted.stopped == "interrupted"
    done = {"forward": 6, "update": 7, "evaluation": 8}[moment]
    assert interrupted.train_loss == whole.train_loss[:done]
    resumed, again = run(tmp_path / "run.safetensors")
    assert without_clock(resumed) == without_clock(whole)
    assert_close(again.state_dict(), model.state_dict(), atol=0, rtol=0)


def adam_steps(adam: AdamW) -> int:
    return int(next(iter(adam.state.values()))["step"])


# --------------------------------------------------------------------- numbers that go wrong


class LogOfNothing(nn.Module):
    def forward(self, x):
        return (x * 0).log() * 0


class RootOfNothing(nn.Module):
    """Zero forwards; 0 · ∞ backwards."""

    def forward(self, x):
        return (x * 0).sqrt()


def with_layer(layer):
    model = tiny_lm()
    model.up = nn.Sequential(model.up, layer)
    return model


def with_broken_weight():
    model = tiny_lm()
    model.down.weight.data[2, 3] = math.inf
    return model


class AddsInfinity(TinyLM):
    def forward(self, tokens):
        return self.head(self.embedding(tokens) + math.inf)


def log_of_zero(model, batch):
    return (model(batch).sum() * 0).log(), 1


def huge(model, batch):
    return model(batch).sum() * 1e25, 1


@pytest.mark.parametrize(
    ("model", "objective", "message"),
    [
        (with_broken_weight, causal_lm_loss, r"parameter down\.weight, already before"),
        (lambda: with_layer(LogOfNothing()), causal_lm_loss, r"output of up\.1 \(LogOfNothing\)"),
        (AddsInfinity, causal_lm_loss, r"input of head \(Linear\)"),
        (tiny_lm, log_of_zero, "the objective, while all activations are finite"),
        (
            lambda: with_layer(RootOfNothing()),
            causal_lm_loss,
            r"gradient of up\.0\.bias \(Function 'SqrtBackward0' returned nan",
        ),
        (tiny_lm, huge, "the norm of all gradients together"),
    ],
)
def test_a_number_that_is_not_finite_is_located(model, objective, message):
    model = model()
    with pytest.raises(CourseError, match=rf"^step 0: the loss is .*{message}"):
        train(model, windows(), adamw(model), objective=objective, steps=1)


def test_the_step_of_a_non_finite_loss_is_named_and_the_weights_stay_as_they_were():
    model, before = tiny_lm(), []

    def objective(model, batch):
        nats, scored = causal_lm_loss(model, batch)
        return nats * (1 if len(before) < 3 else math.nan), scored

    def batches(step, share):
        before.append([p.clone() for p in model.parameters()])
        return windows()(step, share)

    with pytest.raises(CourseError, match="step 2: the loss is nan"):
        train(model, batches, adamw(model), objective=objective, steps=9)
    assert_close(list(model.parameters()), before[2], atol=0, rtol=0)
