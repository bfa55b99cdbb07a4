"""Web addresses: what is refused, where they lead, and that nothing secret in them is ever shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genred.errors import SourceError
from genred.sources import named, open_source, shown
from genred.sources.url import MOST_CHARACTERS, Url

SECRET = "https://me:geheim@radio.example:8443/live/x.mp3?token=geheim&u=geheim"


def test_the_parts() -> None:
    """Host, port, target, user and password are taken apart; the last two are decoded and never sent in the address."""
    url = Url.parse("HTTPS://me%40home:p%3Aw@Radio.example:8443/a%20b?x=1#gone")
    assert (url.scheme, url.host, url.port, url.target) == ("https", "radio.example", 8443, "/a%20b?x=1")
    assert (url.user, url.password) == ("me@home", "p:w")
    assert url.sent == "https://radio.example:8443/a%20b?x=1"
    assert Url.parse("http://[::1]").sent == "http://[::1]/"
    assert Url.parse("http://bücher.example/").host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file:///etc/passwd", "file: is neither http: nor https:"),
        ("data:audio/mpeg;base64,AAAA", "data: is neither"),
        ("concat:http://a/|http://b/", "concat: is neither"),
        ("//host/", "no scheme"),
        ("http:///geheim", "no host"),
        ("http://h:geheim/", "port cannot be read"),
        ("http://[geheim/", "cannot be read"),
        ("http://h/a\nHost: geheim", "characters"),
        ("http://h/a b", "characters"),
        ("http://h\\@geheim/", "characters"),
        ("http://h/" + "a" * MOST_CHARACTERS, "longer"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    """Only http and https, only what is an address; the reason quotes nothing that may be secret."""
    with pytest.raises(ValueError, match=says) as caught:
        Url.parse(text)
    assert "geheim" not in str(caught.value)


def test_a_secret_is_not_shown() -> None:
    """Password, user and query are hidden in the text of an address, its repr, and a source's URI."""
    assert str(Url.parse(SECRET)) == repr(Url.parse(SECRET)) == "https://***@radio.example:8443/live/x.mp3?***"
    assert shown(SECRET) == "https://***@radio.example:8443/live/x.mp3?***"
    assert shown("icy://me:geheim@h/x") == "icy://***@h/x"
    assert shown("http:me:geheim@h") == "http:***"
    assert shown("http://h:geheim/") == "http://***"
    for uri in ("mic:USB@home?channels=1", "file:///a@b?loop=1", "-?live=1", "a@b.wav"):
        assert shown(uri) == uri


@given(
    st.text(max_size=40),
    st.sampled_from(["http://u:geheim@h/", "https://h/p?geheim", "http://geheim@", "HTTP:geheim@"]),
)
def test_nothing_secret_is_shown_of_what_is_malformed(junk: str, start: str) -> None:
    """Whatever follows, also what is no address at all."""
    assert "geheim" not in shown(start + junk.replace("/", ""))


@pytest.mark.parametrize(
    ("reference", "sent", "user"),
    [
        ("b.mp3", "https://radio.example:8443/live/b.mp3", "me"),
        ("/c?d", "https://radio.example:8443/c?d", "me"),
        ("https://radio.example:8443/e", "https://radio.example:8443/e", "me"),
        ("https://radio.example/e", "https://radio.example/e", ""),
        ("http://radio.example:8443/e", "http://radio.example:8443/e", ""),
        ("//evil.example:8443/e", "https://evil.example:8443/e", ""),
        ("https://you:pw@radio.example:8443/e", "https://radio.example:8443/e", "you"),
    ],
)
def test_where_a_reference_leads(reference: str, sent: str, user: str) -> None:
    """A password goes along to the same scheme, host and port, and nowhere else."""
    url = Url.parse(SECRET).join(reference)
    assert (url.sent, url.user) == (sent, user)
    assert bool(url.password) == bool(user)


@pytest.mark.parametrize("place", ["you:geheim@[::1", "you:[geheim]@h", "you:geheim@\u2100"])
def test_a_reference_that_cannot_be_read(place: str) -> None:
    """It is refused in words of our own: Python's would quote it."""
    with pytest.raises(ValueError, match="its host or its port cannot be read"):
        Url.parse(SECRET).join(f"http://{place}/")


@pytest.mark.parametrize(
    "uri", [f"{SECRET}#volume=1", f"{SECRET}#gain=loud", f"{SECRET}#gain", "http://me:geheim@h:x/"]
)
def test_a_complaint_about_an_address_hides_it(uri: str) -> None:
    """Bad options and bad addresses are refused without what is secret in them."""
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    assert "geheim" not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        (SECRET, "x"),
        ("http://geheim:geheim@Radio.Example:8000", "radio-example-8000"),
        ("https://h/?token=geheim", "h"),
        ("http://h/radio/FM%204.ogg#gain=3", "fm-204"),
    ],
)
def test_a_station_named_after_its_address(uri: str, name: str) -> None:
    """The last part of the path, else the host; nothing secret becomes part of topics."""
    assert named(uri, []) == (name, uri)
    with pytest.raises(SourceError) as caught:
        named(f"Radio={uri}", [])
    assert "geheim" not in str(caught.value)
