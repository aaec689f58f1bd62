"""Who may look: on this computer everybody; from elsewhere only who has the token.

The server listens on 127.0.0.1 and answers only to that name, so that a page from elsewhere cannot
reach it under a name of its own (DNS rebinding). When it is told to listen elsewhere, every request
(pages, frames, websocket) needs a token, once in the address and from then on in a cookie.
Websocket and API answer only to the dashboard's own pages: a browser says from where it asks, and the
page of another server on this computer, or of another port, is refused. Every answer tells the browser
to ask nobody but this server for anything (a content security policy).
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VARIABLE = "CELLTRAIL_DASHBOARD_TOKEN"
COOKIE = "celltrail_token"
HEALTH = "/_stcore/health"  # says "ok" and nothing else: what watches over a container has no token
POLICY = (  # Streamlit's pages hold scripts and styles inline, and make workers and pictures of their own
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; base-uri 'self'; form-action 'self'; object-src 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
REFUSAL = "This dashboard is not open under this address: use the one that was printed when it was started."


def is_loopback(address: str | None) -> bool:
    """Whether a server at this address can be reached from this computer only."""
    if address is None:
        return False
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def token_for(address: str | None) -> str | None:
    """The token that a server at this address demands (from the environment, else a new one); ``None``: none."""
    return None if is_loopback(address) else os.environ.get(VARIABLE) or secrets.token_urlsafe(24)


def warning(address: str | None, port: int, token: str) -> str:
    """What to say when the dashboard can be reached from other computers."""
    return (
        f"Warning: this dashboard listens on {address or 'all addresses'}: who knows the token sees all data in it.\n"
        f"Open  http://HOST:{port}/?token={token}  with the name of this computer as HOST.\n"
    )


class Gate:
    """ASGI middleware. Without a token only requests to this computer's own names pass, else only those with the token."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, redirect once to set the cookie, or refuse."""
        is_health = scope["type"] == "http" and scope["path"] == HEALTH
        if scope["type"] not in ("http", "websocket") or is_health or self._may_pass(scope):
            await self.app(scope, receive, _with_headers(send))
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        shown = query.pop("token", "")
        if self.token is not None and secrets.compare_digest(shown.encode(), self.token.encode()):
            path = "/" + scope["path"].lstrip("/\\")  # never another host
            answer = RedirectResponse(path + (f"?{urlencode(query)}" if query else ""), status_code=303)
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            await answer(scope, receive, send)
        else:
            await PlainTextResponse(REFUSAL, status_code=403)(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        known = self._has_cookie(scope) if self.token is not None else _is_own_name(scope)
        return known and _is_own_page(scope)

    def _has_cookie(self, scope: Scope) -> bool:
        assert self.token is not None
        for value in _header(scope, b"cookie"):
            try:
                cookie = SimpleCookie(value)
            except CookieError:
                continue
            if COOKIE in cookie and secrets.compare_digest(cookie[COOKIE].value.encode(), self.token.encode()):
                return True
        return False


def _header(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for name, value in scope.get("headers", []) if name.lower() == wanted]


def _with_headers(send: Send) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message.get("headers", [])}
            own = [(name, value) for name, value in HEADERS if name not in there]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await send(message)

    return send_more


def _is_own_name(scope: Scope) -> bool:
    hosts = _header(scope, b"host")
    if len(hosts) != 1:
        return False
    name, _, port = hosts[0].rpartition(":")
    return is_loopback((name if port.isdecimal() else hosts[0]).strip("[]"))


def _is_own_page(scope: Scope) -> bool:
    """Whether a browser asks from a page of this very server; what is no browser says nothing, and passes.

    ``Origin`` comes with every websocket and most requests of scripts, ``Sec-Fetch-Site`` with all others, pictures
    too. A link from elsewhere may open a page, which is why only websocket and API ask for more.
    """
    host = "".join(_header(scope, b"host")).lower()
    if any(origin.lower().partition("://")[2] != host for origin in _header(scope, b"origin")):
        return False
    elsewhere = any(site not in ("same-origin", "none") for site in _header(scope, b"sec-fetch-site"))
    opens_page = _header(scope, b"sec-fetch-dest") == ["document"] and "/api/" not in scope["path"]
    return not elsewhere or (opens_page and scope["type"] == "http")
