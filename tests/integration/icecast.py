"""A real Icecast, and ffmpeg programs that play to it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import HTTPBasicAuthHandler, HTTPPasswordMgrWithDefaultRealm, build_opener

from audio_files import STREAMS
from conftest import music, write_wav

PASSWORD = "hackme"
CONFIGURATION = """<icecast>
  <limits><clients>50</clients><sources>20</sources><burst-size>65535</burst-size><source-timeout>5</source-timeout></limits>
  <authentication><source-password>{password}</source-password><admin-user>admin</admin-user>
    <admin-password>{password}</admin-password></authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <mount type="normal"><mount-name>/private</mount-name><authentication type="htpasswd">
    <option name="filename" value="{folder}/listeners"/></authentication></mount>
  <paths><basedir>{folder}</basedir><logdir>{folder}</logdir><webroot>{folder}</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot></paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>
</icecast>
"""
LISTENER = "me:5ebe2294ecd0e0f08eab7690d2a6ee69"  # of the password "secret", as Icecast's htpasswd keeps it: MD5


def unprivileged() -> str | None:
    """Name of a user that Icecast can run as: it refuses root."""
    return "nobody" if os.getuid() == 0 else None


class Icecast:
    """One server on a port of its own; it can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.folder = folder
        (folder / "listeners").write_text(f"{LISTENER}\n")
        configuration = CONFIGURATION.format(port=self.port, folder=folder, password=PASSWORD)
        (folder / "icecast.xml").write_text(configuration)
        self.players: dict[str, subprocess.Popen[bytes]] = {}
        if (user := unprivileged()) is not None:
            entry = pwd.getpwnam(user)
            for path in (folder, *folder.iterdir()):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        self.start()

    def start(self) -> None:
        command = ["icecast2", "-c", str(self.folder / "icecast.xml")]
        self.process = subprocess.Popen(
            command, user=unprivileged(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.until(lambda: self._answers())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def close(self) -> None:
        for player in self.players.values():
            player.kill()
            player.wait()
        self.stop()

    def url(self, mount: str, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.port}/{mount}"

    def play(self, kind: str, mount: str = "", *, sound: Path | None = None, rate: int = 48000) -> None:
        """Play in real time, for ever, as `kind`; at `mount`, which is named as the kind if it is not given."""
        mount = mount or kind
        self.fade(mount)
        name = "audio/mpeg" if kind == "mp3" else "audio/aac" if kind == "aac" else "application/ogg"
        source = ["-stream_loop", "-1", "-i", str(sound or self._music())]
        target = f"icecast://source:{PASSWORD}@127.0.0.1:{self.port}/{mount}"
        command = ["ffmpeg", "-nostdin", "-v", "error", "-re", *source, "-ar", str(rate), "-content_type", name]
        command += ["-flush_packets", "1", *STREAMS[kind], target]
        self.players[mount] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def fade(self, mount: str) -> None:
        """Play no more at `mount`."""
        if (player := self.players.pop(mount, None)) is not None:
            player.kill()
            player.wait()

    def title(self, mount: str, text: str) -> None:
        """Say what plays at `mount`; wait until there is such a mount."""
        passwords = HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, self.url(""), "admin", PASSWORD)
        opener = build_opener(HTTPBasicAuthHandler(passwords))
        query = f"mount=/{mount}&mode=updinfo&charset=UTF-8&song={quote(text)}"

        def told() -> bool:
            try:
                with opener.open(f"{self.url('admin/metadata')}?{query}", timeout=10) as reply:
                    return b"successful" in reply.read()
            except OSError:
                return False

        self.until(told)

    def _music(self) -> Path:
        path = self.folder / "music.wav"
        if not path.exists():
            write_wav(path, music(60.0, 44100), 44100)
        return path

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "error.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @staticmethod
    def until(done: object, timeout_s: float = 30) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not done():  # type: ignore[operator]
            assert time.monotonic() < deadline_s
            time.sleep(0.1)


@contextmanager
def icecast() -> Iterator[Icecast]:
    """Start one in a folder that its user may write to."""
    folder = Path(tempfile.mkdtemp())
    server = Icecast(folder)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)
