"""Translation on held-out sentences: the network, and what it must beat.

    course experiment translation [--seeds N] [--resume]

Three tasks: the HSK sentences from Chinese to English and back, split by template, and the King
James Bible to Basic English, split by chapter (verses of at most 20 words). Each run trains an
encoder–decoder, keeps the weights of its best validation loss, and translates the whole test split
greedily and the first hundred sentences also by beam search. The baselines depend on no seed and
are part of every row: word by word (IBM model 1), the nearest training sentence, and, where both
sides are English, the source as it is. Sentence scores are kept, for paired comparison. The run
of Chinese to English with seed 0 leaves its model in experiments/translation_zh_en/.
"""

from functools import partial
from pathlib import Path

import torch

from course_lib.data.pairs import bible_splits, english_words, hsk_splits
from course_lib.evidence import clone_folder
from course_lib.experiments import Experiment, Setting
from course_lib.models.encoder_decoder import SPECIAL, EncoderDecoder, EncoderDecoderConfig
from course_lib.models.glossing import Glosses, NearestSentence, Words
from course_lib.tokenization.bpe import BPETokenizer
from course_lib.training.history import History
from course_lib.training.loop import train
from course_lib.training.objectives import mean_loss
from course_lib.training.optimizers import muon_and_adamw
from course_lib.training.schedules import trapezoid
from course_lib.training.sentence_pairs import RandomPairs, batches_of, translation_loss
from course_lib.translation import Judgement, Translator, judge

Example = tuple[str, str, Words, Words]  # source and target: as text, then as words
SEARCHED = 100  # sentences that beam search translates too
LONGEST = 20  # words in a verse


def examples(task: str) -> dict[str, list[Example]]:
    """The splits of a task."""
    if task == "kjv-bbe":
        return {
            name: [
                (p.king_james, p.basic, english_words(p.king_james), english_words(p.basic))
                for p in pairs
            ]
            for name, pairs in bible_splits(LONGEST).items()
        }
    found = {
        name: [(p.chinese, p.english, p.words, english_words(p.english)) for p in pairs]
        for name, pairs in hsk_splits().items()
    }
    if task == "zh-en":
        return found
    return {name: [(b, a, d, c) for a, b, c, d in rows] for name, rows in found.items()}


def translator_for(setting: Setting, train_rows: list[Example], seed: int) -> Translator:
    """A network that has learned nothing yet, and the tokenizers of its languages."""
    sources, targets = [row[0] for row in train_rows], [row[1] for row in train_rows]
    shared = setting["task"] == "kjv-bbe"
    source = BPETokenizer.train([*sources, *targets] if shared else sources, setting["vocab"])
    target = source if shared else BPETokenizer.train(targets, setting["vocab"])
    torch.manual_seed(seed)
    config = EncoderDecoderConfig(
        source.vocab_size + SPECIAL,
        target.vocab_size + SPECIAL,
        context=128,
        n_layers=2,
        d_model=setting["d_model"],
        shared=shared,
        dropout=setting["dropout"],
    )
    return Translator(EncoderDecoder(config), source, target)


def fit(
    translator: Translator,
    rows: dict[str, list[Example]],
    setting: Setting,
    seed: int,
    steps: int,
    checkpoint: Path | None = None,
) -> History:
    """Train on the train split; what comes back has the best validation loss."""
    tokens = {
        name: translator.pairs([row[:2] for row in rows[name]]) for name in ("train", "validation")
    }
    validation = batches_of(tokens["validation"])
    return train(
        translator.model,
        RandomPairs(tokens["train"], batch_size=64, seed=seed),
        muon_and_adamw(translator.model, muon_lr=0.02, adamw_lr=5e-3),
        objective=partial(translation_loss, smoothing=0.1),
        schedule=partial(trapezoid, warmup=0.05, decay=0.5),
        steps=steps,
        evaluate=lambda model: mean_loss(model, validation, translation_loss),
        every=setting["steps"] // 10,
        seed=seed,
        checkpoint=checkpoint,
    )


def baselines(rows: dict[str, list[Example]], task: str) -> dict[str, list[str]]:
    """The test split translated without a network."""
    same_language = task == "kjv-bbe"
    space = "" if task == "en-zh" else " "
    glosses = Glosses([row[2:] for row in rows["train"]])
    nearest = NearestSentence([(row[2], row[1]) for row in rows["train"]])
    found = {
        "word by word": [
            space.join(glosses.translate(row[2], keep_unknown=same_language))
            for row in rows["test"]
        ],
        "nearest": [nearest.translate(row[2]) for row in rows["test"]],
    }
    return found | ({"as it is": [row[0] for row in rows["test"]]} if same_language else {})


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train, translate the test split in every way, and score it."""
    task, rows = setting["task"], examples(setting["task"])
    translator = translator_for(setting, rows["train"], seed)
    history = fit(translator, rows, setting, seed, setting["steps"], folder / "checkpoint.pt")
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    sources, references = [row[0] for row in rows["test"]], [row[1] for row in rows["test"]]
    longest = 50 if task == "kjv-bbe" else 30
    written = baselines(rows, task) | {"greedy": translator.translate(sources, longest)}
    searched = [translator.search(s, longest=longest)[0][0] for s in sources[:SEARCHED]]
    chinese = task == "en-zh"
    if task == "zh-en" and seed == 0:
        keep(translator)
    return {
        "parameters": translator.model.n_parameters(),
        "steps": history.val_steps,
        "val_losses": [round(loss, 4) for loss in history.val_loss],
        "scores": {
            name: scores(judge(texts, references, chinese)) for name, texts in written.items()
        },
        "first_hundred": {
            "greedy": scores(judge(written["greedy"][:SEARCHED], references[:SEARCHED], chinese)),
            "beam": scores(judge(searched, references[:SEARCHED], chinese)),
        },
        "examples": [[texts[i] for texts in written.values()] for i in range(5)],
    }


def scores(judgement: Judgement) -> dict:
    """What the record keeps of a judgement."""
    return {
        "bleu": round(judgement.bleu, 2),
        "chrf": round(judgement.chrf, 2),
        "sentence_chrf": [round(score, 1) for score in judgement.sentence_chrf],
    }


def keep(translator: Translator) -> None:
    """Put the model, its weights as 16-bit numbers, and its tokenizers beside the record."""
    place = clone_folder() / "experiments" / "translation_zh_en"
    translator.model.half().save(place)
    translator.model.float()
    translator.source.save(place / "source.json")
    translator.target.save(place / "target.json")


def probe(setting: Setting) -> list[float]:
    """The training losses of the first four steps with seed 0."""
    rows = examples(setting["task"])
    rows["validation"] = rows["validation"][:8]
    translator = translator_for(setting, rows["train"], 0)
    return fit(translator, rows, setting, 0, steps=4).train_loss


HSK = {"vocab": 2000, "d_model": 128, "dropout": 0.1, "steps": 600}
BIBLE = {"vocab": 3000, "d_model": 128, "dropout": 0.0, "steps": 1600}

EXPERIMENT = Experiment(
    name="translation",
    question="By how much does a small encoder–decoder beat translating without a network?",
    grid=(
        {"task": "zh-en", **HSK},
        {"task": "en-zh", **HSK},
        {"task": "kjv-bbe", **BIBLE},
    ),
    seeds=3,
    run=run,
    probe=probe,
    texts=(),
)
