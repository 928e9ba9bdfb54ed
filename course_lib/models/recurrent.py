"""Networks that read one token after another and keep what they need in a state.

Three cells, each a function from (input x, state, weights) to the next state, written with the
letters of the papers: the plain RNN, the LSTM and the GRU. `Recurrent` runs layers of them over a
text, one token at a time; it has the parameters of `torch.nn.RNN`, `LSTM` and `GRU` under the same
names, so weights go from one to the other, and the outputs are equal. `RecurrentLM` is the language
model. It runs torch's kernels, which do the same a few times faster, unless told otherwise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.folders import ModelInAFolder, check_sizes

CellKind = Literal["rnn", "lstm", "gru"]

# ---------------------------------------------------------------------------------------------
# The cells
# ---------------------------------------------------------------------------------------------

CellState = tuple[Float[Tensor, "batch d_hidden"], ...]  # (h,), or (h, c) of an LSTM


class CellWeights(NamedTuple):
    """The weights of one cell. Cells with gates have one block of rows for each gate."""

    W: Float[Tensor, "rows d_input"]  # what the input says
    U: Float[Tensor, "rows d_hidden"]  # what the state says
    b_W: Float[Tensor, " rows"]
    b_U: Float[Tensor, " rows"]  # apart from b_W only because the GRU's reset gate needs it


def rnn_cell(
    x: Float[Tensor, "batch d_input"], state: CellState, weights: CellWeights
) -> CellState:
    """h ← tanh(W x + U h + b): the simple recurrent network.

    Elman (1990), "Finding Structure in Time", in the form of `torch.nn.RNN`.
    """
    W, U, b_W, b_U = weights
    (h,) = state
    return ((x @ W.T + b_W + h @ U.T + b_U).tanh(),)


def lstm_cell(
    x: Float[Tensor, "batch d_input"], state: CellState, weights: CellWeights
) -> CellState:
    """A memory c beside the state h: what is kept of it is only multiplied by the forget gate.

        i, f, o ← σ(W x + U h + b), each with its own rows        input, forget, output gate
        g       ← tanh(W x + U h + b)                             what could be written
        c       ← f ⊙ c + i ⊙ g
        h       ← o ⊙ tanh(c)

    Rows are in the order i, f, g, o. Hochreiter & Schmidhuber (1997), "Long Short-Term Memory",
    with the forget gate of Gers et al. (2000), "Learning to Forget", and no peepholes.
    """
    W, U, b_W, b_U = weights
    h, c = state
    i, f, g, o = (x @ W.T + b_W + h @ U.T + b_U).chunk(4, dim=-1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    h = o * c.tanh()
    return h, c


def gru_cell(
    x: Float[Tensor, "batch d_input"], state: CellState, weights: CellWeights
) -> CellState:
    """The LSTM's idea with one state and two gates.

        r, z ← σ(W x + U h + b), each with its own rows           reset, update gate
        n    ← tanh(W x + b_W + r ⊙ (U h + b_U))                  the candidate, Cho's h̃
        h    ← z ⊙ h + (1 − z) ⊙ n

    Rows are in the order r, z, n. Cho et al. (2014), "Learning Phrase Representations using RNN
    Encoder–Decoder", equations 5 to 8, except that r stands outside U h, as in `torch.nn.GRU`, so
    that the three products with U are one.
    """
    W, U, b_W, b_U = weights
    (h,) = state
    W_r, W_z, W_n = (x @ W.T + b_W).chunk(3, dim=-1)
    U_r, U_z, U_n = (h @ U.T + b_U).chunk(3, dim=-1)
    r, z = (W_r + U_r).sigmoid(), (W_z + U_z).sigmoid()
    n = (W_n + r * U_n).tanh()
    return (z * h + (1 - z) * n,)


@dataclass(frozen=True)
class _Kind:
    """What sets one kind of network apart from the others."""

    cell: Callable[..., CellState]
    blocks: int  # of rows in W and U
    n_states: int  # tensors in its state
    in_torch: type[nn.RNNBase]  # the same, in torch's kernels


KINDS: dict[str, _Kind] = {
    "rnn": _Kind(rnn_cell, blocks=1, n_states=1, in_torch=nn.RNN),
    "lstm": _Kind(lstm_cell, blocks=4, n_states=2, in_torch=nn.LSTM),
    "gru": _Kind(gru_cell, blocks=3, n_states=1, in_torch=nn.GRU),
}

# ---------------------------------------------------------------------------------------------
# Layers of cells
# ---------------------------------------------------------------------------------------------

State = tuple[Float[Tensor, "layers batch d_hidden"], ...]  # the cells' states, layer by layer


class Recurrent(nn.Module):
    """Layers of cells, unrolled over the tokens: each layer reads the states h of the one below.

    The same as `torch.nn.RNN`, `LSTM` or `GRU` with batch_first=True, and the same `state_dict`.
    """

    def __init__(self, kind: CellKind, d_input: int, d_hidden: int, n_layers: int = 1) -> None:
        super().__init__()
        self.kind, self.d_hidden, self.n_layers = KINDS[kind], d_hidden, n_layers
        rows = self.kind.blocks * d_hidden
        for layer in range(n_layers):
            d_below = d_hidden if layer else d_input
            shapes = {"weight_ih": (rows, d_below), "weight_hh": (rows, d_hidden)}
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                start = torch.empty(shape).uniform_(-1, 1) / math.sqrt(d_hidden)
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(start))

    def weights(self, layer: int) -> CellWeights:
        """The weights of one layer's cell."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return CellWeights(*(getattr(self, f"{name}_l{layer}") for name in names))

    def forward(
        self, inputs: Float[Tensor, "batch tokens d_input"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch tokens d_hidden"], State]:
        """The top layer's h after each token, and the state after the last one.

        Without a `state` the cells start from zeros.
        """
        if state is None:
            zeros = inputs.new_zeros(self.n_layers, len(inputs), self.d_hidden)
            state = (zeros,) * self.kind.n_states
        final = []
        for layer in range(self.n_layers):
            cell_state, weights = tuple(s[layer] for s in state), self.weights(layer)
            outputs = []
            for x in inputs.unbind(dim=1):  # one token after another: nothing to do in parallel
                cell_state = self.kind.cell(x, cell_state, weights)
                outputs.append(cell_state[0])
            inputs = torch.stack(outputs, dim=1)  # what the next layer reads
            final.append(cell_state)
        return inputs, tuple(map(torch.stack, zip(*final, strict=True)))


# ---------------------------------------------------------------------------------------------
# The language model
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecurrentConfig:
    """The shape of a recurrent language model. Raises CourseError for sizes that cannot be."""

    vocab_size: int  # symbols the model can read and write
    cell: CellKind = "lstm"
    d_embedding: int = 64  # numbers in the vector of a symbol
    d_hidden: int = 408  # units of a layer
    n_layers: int = 1
    fused: bool = True  # torch's kernels; False: the cells of this module, the same but slower

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "d_embedding", "d_hidden", "n_layers")
        if self.cell not in get_args(CellKind):
            raise CourseError(
                f"cell is {self.cell!r}; choose one of {', '.join(get_args(CellKind))}"
            )


class RecurrentLM(nn.Module, ModelInAFolder):
    """Reads a token, changes its state, and guesses the next token from the state.

    Mikolov et al. (2010), "Recurrent neural network based language model", with any of the cells.
    """

    config_class = RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = c = config
        self.embedding = nn.Embedding(c.vocab_size, c.d_embedding)
        if c.fused:
            in_torch = KINDS[c.cell].in_torch
            self.layers = in_torch(c.d_embedding, c.d_hidden, c.n_layers, batch_first=True)
        else:
            self.layers = Recurrent(c.cell, c.d_embedding, c.d_hidden, c.n_layers)
        self.head = nn.Linear(c.d_hidden, c.vocab_size)
        self.initialise()

    def forward(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens vocab"]:
        """Logits of the token after each of `tokens`, read from an empty (zero) state."""
        return self.read(tokens)[0]

    def read(
        self, tokens: Int[Tensor, "batch tokens"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch tokens vocab"], State]:
        """Logits of the token after each of `tokens`, and the state to go on from.

        Reading a text in two parts, the second from the state after the first, is the same as
        reading it whole.
        """
        x = self.embedding(tokens)  # (batch, tokens, d_embedding)
        if self.config.fused and state is not None and len(state) == 1:
            (state,) = state  # torch wants the bare h of an RNN or GRU …
        h, state = self.layers(x, state)  # (batch, tokens, d_hidden)
        state = (state,) if isinstance(state, Tensor) else state  # … and gives it back bare
        return self.head(h), state

    def initialise(self) -> None:
        """Start so that the state neither fades nor grows, and an LSTM forgets little.

        The blocks of U are orthogonal (Saxe et al., 2014); an LSTM's forget gate has a bias of 1
        (Jozefowicz et al., 2015); the rest is torch's: uniform within ±1/√d_hidden.
        """
        for name, parameter in self.layers.named_parameters():
            if name.startswith("weight_hh"):
                for block in parameter.data.split(self.config.d_hidden):
                    nn.init.orthogonal_(block)
            if name.startswith("bias_ih") and self.config.cell == "lstm":
                _, forget, _, _ = parameter.data.chunk(4)
                forget.fill_(1.0)


def gradient_by_distance(
    model: RecurrentLM, texts: Int[Tensor, "batch tokens"], seed: int = 0
) -> Float[Tensor, " distances"]:
    """What is left of a gradient k = 1, 2, … steps back, relative to one step back.

    The gradient of a random mixture of the last state's h, by the whole state (h, and an LSTM's c)
    after each token before the last; its norm, averaged over texts as a geometric mean.

    Bengio et al. (1994), "Learning Long-Term Dependencies with Gradient Descent Is Difficult".
    """
    state, states = None, []
    for token in texts.unbind(dim=1):
        _, state = model.read(token[:, None], state)
        for part in state:
            part.retain_grad()
        states.append(state)
    direction = torch.randn(model.config.d_hidden, generator=torch.Generator().manual_seed(seed))
    (states[-1][0] @ direction).sum().backward()
    norms = [torch.cat([part.grad for part in state], -1).norm(dim=(0, 2)) for state in states[:-1]]
    norms = torch.stack(norms).flip(0)  # (distances, batch)
    mean = norms.clamp(min=1e-40).log().mean(dim=1)
    model.zero_grad()
    return (mean - mean[0]).exp()
