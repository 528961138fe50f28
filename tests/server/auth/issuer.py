"""An OAuth 2.1 authorization server on loopback, whose answers a test changes. Users say yes to everything."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import anyio
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.peer import PATIENCE

AUDIENCE = "https://mcp.example.com/mcp"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, key_id: str | None, **more: Any) -> dict[str, Any]:
    """A private key's public half as a member of a JWK Set."""
    kind = jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else jwt.algorithms.RSAAlgorithm
    document = json.loads(kind.to_jwk(key.public_key()))
    return {**document, **({"kid": key_id} if key_id else {}), "use": "sig", **more}


@dataclass
class Issuer:
    """An authorization server: its URL, what it publishes, and the paths that were asked for."""

    url: str = "https://issuer.example.com"
    audience: str = AUDIENCE
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public_jwk(EC_KEY, "k1")])
    asked: list[str] = field(default_factory=list)
    codes: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    scope: str = ""

    def token(self, key: Any = EC_KEY, key_id: str | None = "k1", alg: str = "ES256", **changed: Any) -> str:
        """An access token; a claim of None is left out, a name with `header_` is a member of the header."""
        now = time.time()
        claims: dict[str, Any] = {"iss": self.url, "aud": self.audience, "sub": "ada", "client_id": "app"}
        claims |= {"iat": now, "exp": now + 86_400}
        header = {name.removeprefix("header_"): changed.pop(name) for name in list(changed) if "header_" in name}
        claims = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return jwt.encode(claims, key, alg, {**({"kid": key_id} if key_id else {}), **header})

    def metadata(self) -> dict[str, Any]:
        """The document of RFC 8414."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }

    async def describe(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        return JSONResponse(self.metadata(), self.status)

    async def publish(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        return JSONResponse({"keys": self.keys}, self.status)

    async def register(self, request: Request) -> Response:
        return JSONResponse({**await request.json(), "client_id": "app", "token_endpoint_auth_method": "none"}, 201)

    async def authorize(self, request: Request) -> Response:
        code, asked = secrets.token_urlsafe(), dict(request.query_params)
        self.codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def exchange(self, request: Request) -> Response:
        form = await request.form()
        asked = self.codes.pop(str(form["code"]))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if challenge.decode().rstrip("=") != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.scope = asked.get("scope", "")
        token = self.token(aud=asked["resource"], scope=self.scope)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": self.scope})


@asynccontextmanager
async def issuer() -> AsyncIterator[Issuer]:
    """Serve an authorization server."""
    served = Issuer()
    app = Starlette(
        routes=[
            Route("/.well-known/oauth-authorization-server", served.describe),
            Route("/jwks", served.publish),
            Route("/register", served.register, methods=["POST"]),
            Route("/authorize", served.authorize),
            Route("/token", served.exchange, methods=["POST"]),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        served.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with anyio.create_task_group() as tasks:
            # Not `serve`, which takes the signals of the process: the server under test has them.
            tasks.start_soon(server._serve, [listening])
            with anyio.fail_after(PATIENCE):
                while not server.started:
                    await anyio.lowlevel.checkpoint()
            try:
                yield served
            finally:
                server.should_exit = True
