"""HTTP and HTTPS for downloads: which redirects are followed, and which faults may pass."""

import contextlib
import email.utils
import math
import time
from http import HTTPStatus
from typing import Any
from urllib import request as urllib_request
from urllib.parse import urlsplit

LATER = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)  # client errors that pass
SCHEMES = ("http", "https")


class UnusableAddress(Exception):  # noqa: N818  (a state of the download, not an error of the user)
    """An address that does not have the file; trying again does not help."""


class WrongFile(UnusableAddress):
    """An address that has another file."""


class TryLater(Exception):  # noqa: N818  (a state of the download, not an error of the user)
    """An address that may work later, perhaps after some seconds."""

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


class _Redirects(urllib_request.HTTPRedirectHandler):
    """Follows redirects to HTTP and HTTPS only; urllib itself would follow those to FTP."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Return the request to the new address, or refuse it."""
        if (scheme := urlsplit(newurl).scheme) not in SCHEMES:
            fp.close()
            raise UnusableAddress(f"redirects to {scheme}:, which is not allowed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener() -> urllib_request.OpenerDirector:
    """Return an opener for HTTP and HTTPS, with the proxies of the environment; urllib's own also opens files and FTP."""
    opener = urllib_request.OpenerDirector()
    for handler in (
        urllib_request.ProxyHandler(),
        urllib_request.UnknownHandler(),
        urllib_request.HTTPHandler(),
        urllib_request.HTTPSHandler(),
        urllib_request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib_request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def retry_after(headers: Any) -> float:
    """Return for how many seconds a server asks to wait, as a number or until a date."""
    text = str(headers.get("Retry-After", "") if headers is not None else "").strip()
    if text.isdecimal():
        return float(text)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        return seconds if math.isfinite(seconds) else 0.0
    return 0.0
