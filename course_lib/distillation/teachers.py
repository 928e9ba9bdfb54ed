"""What a teacher says of texts, computed once and kept: ten students pay for it once.

    outputs = teacher_outputs(teacher, examples)                  # logits
    outputs = teacher_outputs(teacher, examples, layers=(2, 4))   # and vectors inside the teacher

Kept in the cache under a digest of the teacher's weights, the texts and the layers: another teacher
or another text is never mistaken for it. Vectors are kept in 16-bit numbers and read from disk as
they are asked for. The seconds that the teacher took are kept too, since someone must pay them.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from course_lib.data.parcels import cache_dir
from course_lib.errors import CourseError
from course_lib.models.bert_heads import BertForSequenceClassification, mean_pool
from course_lib.tokenization.encoder_inputs import EncoderInputs
from course_lib.training.fine_tuning import Examples
from course_lib.training.objectives import evaluating


@dataclass(frozen=True)
class TeacherOutputs:
    """The logits of every text and, of the layers asked for, the vector of every token."""

    logits: Float[np.ndarray, "n classes"]
    states: dict[int, Float16[np.ndarray, "tokens d_model"]]  # by layer, all texts in a row
    ends: Int[np.ndarray, " n"]  # text i has the rows ends[i - 1] to ends[i]
    seconds: float  # of processor time, for all texts together

    def batch_states(
        self, places: Sequence[int] | Int[np.ndarray, " batch"]
    ) -> dict[int, Float[Tensor, "batch tokens d_model"]]:
        """The vectors of some texts, shorter ones filled up with zeros."""
        starts = [self.ends[i - 1] if i else 0 for i in places]
        longest = max((self.ends[i] - start for i, start in zip(places, starts, strict=True)))
        batch = {}
        for layer, rows in self.states.items():
            filled = np.zeros((len(places), longest, rows.shape[1]), np.float32)
            for row, (i, start) in enumerate(zip(places, starts, strict=True)):
                filled[row, : self.ends[i] - start] = rows[start : self.ends[i]]
            batch[layer] = torch.from_numpy(filled)
        return batch


def logits_and_states(
    model: BertForSequenceClassification, inputs: EncoderInputs
) -> tuple[Float[Tensor, "batch classes"], tuple[Float[Tensor, "batch tokens d_model"], ...]]:
    """The logits, as `model(*inputs)` gives them, and the vectors after every layer."""
    output = model.bert(*inputs)
    pooled = output.pooler_output
    if model.config.pooling == "mean":
        pooled = mean_pool(output.last_hidden_state, inputs.attention_mask)
    return model.classifier(model.dropout(pooled)), output.hidden_states


def teacher_outputs(
    teacher: BertForSequenceClassification,
    examples: Examples,
    layers: Sequence[int] = (),
    folder: Path | None = None,
    batch_size: int = 64,
) -> TeacherOutputs:
    """What `teacher`, with dropout off, says of the examples; from the cache where it was asked
    before.

    `layers` are counted as in `BertOutput.hidden_states`. `folder` is where outputs are kept
    (None: teachers/ in the course's cache).

    Raises CourseError for a layer that the teacher does not have.
    """
    layers = sorted(set(layers))
    if layers and not 0 <= layers[0] <= layers[-1] <= len(teacher.bert.blocks):
        raise CourseError(
            f"the teacher has layers 0 to {len(teacher.bert.blocks)}; {layers} asks for others"
        )
    folder = (folder or cache_dir() / "teachers") / _digest(teacher, examples, layers)
    if not folder.exists():
        _compute(teacher, examples, layers, folder, batch_size)
    said = json.loads((folder / "seconds.json").read_text("utf-8"))
    states = {i: np.load(folder / f"states{i}.npy", mmap_mode="r") for i in layers}
    ends = np.cumsum(examples.lengths + 2)  # [CLS] and [SEP]
    return TeacherOutputs(np.load(folder / "logits.npy"), states, ends, said["seconds"])


def _compute(
    teacher: BertForSequenceClassification,
    examples: Examples,
    layers: Sequence[int],
    folder: Path,
    batch_size: int,
) -> None:
    """Write the outputs, all of them or nothing."""
    ends = np.cumsum(examples.lengths + 2)
    starts = ends - (examples.lengths + 2)
    logits = np.empty((len(examples), teacher.config.n_classes), np.float32)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-"))
    shape = (int(ends[-1]), teacher.bert.config.d_model)
    states = {
        i: np.lib.format.open_memmap(work / f"states{i}.npy", "w+", np.float16, shape)
        for i in layers
    }
    device = next(teacher.parameters()).device
    try:
        begin = time.process_time()
        with evaluating(teacher):
            for places in examples.places_by_length(batch_size):
                inputs = EncoderInputs(*(t.to(device) for t in examples.batch(places)[0]))
                batch_logits, batch_states = logits_and_states(teacher, inputs)
                logits[places] = batch_logits.float().cpu().numpy()
                for layer in layers:
                    vectors = batch_states[layer].half().cpu().numpy()
                    for i, row in zip(places, vectors, strict=True):
                        states[layer][starts[i] : ends[i]] = row[: ends[i] - starts[i]]
        seconds = time.process_time() - begin
        for kept in states.values():
            kept.flush()
        np.save(work / "logits.npy", logits)
        (work / "seconds.json").write_text(json.dumps({"seconds": seconds}), "utf-8")
        try:
            os.replace(work, folder)
        except OSError:  # another process was quicker: what it kept is the same
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _digest(
    teacher: BertForSequenceClassification, examples: Examples, layers: Sequence[int]
) -> str:
    """Of the weights, the tokens and the layers."""
    digest = hashlib.sha256(json.dumps([*layers, len(examples), teacher.config.pooling]).encode())
    for name, tensor in teacher.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    for tokens in examples.tokens:
        digest.update(np.asarray([len(tokens), *tokens], np.int64))
    digest.update(np.asarray([examples.special.cls, examples.special.sep], np.int64))
    return digest.hexdigest()[:32]
