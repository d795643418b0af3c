import contextlib
import hashlib
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from legged_skills.mocap import catalogue, fetch
from legged_skills.mocap.catalogue import DataFile, DataSet
from legged_skills.mocap.download import FetchOptions
from legged_skills.mocap.formats.read import _licence_near
from legged_skills.robots.errors import DownloadError, FileFormatError, SettingsError

BODY = bytes(range(256)) * 1200  # 307200 bytes, more than one chunk
QUICK = FetchOptions(timeout_s=0.3, attempts=3, pause_s=0.01, max_pause_s=0.02, lock_wait_s=5.0)


class _Handler(BaseHTTPRequestHandler):
    """Answers with the server's next reply, or serves the body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = cast(Server, self.server)
        server.requests.append((self.path, dict(self.headers)))
        reply = server.replies.pop(0) if server.replies else serve()
        with contextlib.suppress(OSError):  # the client may hang up
            reply(self)

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.replies: list[Reply] = []
        self.body = BODY
        self.etag = '"v1"'
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def header(self, index: int, name: str) -> str | None:
        return self.requests[index][1].get(name)


Reply = Callable[[_Handler], None]


def send(handler, status, body=b"", headers=None, stated=None):
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body) if stated is None else stated))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True


def serve(cut: int | None = None, ranges: bool = True) -> Reply:
    """A proper file server, which may send only ``cut`` bytes of what it states."""

    def reply(handler):
        server, wanted = handler.server, handler.headers.get("Range")
        body, status, headers = server.body, 200, {"ETag": server.etag}
        if_range = handler.headers.get("If-Range")
        if ranges and wanted and if_range in (None, server.etag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        send(handler, status, body[:cut], headers, stated=len(body))

    return reply


def answer(status, body=b"", headers=None, stated=None) -> Reply:
    return lambda handler: send(handler, status, body, headers, stated)


def unbounded(body) -> Reply:
    """Ends where the connection does, without saying how long it is."""

    def reply(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return reply


def stall(after: int) -> Reply:
    """Sends the beginning, then nothing more."""

    def reply(handler):
        headers = {"ETag": handler.server.etag}
        send(handler, 200, handler.server.body[:after], headers, stated=len(handler.server.body))
        handler.wfile.flush()
        handler.server.closing.wait(10)

    return reply


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


def file_of(url, body=BODY, name="walk.amc", **fields) -> DataFile:
    digest = hashlib.sha256(body).hexdigest()
    return DataFile(name=name, url=f"{url}/{name}", size=len(body), sha256=digest, **fields)


def set_of(*files) -> DataSet:
    return DataSet(
        name="some_set",
        description="a walk",
        licence="Free for all.",
        citation="Somebody, 2020",
        homepage="http://example.org",
        files=files,
    )


def run(server, tmp_path, options=QUICK, body=BODY) -> Path:
    (path,) = fetch.fetch_set(set_of(file_of(server.url, body)), cache=tmp_path, options=options)
    return path


def leftovers(tmp_path) -> set[str]:
    folder = tmp_path / "mocap" / "some_set"
    return {path.name for path in folder.iterdir()} - {".lock", "LICENSE.txt"}


def put_part(tmp_path, content) -> Path:
    part = tmp_path / "mocap" / "some_set" / "walk.amc.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    return part


def test_complete_download_lies_in_the_sets_folder_beside_its_licence(server, tmp_path):
    skeleton = file_of(server.url, name="walk.asf", skeleton=True)
    data_set = set_of(skeleton, file_of(server.url))
    paths = fetch.fetch_set(data_set, cache=tmp_path, options=QUICK)
    folder = tmp_path / "mocap" / "some_set"
    assert paths == [folder / "walk.amc"]
    assert paths[0].read_bytes() == (folder / "walk.asf").read_bytes() == BODY
    assert _licence_near(paths[0]) == "Free for all. Somebody, 2020 http://example.org"
    assert leftovers(tmp_path) == {"walk.amc", "walk.asf"}
    assert [path for path, _ in server.requests] == ["/walk.asf", "/walk.amc"]
    assert server.header(0, "Range") is None


def test_what_is_in_the_cache_is_not_downloaded_again(server, tmp_path):
    run(server, tmp_path)
    server.requests.clear()
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.requests == []


def test_a_complete_cache_that_may_only_be_read_will_do(server, tmp_path, monkeypatch):
    run(server, tmp_path)
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("writes"))
    monkeypatch.setattr(fetch, "write_text", lambda *_: pytest.fail("writes"))
    run(server, tmp_path)


@pytest.mark.parametrize("damaged", [BODY[:-1], BODY[:-1] + b"?", b""])
def test_a_damaged_file_in_the_cache_is_replaced(server, tmp_path, damaged):
    run(server, tmp_path).write_bytes(damaged)
    assert run(server, tmp_path).read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_cut_connection_is_resumed_where_it_ended(server, tmp_path):
    server.replies = [serve(cut=100_000), serve(cut=50_000)]
    assert run(server, tmp_path).read_bytes() == BODY
    ranges = [server.header(index, "Range") for index in range(3)]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert [server.header(index, "If-Range") for index in range(3)] == [None, '"v1"', '"v1"']
    assert leftovers(tmp_path) == {"walk.amc"}


def test_a_weak_etag_is_no_condition_for_a_range(server, tmp_path):
    server.etag = 'W/"v1"'
    server.replies = [serve(cut=1000)]
    assert run(server, tmp_path).read_bytes() == BODY
    assert (server.header(1, "Range"), server.header(1, "If-Range")) == ("bytes=1000-", None)


def test_a_file_that_changed_in_between_is_sent_whole_and_taken_from_its_start(server, tmp_path):
    def first(handler):
        serve(cut=1000)(handler)
        handler.server.etag = '"v2"'

    server.replies = [first]
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.header(1, "If-Range") == '"v1"'


def test_a_server_that_ignores_ranges_starts_over(server, tmp_path):
    server.replies = [serve(cut=1000), serve(ranges=False)]
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.header(1, "Range") == "bytes=1000-"
    assert len(server.requests) == 2


def test_a_server_that_sends_another_range_starts_over(server, tmp_path):
    put_part(tmp_path, BODY[:1000])
    other = answer(206, BODY[500:-500], {"Content-Range": f"bytes 500-306699/{len(BODY)}"})
    server.replies = [other, answer(200, b"?" + BODY[1:])]  # one corrupt body is forgiven
    assert run(server, tmp_path).read_bytes() == BODY
    assert [server.header(index, "Range") for index in range(3)] == ["bytes=1000-", None, None]


def test_a_range_that_cannot_be_had_starts_over(server, tmp_path):
    put_part(tmp_path, BODY[:1000])
    server.replies = [answer(416)]
    assert run(server, tmp_path).read_bytes() == BODY
    assert [server.header(index, "Range") for index in range(2)] == ["bytes=1000-", None]


def test_a_finished_part_needs_no_request(server, tmp_path):
    put_part(tmp_path, BODY)
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.requests == []


@pytest.mark.parametrize("part", [BODY + b"?", b"?" * len(BODY), b"?" + BODY[1:1000]])
def test_a_wrong_part_is_thrown_away(server, tmp_path, part):
    put_part(tmp_path, part)
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.header(-1, "Range") is None


def test_a_corrupt_body_is_tried_twice_and_leaves_nothing(server, tmp_path):
    wrong = b"?" + BODY[1:]
    server.body = wrong
    with pytest.raises(DownloadError) as error:
        run(server, tmp_path)
    assert len(server.requests) == 2
    assert leftovers(tmp_path) == set()
    digests = [hashlib.sha256(body).hexdigest() for body in (wrong, BODY)]
    assert str(error.value) == (
        f"{server.url}/walk.amc: is not the file that the catalogue lists: "
        f"its SHA-256 is {digests[0]}, expected {digests[1]}."
    )


def test_a_body_that_is_corrupt_once_is_made_up_for(server, tmp_path):
    server.replies = [answer(200, b"?" + BODY[1:])]
    assert run(server, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("body", [BODY + b"?", BODY[:-1]])
def test_a_body_of_another_stated_length_is_refused_unread(server, tmp_path, body):
    server.body = body
    with pytest.raises(DownloadError, match=f"it has {len(body)} bytes, expected {len(BODY)}"):
        run(server, tmp_path)
    assert leftovers(tmp_path) == set()


def test_a_body_that_goes_on_is_cut_off(server, tmp_path):
    server.replies = [unbounded(BODY + BODY)] * 2
    with pytest.raises(DownloadError, match="it has more than the expected 307200 bytes"):
        run(server, tmp_path)
    assert leftovers(tmp_path) == set()


def test_a_body_that_ends_early_without_a_length_is_resumed(server, tmp_path):
    server.replies = [unbounded(BODY[:1000])]
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.header(1, "Range") == "bytes=1000-"


def test_a_range_of_a_file_of_another_size_is_refused(server, tmp_path):
    put_part(tmp_path, BODY[:1000])
    server.replies = [answer(206, BODY[1000:], {"Content-Range": "bytes 1000-307199/999999"})]
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.header(1, "Range") is None


def test_connections_that_are_always_cut_end_in_one_sentence_and_keep_the_part(server, tmp_path):
    server.replies = [serve(cut=1000)] * 3
    with pytest.raises(DownloadError) as error:
        run(server, tmp_path)
    assert str(error.value) == (
        f"{server.url}/walk.amc: cannot be downloaded, after 3 attempt(s): "
        "the connection ended after 3000 of 307200 bytes."
    )
    assert leftovers(tmp_path) == {"walk.amc.part", "walk.amc.part.etag"}
    assert run(server, tmp_path).read_bytes() == BODY  # and the next run goes on from there
    assert server.header(3, "Range") == "bytes=3000-"


def test_what_is_not_there_is_asked_for_once(server, tmp_path):
    server.replies = [answer(404, b"<html>no</html>")]
    with pytest.raises(DownloadError, match=r"/walk.amc: the server answered 404 Not Found\.$"):
        run(server, tmp_path)
    assert len(server.requests) == 1
    assert leftovers(tmp_path) == set()


def test_a_server_at_fault_is_asked_again(server, tmp_path):
    server.replies = [answer(503), answer(429)]
    assert run(server, tmp_path).read_bytes() == BODY
    assert len(server.requests) == 3


def test_a_server_that_hangs_is_given_up(server, tmp_path):
    server.replies = [lambda handler: handler.server.closing.wait(10), stall(1000)]
    options = FetchOptions(timeout_s=0.2, attempts=2, pause_s=0.01)
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"after 2 attempt\(s\): .*timed out"):
        run(server, tmp_path, options)
    assert time.monotonic() - started < 3
    assert leftovers(tmp_path) == {"walk.amc.part", "walk.amc.part.etag"}


def test_a_server_that_trickles_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr("legged_skills.mocap.download.MIN_RATE", 1e9)

    def trickle(handler):
        send(handler, 200, b"", stated=len(BODY))
        while not handler.server.closing.wait(0.02):
            handler.wfile.write(b"?")

    server.replies = [trickle]
    with pytest.raises(DownloadError, match="slower than"):
        run(server, tmp_path, FetchOptions(timeout_s=0.2, attempts=1))


def test_what_is_no_http_is_reported(tmp_path, server):
    server.replies = [lambda handler: handler.wfile.write(b"nonsense\r\n\r\n")] * 3
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        run(server, tmp_path)


def test_a_closed_port_is_reported(tmp_path, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"after 3 attempt\(s\): .*refused"):
        run(server, tmp_path)


def test_redirections_are_followed(server, tmp_path):
    server.replies = [serve(cut=1000), answer(302, b"there", {"Location": "/elsewhere"})]
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.requests[2][0] == "/elsewhere"
    assert server.header(2, "Range") == "bytes=1000-"


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_redirections_lead_to_web_addresses_only(server, tmp_path, target):
    server.replies = [answer(302, b"", {"Location": target})]
    with pytest.raises(DownloadError) as error:
        run(server, tmp_path)
    assert "\n" not in str(error.value)
    assert len(server.requests) == 1


def test_redirections_in_a_circle_end(server, tmp_path):
    server.replies = [answer(301, b"", {"Location": "/walk.amc"})] * 50
    with pytest.raises(DownloadError) as error:
        run(server, tmp_path)
    assert "\n" not in str(error.value)
    assert len(server.requests) < 20


def test_a_killed_download_goes_on_in_the_next_run(server, tmp_path, repo_root):
    server.replies = [stall(200_000)]
    file = file_of(server.url)
    code = (
        "from legged_skills.mocap.catalogue import DataFile, DataSet\n"
        "from legged_skills.mocap.fetch import fetch_set\n"
        f"fetch_set({set_of(file)!r}, cache={str(tmp_path)!r})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(repo_root)}
    part = tmp_path / "mocap" / "some_set" / "walk.amc.part"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        deadline = time.monotonic() + 20
        while not (part.is_file() and part.stat().st_size >= 2 << 16):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(10)
    assert "walk.amc" not in leftovers(tmp_path)
    there = part.stat().st_size
    assert run(server, tmp_path).read_bytes() == BODY
    assert server.header(1, "Range") == f"bytes={there}-"


def test_two_downloads_at_once_take_turns(server, tmp_path):
    slow = threading.Event()

    def hesitant(handler):
        slow.wait(2)
        serve()(handler)

    server.replies = [hesitant]
    contents: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: contents.append(run(server, tmp_path).read_bytes()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    slow.set()
    for thread in threads:
        thread.join(5)
    assert contents == [BODY, BODY]
    assert len(server.requests) == 1


def test_waiting_for_another_download_has_an_end(server, tmp_path):
    server.replies = [stall(1000)]

    def hold():
        with pytest.raises(DownloadError, match="timed out"):
            run(server, tmp_path, FetchOptions(timeout_s=0.5, attempts=1))

    other = threading.Thread(target=hold)
    other.start()
    while not server.requests:
        time.sleep(0.01)
    with pytest.raises(DownloadError, match="another process"):
        run(server, tmp_path, FetchOptions(lock_wait_s=0.1))
    other.join(5)


def test_a_mirror_is_laid_out_like_the_cache(server, tmp_path):
    data_set = set_of(file_of("https://example.org/far/away"))
    mirror = f"{server.url}/mirror/"
    (path,) = fetch.fetch_set(data_set, cache=tmp_path, base_url=mirror, options=QUICK)
    assert path.read_bytes() == BODY
    assert server.requests[0][0] == "/mirror/some_set/walk.amc"


@pytest.mark.parametrize(
    "base_url", ["file:///etc", "ftp://a/b", "/tmp", "", "http://", "http://["]
)
def test_a_mirror_is_a_web_address(tmp_path, base_url):
    with pytest.raises(SettingsError, match="http or https"):
        fetch.fetch("dog", cache=tmp_path, base_url=base_url)


def test_a_cache_that_is_no_folder_is_named(server, tmp_path):
    (tmp_path / "mocap").write_text("in the way")
    with pytest.raises(FileFormatError, match=f"{tmp_path}.*cannot be read or written"):
        run(server, tmp_path)


def test_a_folder_in_the_files_place_is_named(server, tmp_path):
    (tmp_path / "mocap" / "some_set" / "walk.amc").mkdir(parents=True)
    with pytest.raises(FileFormatError, match="cannot be read or written"):
        run(server, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported(server, tmp_path):
    part = put_part(tmp_path, b"")
    part.unlink()
    part.symlink_to("/dev/full")
    with pytest.raises(FileFormatError, match="No space left"):
        run(server, tmp_path)
    assert "walk.amc" not in leftovers(tmp_path)


def test_the_bar_shows_name_and_amount(server, tmp_path, monkeypatch):
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=100)
    monkeypatch.setattr(fetch, "Console", lambda **_: terminal)
    run(server, tmp_path)
    assert "some_set" in out.getvalue()
    assert "307.2/307.2 kB" in out.getvalue()


def test_no_bar_without_a_terminal(server, tmp_path, capfd):
    run(server, tmp_path)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LEGGED_SKILLS_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/mocap"),
        ({"LEGGED_SKILLS_CACHE": "~/a"}, "/home/me/a/mocap"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/legged_skills/mocap"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/legged_skills/mocap"),
        ({"LEGGED_SKILLS_CACHE": ""}, "/home/me/.cache/legged_skills/mocap"),
    ],
)
def test_where_the_cache_is(monkeypatch, variables, expected):
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("LEGGED_SKILLS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert fetch.cache_dir() == Path(expected)
    assert fetch.cache_dir("/c") == Path("/c/mocap")


def test_a_trial_is_fetched_with_its_skeleton_into_the_sets_folder(server, tmp_path, monkeypatch):
    walk = file_of(server.url, name="walk.amc", trial="some_set_walk")
    run_ = file_of(server.url, name="run.amc", trial="some_set_run")
    skeleton = file_of(server.url, name="walk.asf", skeleton=True)
    whole = set_of(skeleton, walk, run_)
    monkeypatch.setattr(catalogue, "load", lambda: {"some_set": whole})
    paths = fetch.fetch("some_set_walk", cache=tmp_path, options=QUICK)
    assert paths == [tmp_path / "mocap" / "some_set" / "walk.amc"]
    assert leftovers(tmp_path) == {"walk.amc", "walk.asf"}
    assert not fetch.summary(whole, tmp_path)["cached"]
    assert len(fetch.fetch("some_set", cache=tmp_path, options=QUICK)) == 2
    assert len(server.requests) == 3
    summary = fetch.summary(whole, tmp_path)
    assert (summary["cached"], summary["motions"], summary["size"]) == (True, 2, 3 * len(BODY))


def test_unknown_names_list_the_known_ones():
    with pytest.raises(SettingsError, match=r"'cats'; there are cmu_02, .*cmu_16, .*dog, deep"):
        fetch.fetch("cats")
    with pytest.raises(SettingsError, match=r"'cmu_11_09'; there are cmu_11_01\."):
        fetch.fetch("cmu_11_09")


def test_the_catalogue_lists_pinned_https_files_with_hash_size_and_licence():
    sets = catalogue.load()
    assert {"cmu_07", "cmu_10", "cmu_16", "cmu_35", "dog", "deepmimic"} <= set(sets)
    pinned = re.compile(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/[!-~]+")
    addresses = [file.url for entry in sets.values() for file in entry.files]
    assert all(pinned.fullmatch(address) for address in addresses)
    assert len(set(addresses)) == len(addresses) > 100
    for entry in sets.values():
        assert len(entry.licence) <= 300  # what a clip's source field keeps of it
        assert entry.description and entry.citation and catalogue.is_web(entry.homepage)
    assert all("NSF EIA-0196217" in sets[name].licence for name in sets if name.startswith("cmu"))
    assert "CC BY-NC 4.0" in sets["dog"].licence
    assert "MIT" in sets["deepmimic"].licence


def test_every_cmu_subject_has_one_skeleton_and_a_name_for_each_trial():
    for name, entry in catalogue.load().items():
        if name.startswith("cmu_"):
            subject = name.removeprefix("cmu_")
            skeleton, *motions = entry.files
            assert (skeleton.name, skeleton.skeleton) == (f"{subject}.asf", True)
            assert [f"cmu_{file.name}" for file in motions] == [f"{f.trial}.amc" for f in motions]
            assert not any(file.skeleton for file in motions)
            assert all(file.description for file in motions)
    assert [file.name for file in catalogue.find("cmu_16_35").files] == ["16.asf", "16_35.amc"]


def test_the_catalogue_describes_the_known_files(mocap_dir):
    folders = {"dog": "dog_keypoints", "deepmimic": "deepmimic"}
    compared = 0
    for name, folder in folders.items():
        for file in catalogue.load()[name].files:
            path = mocap_dir / folder / file.name
            if path.is_file():
                content = path.read_bytes()
                assert len(content) == file.size, file.name
                assert hashlib.sha256(content).hexdigest() == file.sha256, file.name
                compared += 1
    assert compared >= 20


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/passwd", "..", ".hidden", "", "a\\b", "a\n"])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(FileFormatError, match="not a name"):
        DataFile(name=name, url="https://a/b", size=1, sha256="0" * 64)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "file:///etc/passwd"}, "not an http or https address"),
        ({"size": 0}, "a size of 0 bytes"),
        ({"size": 10**12}, "a size of"),
        ({"sha256": "0" * 63}, "not a SHA-256"),
        ({"name": "LICENSE.txt"}, "cannot have this name"),
        ({"name": "walk.amc.part"}, "cannot have this name"),
    ],
)
def test_impossible_entries_are_refused(fields, message):
    entry = {"name": "walk.amc", "url": "https://a/b", "size": 1, "sha256": "0" * 64}
    with pytest.raises(FileFormatError, match=message):
        DataFile(**{**entry, **fields})


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"sources": {}, "sets": [{"name": "a"}]}', "\xff"]
)
def test_a_damaged_catalogue_is_refused(tmp_path, text):
    path = tmp_path / "catalogue.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileFormatError, match=r"catalogue\.json: is not a catalogue"):
        catalogue.load(path)


def test_options_out_of_range_are_refused():
    wrongs: list[dict[str, Any]]
    wrongs = [{"timeout_s": 0.0}, {"attempts": 0}, {"pause_s": -1.0}, {"timeout_s": float("nan")}]
    for wrong in wrongs:
        with pytest.raises(SettingsError):
            FetchOptions(**wrong)
