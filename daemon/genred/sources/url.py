"""Web addresses: checked, followed only to http and https, and shown without what is secret in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

PORTS = {"http": 80, "https": 443}
MOST_CHARACTERS = 4096
MOST_SHOWN = 200  # characters of a path
UNREADABLE = "its host or its port cannot be read"  # what Python says of such an address may quote a password


@dataclass(frozen=True, repr=False)
class Url:
    """One ``http://`` or ``https://`` address. Its text, ``str(url)``, hides the password and the query.

    Attributes
    ----------
    host : str
        In ASCII; an IPv6 address without brackets.
    target : str
        Path and query.
    user, password : str
        Empty where there is none.
    """

    scheme: str
    host: str
    port: int
    target: str
    user: str = ""
    password: str = ""

    @classmethod
    def parse(cls, text: str) -> Url:
        """Read an address; a fragment is dropped.

        Raises
        ------
        ValueError
            With what is wrong, and without what may be secret.
        """
        parts = _split(text)
        if parts.scheme not in PORTS:
            raise ValueError(f"{parts.scheme or 'no scheme'}: is neither http: nor https:")
        host = parts.hostname or ""
        if not host:
            raise ValueError("it names no host")
        path = parts.path or "/"
        return cls(
            parts.scheme,
            _ascii(host),
            parts.port or PORTS[parts.scheme],
            f"{path}?{parts.query}" if parts.query else path,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )

    def join(self, reference: str) -> Url:
        """Address that `reference` means here. User and password go along to the same host, scheme and port only.

        Raises
        ------
        ValueError
            As `parse` does.
        """
        try:
            joined = urljoin(self.sent, reference.strip())
        except ValueError:
            raise ValueError(UNREADABLE) from None
        other = Url.parse(joined)
        if other.origin != self.origin or other.user:
            return other
        return Url(other.scheme, other.host, other.port, other.target, self.user, self.password)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whom it asks."""
        return self.scheme, self.host, self.port

    @property
    def place(self) -> str:
        """``HOST:PORT``, the port only if it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """Path alone."""
        return self.target.partition("?")[0]

    @property
    def sent(self) -> str:
        """What a client asks for: everything but user and password."""
        return f"{self.scheme}://{self.place}{self.target}"

    def __str__(self) -> str:
        return f"{self.scheme}://{'***@' if self.user or self.password else ''}{self.place}{_hidden(self.target)}"

    __repr__ = __str__


def shown(uri: str) -> str:
    """`uri` of a source as it may be shown to everybody: user, password and query of an address are hidden."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?", uri)
    if not match:
        return uri
    scheme, slashes = match[1].lower(), match[2]
    if not slashes:
        return f"{scheme}:***" if scheme in PORTS else uri
    try:
        parts = _split(uri)
    except ValueError:
        return f"{scheme}://***"
    if not parts.netloc and scheme not in PORTS:  # a path, as in file:///music
        return uri
    _, secret, place = parts.netloc.rpartition("@")
    return f"{scheme}://{'***@' if secret else ''}{place}{_hidden(f'{parts.path}?{parts.query}')}"


def _ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"no host can be called {host}") from None


def _hidden(target: str) -> str:
    path, _, query = target.partition("?")
    return f"{path[:MOST_SHOWN]}{'?***' if query else ''}"


def _split(text: str) -> SplitResult:
    """Take `text` apart."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it is longer than {MOST_CHARACTERS} characters")
    if not text.isprintable() or re.search(r"[\s\\]", text):  # urlsplit would drop line ends without a word
        raise ValueError("it has characters that no address can have")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(UNREADABLE) from None
    return parts
