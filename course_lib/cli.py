"""The `course` command: everything the Makefile, a reader, a learner or an author runs.

Each command imports what it needs when it runs, so that `course --help` answers at once, and says
in one line what is wrong (exit code 2) when it meets something the user can mend.
"""

import json
import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from course_lib.errors import CourseError

app = typer.Typer(
    help="Language Models, Distilled: read, run, check and build the course.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="The texts of the course: fetch, list, pack.", no_args_is_help=True)
app.add_typer(data, name="data")

Chapters = Annotated[
    list[str] | None, typer.Argument(help="chapters, as 01 or 01_language_models; default: all")
]


def main() -> None:
    """Run a command; one readable line for what the user can mend."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console or pipe may know no ✓ and no 语
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("course: interrupted", file=sys.stderr)
        sys.exit(130)


# ------------------------------------------------------------------------------------ the data


@data.command("list")
def data_list() -> None:
    """Each data parcel: is it here, where, how big, and whose."""
    from course_lib.data import parcels

    for held in parcels.holdings():
        print(f"{held.parcel.name:<8} {held.state:<8} {held.size / 1e6:>5.1f} MB  {held.path}")
        print(f"{'':<8} {held.parcel.contents} ({held.parcel.rights})")


@data.command("fetch")
def data_fetch(
    names: Annotated[list[str] | None, typer.Argument(help="parcels; default: all")] = None,
) -> None:
    """Download the parcels that are not here yet, and verify those that are."""
    from course_lib.data import parcels

    for name in names or parcels.PARCELS:
        print(f"{name}: {parcels.fetch(name, repair=True)}")


@data.command("pack")
def data_pack(folder: Annotated[Path, typer.Argument(help="where to put the files")]) -> None:
    """Make a folder of all parcels for machines without network: COURSE_MIRROR=FOLDER there."""
    from course_lib.data import parcels

    for file in parcels.pack(folder):
        print(file)


# ----------------------------------------------------------------------------------- the models


class Recipe(StrEnum):
    """The models that `course train` knows."""

    kneser_ney = "kneser-ney"
    mlp = "mlp"
    rnn = "rnn"
    lstm = "lstm"
    gru = "gru"
    gpt = "gpt"
    gpt_plain = "gpt-plain"


@app.command()
def train(
    recipe: Annotated[Recipe, typer.Argument(help="which model")],
    text: Annotated[
        Path | None,
        typer.Option(help="a UTF-8 text of your own; its last 10 % is validation"),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="steps to train; default: the recipe's")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="seconds to train instead, evaluation not counted")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of the start and the batches [default: 0]")] = (
        None
    ),
    out: Annotated[
        Path | None,
        typer.Option(help="folder for the model; an interrupted run in it goes on"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the result as one line of JSON, last")
    ] = False,
) -> None:
    """Train a language model on the ladder's Shakespeare, or on a text of your own."""
    from course_lib.data import corpora

    corpus = corpora.read_text_file(text) if text else corpora.load("shakespeare")
    if recipe is Recipe.kneser_ney:
        from course_lib.training.recipes import train_kneser_ney

        options = {"--steps": steps, "--seconds": seconds, "--seed": seed, "--out": out}
        if given := [name for name, value in options.items() if value is not None]:
            raise CourseError(f"kneser-ney only counts; leave out {' and '.join(given)}")
        result = train_kneser_ney(corpus)
    else:
        from course_lib.training.network_recipes import NETWORK_RECIPES, train_network

        result = train_network(
            NETWORK_RECIPES[recipe], corpus, steps=steps, seconds=seconds, seed=seed or 0, out=out
        )
    if os.environ.get("RANK", "0") != "0":  # under torchrun the first process speaks for all
        return
    if as_json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<24} {value:.4f}" if isinstance(value, float) else f"{name:<24} {value}")


@app.command()
def experiment(
    name: Annotated[str | None, typer.Argument(help="which one; without: list them")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="runs of each setting; default: the experiment's")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="keep the finished runs and go on; a second process shares the grid"
        ),
    ] = False,
    restamp: Annotated[
        bool,
        typer.Option("--restamp", help="stamp as fresh, if every setting still begins as recorded"),
    ] = False,
) -> None:
    """Make the runs of a recorded experiment (minutes to hours) and write its record."""
    from course_lib.publishing import records
    from course_lib.publishing.repository import find_root

    root = find_root()
    if name is None:
        for row in records.overview(root):
            print(f"{row['experiment']:<24} {row['runs']:>4} runs {row['minutes']:>6} minutes")
        return
    found = records.with_seeds(records.find(root, name), seeds)
    if restamp:
        print(f"{records.restamp(root, found)} settings begin as recorded; {name} is stamped fresh")
        return
    print(found.question)
    rows = records.perform(root, found, resume=resume)
    print(f"{len(rows)} runs are recorded")


class Start(StrEnum):
    """How the student of `course advise` begins."""

    copied = "copied"
    random = "random"


class Teacher(StrEnum):
    """What the teacher of `course advise` was trained on, or what it is."""

    same = "same-labels"
    all = "all-labels"
    counts = "naive-bayes"


IN_THE_RECORD = {
    Teacher.same: "same labels",
    Teacher.all: "all labels",
    Teacher.counts: "naive Bayes",
}


@app.command()
def advise(
    labels: Annotated[int, typer.Option(help="texts with a label that you have")],
    unlabelled: Annotated[int, typer.Option(help="texts without a label that you have")] = 0,
    start: Annotated[
        Start, typer.Option(help="layers of a pretrained model, or random numbers")
    ] = Start.copied,
    teacher: Annotated[
        Teacher, typer.Option(help="trained on the labels you have, on many others, or counting")
    ] = Teacher.same,
    latency: Annotated[
        float | None, typer.Option(help="milliseconds that a sentence may take: who is so quick?")
    ] = None,
) -> None:
    """Say whether distilling a classifier is likely to pay, from the recorded experiments."""
    from course_lib.distillation import advice
    from course_lib.experiments import load_record

    rows = load_record("when-distilling-pays")
    print(advice.advise(rows, labels, unlabelled, start.value, IN_THE_RECORD[teacher]))
    if latency is not None:
        print("\n" + advice.quick_enough(load_record("distilling-bert"), latency))


class Pretrained(StrEnum):
    """The models of others that `course generate` knows."""

    smollm2 = "smollm2"


@app.command()
def generate(
    folder: Annotated[
        Path | None, typer.Argument(help="what `course train … --out FOLDER` made")
    ] = None,
    model: Annotated[
        Pretrained | None, typer.Option(help="a chat model of others instead of a folder")
    ] = None,
    prompt: Annotated[str, typer.Option(help="text to go on from, or the question")] = "\n",
    length: Annotated[int, typer.Option(help="characters (smollm2: tokens) to write")] = 500,
    temperature: Annotated[
        float, typer.Option(help="0: always the likeliest token; 1: as the model believes")
    ] = 0.8,
    top_p: Annotated[
        float | None, typer.Option(help="draw from the likeliest, together so likely")
    ] = None,
    min_p: Annotated[
        float | None, typer.Option(help="draw from those so likely, as a share of the likeliest")
    ] = None,
    seed: Annotated[int, typer.Option(help="another one, another text")] = 0,
    raw: Annotated[
        bool, typer.Option("--raw", help="smollm2: go on from the prompt as it is, no question")
    ] = False,
) -> None:
    """Let a trained model go on writing from the prompt, or a chat model answer it."""
    if (folder is None) == (model is None):
        raise CourseError("name a folder of a trained model, or --model smollm2")
    if raw and model is None:
        raise CourseError("--raw is for chat models; leave it out")

    import numpy as np
    import torch

    from course_lib import generation

    if folder is not None:
        from course_lib.training.network_recipes import load_trained

        network, tokenizer = load_trained(folder)
        tokens, stop = tokenizer.encode(prompt), ()
        before = prompt

        def as_text(written: Iterator[int]) -> Iterator[str]:
            for token in written:
                yield tokenizer.decode(np.array([token]))
    else:
        from course_lib.models.pretrained import load_smollm2

        chat = load_smollm2(torch.bfloat16, packed=True)
        network, tokenizer = chat.model, chat.tokenizer
        stop = set(tokenizer.special.values())
        tokens, before, as_text = tokenizer.encode(prompt), prompt, tokenizer.decode_stream
        if not raw:
            tokens, before = tokenizer.encode_chat([{"role": "user", "content": prompt}]), ""
    written = generation.stream(
        network,
        torch.from_numpy(tokens),
        length,
        temperature,
        seed,
        stop=stop,
        top_p=top_p,
        min_p=min_p,
    )
    print(before, end="", flush=True)
    for text in as_text(written):
        print(text, end="", flush=True)
    print()


# ------------------------------------------------------------------------------- for the learner


@app.command()
def check(
    notebook: Annotated[Path, typer.Argument(help="an exercises.ipynb with your answers")],
) -> None:
    """Check the answers in a notebook with nbval; the notebook itself is left as it is."""
    from course_lib.exercises.notebook_check import check_notebook

    report = check_notebook(notebook)
    print(report)
    raise typer.Exit(0 if report.passed else 1)


@app.command()
def doctor() -> None:
    """Look at what is installed here, and say how to mend what is missing."""
    from course_lib import environment

    findings = environment.doctor()
    for finding in findings:
        mark = "✓" if finding.ok else "✗"
        mend = "" if finding.ok else f"   → {finding.mend}"
        print(f"{mark} {finding.what:<24} {finding.found}{mend}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@app.command()
def lab() -> None:
    """Open the course in JupyterLab."""
    from course_lib.publishing.repository import find_root
    from course_lib.publishing.suite import run_lab

    raise typer.Exit(run_lab(find_root()))


# -------------------------------------------------------------------------------- for the author


@app.command()
def refresh(
    chapters: Chapters = None,
    check: Annotated[
        bool, typer.Option("--check", help="change nothing; fail if a page is stale")
    ] = False,
    restamp: Annotated[
        bool, typer.Option("--restamp", help="stamp as fresh, where nbval is green on it as it is")
    ] = False,
) -> None:
    """Execute the pages whose code, library or records changed (or the chapters you name)."""
    from course_lib.figures.ladder import write_ladder
    from course_lib.publishing import refresh as publisher
    from course_lib.publishing.records import stale_records
    from course_lib.publishing.repository import find_root
    from course_lib.publishing.status import write_status_page

    root = find_root()
    if check:
        stale = publisher.stale_pages(root, chapters)
        stale |= {} if chapters else stale_records(root)
        for page, said in stale.items():
            print(f"stale: {page.relative_to(root)}: {'; '.join(said)}")
        if stale:
            raise CourseError(
                f"{len(stale)} page(s) or record(s) are stale; run `course refresh` and `course "
                "experiment NAME`, or both with --restamp where the change leaves the numbers as "
                "they are"
            )
        print("every page and every record is fresh")
        return
    if restamp:
        written = publisher.restamp(root, chapters)
    else:
        written = publisher.refresh(root, chapters)
    write_ladder(root)
    write_status_page(root)
    print(f"{len(written)} page(s) written")


@app.command()
def status() -> None:
    """Each page: fresh or stale, and what running it costs."""
    from course_lib.publishing.repository import find_root
    from course_lib.publishing.status import rows

    for row in rows(find_root()):
        cost = f"{row['seconds']:>6} s {row['memory (MB)']:>5} MB"
        print(f"{row['page']:<40} {cost}  {row['state']}")


@app.command()
def book() -> None:
    """Build the HTML book; any warning is an error."""
    from course_lib.publishing.book import build_book
    from course_lib.publishing.repository import find_root

    index = build_book(find_root())
    print(f"the book is built; open {index.as_uri()}")


@app.command()
def test() -> None:
    """Lint, unit tests, freshness, every notebook, the built book in a browser."""
    from course_lib.publishing.repository import find_root
    from course_lib.publishing.suite import run_suite

    raise typer.Exit(run_suite(find_root()))


@app.command()
def bench() -> None:
    """Run every benchmark: pairs side by side, medians and ratios."""
    from course_lib.publishing.repository import find_root
    from course_lib.publishing.suite import run_benchmarks

    raise typer.Exit(run_benchmarks(find_root()))


@app.command("set-repository")
def set_repository(
    url: Annotated[str, typer.Argument(help="such as https://github.com/you/course")],
) -> None:
    """Make URL the repository's address in every file and every setup cell."""
    from course_lib.publishing import setup_cell
    from course_lib.publishing.repository import find_root

    root = find_root()
    for file in setup_cell.set_repository(root, url):
        print(f"changed {file.relative_to(root)}")


if __name__ == "__main__":
    main()
