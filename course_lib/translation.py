"""Writing a translation with a trained encoder–decoder: greedily, or by beam search.

Greedy decoding takes the likeliest token each time. Beam search keeps the few likeliest beginnings
and in the end takes the best whole sentence, where a longer sentence is not punished for having
more tokens to pay for. `Translator` goes from text to text; `bleu_and_chrf` says how good it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.models.encoder_decoder import END, PAD, SPECIAL, START, EncoderDecoder
from course_lib.tokenization.bpe import BPETokenizer
from course_lib.tokenization.characters import CharacterTokenizer
from course_lib.training.sentence_pairs import TokenPair, batch_of

# ---------------------------------------------------------------------------------------------
# Decoding
# ---------------------------------------------------------------------------------------------


@torch.inference_mode()
def greedy(
    model: EncoderDecoder, source: Int[Tensor, "batch sources"], longest: int
) -> list[list[int]]:
    """For each source the likeliest token, and so on, up to END or `longest` tokens.

    Sources are encoded once, all together. START and END are not in the result.
    """
    memory, mask = model.encode(source)
    target = torch.full((len(source), 1), START, device=source.device)
    done = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    for _ in range(longest):
        logits = model.decode(target, memory, mask)[:, -1]
        token = logits.argmax(-1).masked_fill(done, PAD)
        target = torch.cat([target, token[:, None]], dim=1)
        done |= token == END
        if done.all():
            break
    return [_until_end(row) for row in target[:, 1:].tolist()]


def _until_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(END)] if END in tokens else tokens


@dataclass(frozen=True)
class Hypothesis:
    """A sentence that beam search has finished."""

    tokens: list[int]  # without START and END
    log_prob: float  # of the tokens and END, in nats
    score: float  # what the finished ones are ranked by


# prefixes (batch, tokens), START first → log-probabilities of each next token (batch, vocab)
NextToken = Callable[[Int[Tensor, "batch tokens"]], Float[Tensor, "batch vocab"]]


def length_penalty(n_tokens: int, alpha: float | int) -> float:
    """((5 + n) / 6)^alpha, by which a log-probability is divided: alpha 0 changes nothing, alpha 1
    comes near to the mean of a token. Wu et al. (2016), "Google's Neural Machine Translation
    System", equation 14."""
    return ((5 + n_tokens) / 6) ** alpha


def beam_search(
    next_token: NextToken, beam: int = 4, longest: int = 50, alpha: float | int = 0.6
) -> list[Hypothesis]:
    """The `beam` best finished sentences that were found, the best first.

    Each round extends every kept beginning by every token and keeps the likeliest, `beam` of them
    with those that have ended. The search stops once all have ended, or after `longest` tokens,
    where what is kept counts as finished. With a beam of 1 this is greedy decoding.
    """
    prefixes, log_probs = torch.tensor([[START]]), torch.zeros(1)
    finished: list[Hypothesis] = []

    def finish(tokens: list[int], log_prob: float) -> None:
        penalty = length_penalty(len(tokens) + 1, alpha)  # END counts
        finished.append(Hypothesis(tokens, log_prob, log_prob / penalty))

    for _ in range(longest):
        totals = log_probs[:, None] + next_token(prefixes)  # (kept, vocab)
        room = beam - len(finished)
        best, places = totals.flatten().topk(min(room, totals.numel()))
        rows, tokens = places // totals.size(1), places % totals.size(1)
        ends = tokens == END
        for row, log_prob in zip(rows[ends].tolist(), best[ends].tolist(), strict=True):
            finish(prefixes[row, 1:].tolist(), log_prob)
        prefixes = torch.cat([prefixes[rows[~ends]], tokens[~ends, None]], dim=1)
        log_probs = best[~ends]
        if not len(prefixes):
            break
    for row, log_prob in zip(prefixes[:, 1:].tolist(), log_probs.tolist(), strict=True):
        finish(row, log_prob)
    return sorted(finished, key=lambda found: -found.score)


# ---------------------------------------------------------------------------------------------
# From text to text
# ---------------------------------------------------------------------------------------------

Tokenizer = BPETokenizer | CharacterTokenizer


def to_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """The text's tokens, moved up past PAD, START and END."""
    return [int(token) + SPECIAL for token in tokenizer.encode(text)]


def to_text(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """The text of tokens as `to_tokens` gives them; PAD, START and END are left out."""
    kept = [token - SPECIAL for token in tokens if token >= SPECIAL]
    return tokenizer.decode(np.array(kept, dtype=np.int64))


@dataclass(frozen=True)
class Translator:
    """A trained model with the tokenizers of its two languages."""

    model: EncoderDecoder
    source: Tokenizer
    target: Tokenizer

    def pairs(self, texts: Sequence[tuple[str, str]]) -> list[TokenPair]:
        """Pairs of sentences as tokens."""
        return token_pairs(self.source, self.target, texts)

    def translate(self, sentences: Sequence[str], longest: int = 40) -> list[str]:
        """Each sentence's greedy translation."""
        self.model.eval()
        translations = [""] * len(sentences)
        tokens = [to_tokens(self.source, sentence) for sentence in sentences]
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        for start in range(0, len(order), 64):  # like lengths together: little is padding
            chosen = order[start : start + 64]
            source, _ = batch_of([(tokens[i], []) for i in chosen])
            for i, written in zip(chosen, greedy(self.model, source, longest), strict=True):
                translations[i] = to_text(self.target, written)
        return translations

    @torch.inference_mode()
    def search(
        self, sentence: str, beam: int = 4, longest: int = 40, alpha: float | int = 0.6
    ) -> list[tuple[str, Hypothesis]]:
        """What beam search found for one sentence, as text, the best first."""
        self.model.eval()
        source, _ = batch_of([(to_tokens(self.source, sentence), [])])
        memory, mask = self.model.encode(source)

        def next_token(prefixes: Tensor) -> Tensor:
            many = memory.expand(len(prefixes), -1, -1), mask.expand(len(prefixes), -1, -1)
            return self.model.decode(prefixes, *many)[:, -1].log_softmax(-1)

        found = beam_search(next_token, beam, longest, alpha)
        return [(to_text(self.target, hypothesis.tokens), hypothesis) for hypothesis in found]


def token_pairs(
    source: Tokenizer, target: Tokenizer, texts: Sequence[tuple[str, str]]
) -> list[TokenPair]:
    """Pairs of sentences as tokens of the two tokenizers."""
    return [(to_tokens(source, a), to_tokens(target, b)) for a, b in texts]


# ---------------------------------------------------------------------------------------------
# How good it is
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """How near translations are to their references, from 0 to 100."""

    bleu: float  # of words; of characters where the target is Chinese
    chrf: float  # of stretches of up to six characters
    sentence_chrf: list[float]  # of each sentence alone, for paired comparison

    def __str__(self) -> str:
        return f"BLEU {self.bleu:.1f}, chrF {self.chrf:.1f}"


def judge(
    translations: Sequence[str], references: Sequence[str], chinese: bool = False
) -> Judgement:
    """BLEU and chrF of a whole set of translations, as sacrebleu computes them.

    Papineni et al. (2002), "BLEU"; Popović (2015), "chrF"; Post (2018), "A Call for Clarity in
    Reporting BLEU Scores".
    """
    from sacrebleu.metrics import BLEU, CHRF

    bleu, chrf = BLEU(tokenize="zh" if chinese else "13a"), CHRF()
    together = list(translations), [list(references)]
    alone = zip(translations, references, strict=True)
    return Judgement(
        bleu=bleu.corpus_score(*together).score,
        chrf=chrf.corpus_score(*together).score,
        sentence_chrf=[chrf.sentence_score(a, [b]).score for a, b in alone],
    )
