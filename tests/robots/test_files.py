import os
from pathlib import Path

import numpy as np
import pytest

from legged_skills.robots import files, npz
from legged_skills.robots.errors import FileFormatError


def test_archive_round_trip_is_exact(tmp_path):
    path = tmp_path / "deep" / "a.npz"
    arrays = {"x/y": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([True])}
    files.write_archive(path, "thing", arrays, {"n": 1, "text": "ü"})
    found, header = files.read_archive(path, "thing")
    assert header == {"n": 1, "text": "ü"}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def fail() -> None:
        with files.atomic_write(path) as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_links_and_devices_stay_what_they_are(tmp_path):
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    files.write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_text(pipe, "through")
    assert os.read(reader, 100) == b"through" and pipe.is_fifo()
    os.close(reader)
    files.write_text("/dev/null", "nothing")
    assert Path("/dev/null").is_char_device()
    # A link to nowhere yet makes what it points to.
    (tmp_path / "ahead").symlink_to(tmp_path / "later")
    files.write_text(tmp_path / "ahead", "x")
    assert (tmp_path / "later").read_text() == "x"


def test_full_disk_is_one_sentence():
    # A Linux device that is always full.
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with pytest.raises(FileFormatError, match=r"a.npz: cannot be written \(.*\); what was there"):
        _write_to_full_disk()


def _write_to_full_disk() -> None:
    import errno
    from unittest import mock

    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        mock.patch("os.fsync", side_effect=full),
        mock.patch(
            "tempfile.mkstemp",
            side_effect=lambda **kw: (os.open("/dev/full", os.O_WRONLY), "/nonexistent/x"),
        ),
        mock.patch("pathlib.Path.mkdir"),
    ):
        files.write_archive("a.npz", "thing", {"x": np.zeros(3)}, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello", "not a readable .npz archive"),
        # A single array, as in an .npy file.
        (b"\x93NUMPY\x01\x00", "not a readable .npz archive"),
        (None, "there is no such file"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, message):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as error:
        files.read_archive(path, "thing")
    assert str(error.value).startswith(str(path))


def test_truncated_and_foreign_archives_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    files.write_archive(path, "thing", {"x": np.random.default_rng(0).random(1000)}, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match="not a readable"):
        files.read_archive(path, "thing")
    path.write_bytes(whole)
    with pytest.raises(FileFormatError, match="expected a bundle, found a thing"):
        files.read_archive(path, "bundle")
    np.savez(path, x=np.zeros(1))
    with pytest.raises(FileFormatError, match="the file has no header"):
        files.read_archive(path, "thing")
    # A flipped byte in the data is found by the archive's checksum.
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(FileFormatError, match="not a readable"):
        files.read_archive(path, "thing")


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(FileFormatError, match="field x holds pickled objects"):
        npz.read_npz(path)


def test_pickles_that_are_not_needed_are_left_out(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{}], dtype=object), y=np.ones(2))
    assert npz.field_names(path) == {"x", "y"}
    arrays = npz.read_npz(path, needed=("y",))
    assert list(arrays) == ["y"]
    np.testing.assert_array_equal(arrays["y"], np.ones(2))
    with pytest.raises(FileFormatError, match="field x holds pickled objects"):
        npz.read_npz(path, needed=("x", "y"))


def test_reserved_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="reserved"):
        files.write_archive(tmp_path / "a.npz", "thing", {"header": np.zeros(1)}, {})


@pytest.mark.parametrize("header", ["[]", "5", "null", '"x"', "{}", "{", "1" * 5000])
def test_headers_of_other_things_are_named(tmp_path, header):
    path = tmp_path / "a.npz"
    np.savez(path, header=np.array(header))
    with pytest.raises(
        FileFormatError, match=r"a\.npz: expected a thing, but the header is damaged"
    ):
        files.read_archive(path, "thing")


def test_file_names_that_are_no_utf_8_can_be_written_about(tmp_path: Path) -> None:
    name = os.fsdecode(b"L\xe4ufer.bvh")
    files.write_text(tmp_path / "report.html", f"{name}, \u00e4")
    assert (tmp_path / "report.html").read_bytes() == b"L\\udce4ufer.bvh, \xc3\xa4"
