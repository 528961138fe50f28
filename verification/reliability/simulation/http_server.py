"""The HTTP server of a simulation: tickets for calls and keys for connections, with random faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from utcp_ws_mcp.client.http_client import HttpRequest, HttpResponse
from utcp_ws_mcp.errors import ConnectError

from .endpoint import Endpoint

HTTP_FAULTS: Final = ("http_refused", "http_error", "http_slow", "http_silent", "http_garbage")


class HttpServer:
    """Answers `GET /ticket/N` and `GET /key/N`: the values name what they are for, so that none can be another's."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def send_request(
        self,
        request: HttpRequest,
        network: Any,
        resolver: Any,
        timeout: float,
        tls: Any = None,
        endpoint_host: str | None = None,
        on_sent: Callable[[], None] = lambda: None,
    ) -> HttpResponse:
        """Answer a request of a step; it has the parameters of `http_client.send_request`."""
        endpoint = self._endpoint
        _, kind, number = request.url.target.split("/")
        await asyncio.sleep(0.01)
        if endpoint.happens("http_refused"):
            raise ConnectError(request.url.address, "no connection.", code="http-request-failed")
        on_sent()
        if kind == "ticket":
            endpoint.ledger.http_requests.add(int(number))
        endpoint.ledger.log(endpoint.loop.now, f"the HTTP server receives {request.url.target}")
        if endpoint.happens("http_silent"):
            await asyncio.sleep(timeout)
            raise ConnectError(request.url.address, "no complete HTTP response.", code="http-request-failed")
        await asyncio.sleep(1.0 if endpoint.happens("http_slow") else 0.01)
        if endpoint.happens("http_error"):
            return HttpResponse(503, b'{"message": "busy"}')
        if endpoint.happens("http_garbage"):
            return HttpResponse(200, b"<html>")
        return HttpResponse(200, json.dumps({kind: f"{kind}-{number}"}).encode())
