"""Why a server could not be asked, in words that hold nothing of its address: that may have a password in it."""

from __future__ import annotations

import http.client
import ssl

import urllib3

from .limits import HEAD_BYTES, TooMuchError


def why(error: Exception, late: str) -> str:
    """Say what went wrong; `late`, if it was a time-out. No text of a library is used that could hold the address."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a certificate that is refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"speaks no TLS that we understand: {cause.reason}"
        if isinstance(cause, TooMuchError | http.client.LineTooLong):
            return f"sends more than {HEAD_BYTES // 1024} kB before its body"
        if isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
            return late
    last = causes[-1]
    if isinstance(last, OSError):
        return f"broke off: {last.strerror or 'connection lost'}"
    if isinstance(last, http.client.IncompleteRead | urllib3.exceptions.IncompleteRead):
        return "broke off in the middle"
    if isinstance(last, http.client.HTTPException):
        return "answers what is no HTTP"
    return f"cannot be asked ({type(last).__name__})"


def _causes(error: BaseException) -> list[BaseException]:
    """`error` and what it was made of, the first cause last."""
    causes, seen = [error], {id(error)}
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and id(cause) not in seen:
        causes.append(cause)
        seen.add(id(cause))
    return causes
