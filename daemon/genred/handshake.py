"""Handshake: what keeps a subscriber out of a daemon, as far as libzmq tells it."""

from __future__ import annotations

import math
import time
import uuid

import zmq
from zmq.utils.monitor import recv_monitor_message

from .keys import KeyPair

WAIT_S = 1.0  # a daemon that is asked for the way in answers sooner, unless it does not know the key
RETRY_S = 2.0  # libzmq itself does not come again to who wants keys, or wants none
_MISMATCH = zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


class Handshake:
    """Watches one socket; belongs to the thread that has it.

    Parameters
    ----------
    socket : zmq.Socket
        Not connected yet.
    own : KeyPair or None
        The keys it shows, if it has any.

    Attributes
    ----------
    monitor : zmq.Socket
        To be polled; `heed` when something has come.
    """

    def __init__(self, socket: zmq.Socket[bytes], own: KeyPair | None) -> None:
        self._socket, self._own = socket, own
        self._refusal = ""
        self._began_s = math.inf
        self._retry_s = math.inf
        address = f"inproc://{uuid.uuid4().hex}"
        socket.monitor(address, _EVENTS)
        self.monitor = socket.context.socket(zmq.PAIR)
        self.monitor.setsockopt(zmq.LINGER, 0)
        self.monitor.connect(address)

    def heed(self) -> None:
        """Take one event."""
        told = recv_monitor_message(self.monitor)
        event, waited_s = told["event"], time.monotonic() - self._began_s
        if event == zmq.EVENT_CONNECTED:
            self._began_s = time.monotonic()
            return
        self._began_s = math.inf
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._refusal = ""
        elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL and told["value"] == _MISMATCH:
            self._refusal = "has no keys; leave --key and --server-key out" if self._own else _NEEDS_KEYS
            self._retry_s = time.monotonic() + RETRY_S
        elif self._own:
            self._refusal = self._unknown_key() if waited_s >= WAIT_S else _OTHER_KEY

    @property
    def refusal(self) -> str:
        """What the daemon does to us, and the remedy, to be said after its endpoint; empty if it lets us in."""
        if self._own and time.monotonic() - self._began_s >= WAIT_S:
            return self._unknown_key()
        return self._refusal

    def take_retry(self) -> bool:
        """Whether it is time to connect again, since libzmq does not."""
        if time.monotonic() < self._retry_s:
            return False
        self._retry_s = math.inf
        return True

    def close(self) -> None:
        """Watch no more."""
        self._socket.disable_monitor()
        self.monitor.close()

    def _unknown_key(self) -> str:
        public = self._own.public.decode() if self._own else ""
        return f"does not let the key {public} in; put its .public file into the folder that the daemon has as --allow"


_NEEDS_KEYS = "lets only those in who have a key; give yours with --key, and the daemon's with --server-key"
_OTHER_KEY = "has another key; give as --server-key the .public file that belongs to the daemon's --key"
