"""A connection that is over leaves nothing behind for the garbage collector: its ring is megabytes."""

from __future__ import annotations

import gc
import http.server
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator

import pytest

from genred.bench.tune import tune, write_mp3
from genred.sources.intake import Intake
from genred.sources.network import Network
from genred.sources.synth import SAMPLE_RATE_HZ
from genred.sources.url import Url
from genred.supervisor import Attempt

ENDS = ("ends", "breaks", "stalls", "garbage")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose streams come to the end that their path names."""
    path = tmp_path_factory.mktemp("release") / "tune.mp3"
    write_mp3(tune()[: 5 * SAMPLE_RATE_HZ], path)
    music = path.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            how = self.path.strip("/")
            self.send_response(200)
            self.send_header("Content-Type", "audio/mpeg")
            if how == "breaks":
                self.send_header("Content-Length", str(10 * len(music)))
            self.end_headers()
            self.wfile.write(music)
            if how == "stalls":
                time.sleep(3)
            elif how == "garbage":
                self.wfile.write(bytes(range(256)) * 40_000)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("how", ENDS)
def test_a_ring_goes_with_its_connection(how: str, address: str) -> None:
    """However a stream ends, as soon as the worker has let it go, too."""
    gc.collect()
    gc.disable()
    try:
        arrivals: deque[Intake] = deque()
        attempt = Attempt(Network(Url.parse(f"{address}/{how}"), 1), arrivals, threading.Event(), threading.Event())
        thread = threading.Thread(target=attempt.run)
        thread.start()
        thread.join(30)
        assert attempt.notice is not None
        ring = weakref.ref(arrivals.popleft().ring)
        del attempt, thread
        assert ring() is None, [type(one) for one in gc.get_referrers(ring())]
    finally:
        gc.enable()
