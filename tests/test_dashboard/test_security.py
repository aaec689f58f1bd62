"""Who may look at the dashboard."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from celltrail.dashboard.serving import security

TOKEN = "secret-token"


async def page(request: Any) -> PlainTextResponse:
    return PlainTextResponse("inside")


async def socket(websocket: Any) -> None:
    await websocket.accept()
    await websocket.close()


def ask(
    token: str | None,
    path: str = "/browse",
    query: str = "",
    cookie: str = "",
    host: str = "127.0.0.1:8501",
    kind: str = "http",
    more: dict[str, str] | None = None,
) -> tuple[int | str, dict[str, str], bytes]:
    """Status (or the first message of a websocket), headers and body."""
    app = Starlette(
        routes=[Route("/{path:path}", page), WebSocketRoute("/stream", socket)],
        middleware=[Middleware(security.Gate, token=token)],
    )
    headers = [(b"host", host.encode())] + ([(b"cookie", cookie.encode())] if cookie else [])
    headers += [(name.encode(), value.encode()) for name, value in (more or {}).items()]
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8501),
        "root_path": "",
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(app, scope, receive, send)
    if kind == "websocket":
        return sent[0]["type"], {}, b""
    found = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


def test_the_server_listens_on_this_computer_only(root: Path) -> None:
    config = tomllib.loads((root / "dashboard" / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["allowedHosts"] == ["localhost", "127.0.0.1"]
    assert config["browser"]["gatherUsageStats"] is False


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_computer_needs_no_token(address: str) -> None:
    assert security.token_for(address) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.4", "::", "example.org", None, ""])
def test_other_addresses_need_a_token(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(security.VARIABLE, raising=False)
    token = security.token_for(address)
    assert token is not None
    assert len(token) >= 32
    assert token != security.token_for(address)
    assert f"token={token}" in security.warning(address, 8501, token)


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(security.VARIABLE, TOKEN)
    assert security.token_for("0.0.0.0") == TOKEN


@pytest.mark.parametrize(
    ("query", "cookie"),
    [
        ("", ""),
        ("token=wrong", ""),
        ("", "celltrail_token=wrong"),
        ("", "other=secret-token"),
        ("token=", ""),
        ("", "celltrail_token="),
        ("", ";;=\x01"),
    ],
)
def test_without_the_token_nothing_is_served(query: str, cookie: str) -> None:
    status, _, body = ask(TOKEN, query=query, cookie=cookie)
    assert status == 403
    assert b"inside" not in body


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address() -> None:
    status, headers, _ = ask(TOKEN, query="t=4&token=secret-token")
    assert (status, headers["location"]) == (303, "/browse?t=4")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=strict" in headers["set-cookie"]
    assert ask(TOKEN, cookie="celltrail_token=secret-token", host="my-computer:8501")[2] == b"inside"


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "///evil.example"])
def test_the_redirect_stays_on_this_host(path: str) -> None:
    _, headers, _ = ask(TOKEN, path=path, query="token=secret-token")
    assert not headers["location"].startswith(("//", "/\\", "http", "/%5C"))


def test_websockets_need_the_token_too() -> None:
    assert ask(TOKEN, "/stream", kind="websocket")[0] == "websocket.close"
    assert ask(TOKEN, "/stream", query="token=secret-token", kind="websocket")[0] == "websocket.close"
    assert ask(TOKEN, "/stream", cookie="celltrail_token=secret-token", kind="websocket")[0] == "websocket.accept"


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "localhost", "[::1]:8501"])
def test_without_a_token_this_computer_passes(host: str) -> None:
    assert ask(None, host=host)[2] == b"inside"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "", "localhost.evil:80"]
)
def test_another_name_for_this_computer_is_refused(host: str) -> None:
    assert ask(None, host=host)[0] == 403
    assert ask(None, "/stream", host=host, kind="websocket")[0] == "websocket.close"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:9999",
        "http://127.0.0.1",
        "http://localhost:8501",
        "http://127.0.0.1:8501.evil.example",
        "http://127.0.0.1:8501@evil.example",
        "null",
        "",
        "http://[",
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_pages_from_elsewhere_reach_neither_websocket_nor_api(origin: str, token: str | None) -> None:
    about = {"cookie": f"celltrail_token={TOKEN}", "more": {"origin": origin}}
    assert ask(token, "/stream", kind="websocket", **about)[0] == "websocket.close"
    assert ask(token, "/api/layers/0/tracks", **about)[0] == 403
    about["more"] = {"origin": "http://127.0.0.1:8501", "sec-fetch-site": "same-origin"}
    assert ask(token, "/stream", kind="websocket", **about)[0] == "websocket.accept"
    assert ask(token, "/api/layers/0/tracks", **about)[2] == b"inside"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])  # the second: another port of this computer
def test_other_pages_can_show_no_picture_but_may_link_to_a_page(site: str) -> None:
    about = {"sec-fetch-site": site, "sec-fetch-dest": "image"}
    assert ask(None, "/api/movies/0/frames/0", more=about)[0] == 403
    assert ask(None, "/stream", kind="websocket", more=about)[0] == "websocket.close"
    about = {"sec-fetch-site": site, "sec-fetch-dest": "document"}
    assert ask(None, "/browse", more=about)[2] == b"inside"
    assert ask(None, "/api/movies/0/frames/0", more=about)[0] == 403
    assert ask(None, "/browse", more={**about, "sec-fetch-dest": "iframe"})[0] == 403


def test_two_names_at_once_are_refused() -> None:
    assert ask(None, more={"host": "evil.example"})[0] == 403


def test_every_answer_keeps_the_browser_with_this_server() -> None:
    headers = ask(None)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
    assert set(" ".join(rules.values()).split()) <= {
        *("'self'", "'none'", "data:", "blob:", "'unsafe-inline'", "'unsafe-eval'")
    }
    assert rules["default-src"].startswith("'self'")
    assert rules["frame-ancestors"] == "'self'"


def test_nothing_can_be_uploaded(root: Path) -> None:
    widgets = ("file_uploader", "camera_input", "audio_input", "chat_input", "data_editor", "unsafe_allow_html")
    scripts = {path.name: path.read_text() for path in (root / "dashboard").rglob("*.py")}
    assert len(scripts) > 20
    assert {name: [word for word in widgets if word in text] for name, text in scripts.items()} == {
        name: [] for name in scripts
    }


def test_health_needs_no_token_and_nothing_else_is_like_it() -> None:
    assert ask("secret", path=security.HEALTH)[0] == 200
    for path in (f"{security.HEALTH}/browse", f"/browse{security.HEALTH}", f"{security.HEALTH}z"):
        assert ask("secret", path=path)[0] == 403
    assert ask("secret", path=security.HEALTH, kind="websocket")[0] == "websocket.close"
