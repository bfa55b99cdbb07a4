"""HTTP and HTTPS for stations: what a server may send, how long it may take and where it may lead are bounded.

Built on urllib3: it is synchronous, as a source's thread is; it hands out a body as it comes; and it follows, retries
and trusts nothing that it was not told to. Its own log lines hold whole addresses, so they go nowhere.
"""

from __future__ import annotations

import base64
import logging
import ssl
import time
from collections.abc import Mapping
from functools import partial
from ipaddress import ip_address
from types import TracebackType
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from .. import __version__
from ..errors import SourceLost
from ..messages import plain
from .limits import HEAD_BYTES, Meter, MeteredResponse, TooMuchError
from .resolver import connect
from .url import Url
from .why import why

logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)

FRAMING_BYTES = 64 * 1024  # what a chunked body may spend on itself between two reads
MOST_REDIRECTS = 8
CONNECT_S = 10.0
REDIRECTS = (301, 302, 303, 307, 308)
HEADERS = {
    "User-Agent": f"genred/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Icy-MetaData": "1",
}


class _Bounded:
    """A connection of urllib3 that looks names up, connects and reads within limits."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.meter = Meter()
        self.response_class: Any = partial(MeteredResponse, self.meter)

    def _new_conn(self) -> Any:
        self.meter.allow(HEAD_BYTES, self.timeout)  # type: ignore[attr-defined]  # for the answer of a proxy
        return connect(self.host, self.port, self.timeout, self.socket_options)  # type: ignore[attr-defined]

    def getresponse(self) -> Any:
        self.meter.allow(HEAD_BYTES, self.timeout)  # type: ignore[attr-defined]
        return super().getresponse()  # type: ignore[misc]


class _Plain(_Bounded, HTTPConnection):
    pass


class _Secure(_Bounded, HTTPSConnection):
    pass


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


class Answer:
    """What a server answered, with its body still to be read.

    Attributes
    ----------
    url : Url
        Where it came from in the end.
    length : int or None
        Of the body in bytes, if the server says so.
    """

    def __init__(self, url: Url, response: urllib3.BaseHTTPResponse, timeout_s: float) -> None:
        self.url, self._response, self._timeout_s = url, response, timeout_s
        self._meter: Meter = getattr(response.connection, "meter", Meter())
        said = self.header("content-length")
        self.length = int(said) if said.isascii() and said.isdecimal() and len(said) < 20 else None

    def header(self, name: str) -> str:
        """Value of a header, at most 500 characters; empty if there is none."""
        return plain(self._response.headers.get(name, "")).strip()

    def read(self, n: int) -> bytes:
        """Next bytes of the body, at most `n`, as soon as there are any; nothing at its end.

        Raises
        ------
        SourceLost
            If nothing comes, or the connection breaks.
        """
        self._meter.allow(n + FRAMING_BYTES, self._timeout_s)
        try:
            return self._response.read1(n)
        except (urllib3.exceptions.HTTPError, TooMuchError, OSError) as error:
            raise SourceLost(f"{self.url} {why(error, f'has sent nothing for {self._timeout_s:g} s')}") from error

    def whole(self, most: int) -> bytes:
        """All of the body, if it is short and comes in time.

        Raises
        ------
        SourceLost
        """
        content, until_s = bytearray(), time.monotonic() + self._timeout_s
        while more := self.read(min(16384, most + 1 - len(content))):
            content += more
            if len(content) > most:
                raise SourceLost(f"{self.url} is longer than {most} bytes")
            if time.monotonic() > until_s:
                raise SourceLost(f"{self.url} takes longer than {self._timeout_s:g} s")
        return bytes(content)

    @property
    def over(self) -> bool:
        """Whether it has been read to its end, or closed."""
        return self._response.closed

    def close(self) -> None:
        """Read no more of it."""
        self._response.close()


class Client:
    """Asks servers; a context manager that closes all its connections.

    Parameters
    ----------
    timeout_s : float
        How long a server may send nothing; to look it up and connect may take no longer either, and no more than 10 s.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s, self._connect_s = timeout_s, min(timeout_s, CONNECT_S)
        self._open: list[Answer] = []
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}  # scheme, proxy

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for answer in self._open:
            answer.close()
        for manager in self._managers.values():
            manager.clear()

    def get(self, url: Url, headers: Mapping[str, str] | None = None, status: int = 200) -> Answer:
        """Ask for `url` and go where the server sends us; the answer has `status`.

        Raises
        ------
        SourceLost
            In all other cases, with the reason.
        """
        first = url
        for _ in range(MOST_REDIRECTS + 1):
            answer, got, reason = self._ask(url, headers or {})
            if got == status:
                self._open = [*(one for one in self._open if not one.over), answer]
                return answer
            location = answer._response.headers.get("location", "")
            answer.close()
            if got not in REDIRECTS or not location:
                hint = "; it wants https://USER:PASSWORD@..." if got == 401 else ""
                raise SourceLost(f"{url} answers {got} {plain(reason)[:100]}".rstrip() + hint)
            try:
                url = url.join(location)
            except ValueError as error:
                raise SourceLost(f"{url} leads to where genred does not go: {error}") from error
        raise SourceLost(f"{first} redirects more than {MOST_REDIRECTS} times")

    def _ask(self, url: Url, headers: Mapping[str, str]) -> tuple[Answer, int, str]:
        try:
            response = self._manager(url).urlopen(
                "GET",
                url.sent,
                headers={**HEADERS, **_authorization(url), **headers},
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=self._connect_s, read=self.timeout_s),
            )
        except (urllib3.exceptions.HTTPError, TooMuchError, OSError, ValueError) as error:
            late = f"has not answered within {self._connect_s + self.timeout_s:g} s"
            raise SourceLost(f"{url} {why(error, late)}") from error
        return Answer(url, response, self.timeout_s), response.status, response.reason or ""

    def _manager(self, url: Url) -> urllib3.PoolManager:
        """Pools of the way to `url`: direct, or through the proxy that the environment names."""
        key = url.scheme, _proxy(url)
        if key not in self._managers:
            options: dict[str, Any] = {"num_pools": 4}
            if url.scheme == "https" or key[1].startswith("https:"):
                options["ssl_context"] = ssl.create_default_context()  # as the system trusts at this moment
            manager = _through(key[1], options) if key[1] else urllib3.PoolManager(**options)
            manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
            self._managers[key] = manager
        return self._managers[key]


def _through(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    try:
        address = Url.parse(proxy if "://" in proxy else f"http://{proxy}")
    except ValueError as error:
        raise SourceLost(f"the proxy that the environment names cannot be used: {error}") from error
    headers = {f"Proxy-{name}": value for name, value in _authorization(address).items()}
    return urllib3.ProxyManager(f"{address.scheme}://{address.place}", proxy_headers=headers, **options)


def _proxy(url: Url) -> str:
    """Address of the proxy for `url`, empty for none; never for this machine itself."""
    try:
        local = ip_address(url.host).is_loopback
    except ValueError:
        local = url.host == "localhost"
    if local or proxy_bypass(f"{url.host}:{url.port}"):
        return ""
    return getproxies_environment().get(url.scheme, "")


def _authorization(url: Url) -> dict[str, str]:
    if not url.user and not url.password:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(f'{url.user}:{url.password}'.encode()).decode()}"}


__all__ = ["Answer", "Client"]
