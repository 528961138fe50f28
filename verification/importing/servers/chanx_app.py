"""A calculator with chanx: serves its AsyncAPI document at /asyncapi.json. Runs in an environment of its own."""

from __future__ import annotations

import sys
from typing import Any, Literal

import uvicorn
from chanx.core.decorators import channel, ws_handler
from chanx.fast_channels import asyncapi_spec_json
from chanx.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx.messages.base import BaseMessage
from fast_channels.layers import InMemoryChannelLayer, register_channel_layer
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.routing import WebSocketRoute


class Two(BaseModel):
    a: int
    b: int


class Add(BaseMessage):
    action: Literal["add"] = "add"
    payload: Two


class Sum(BaseMessage):
    action: Literal["sum"] = "sum"
    payload: int


class Shout(BaseMessage):
    action: Literal["shout"] = "shout"
    payload: str


class Shouted(BaseMessage):
    action: Literal["shouted"] = "shouted"
    payload: str


@channel(name="calc", description="A calculator")
class Calculator(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "default"

    @ws_handler(summary="Add two numbers", output_type=Sum)
    async def add(self, message: Add) -> Sum:
        return Sum(payload=message.payload.a + message.payload.b)

    @ws_handler(summary="Return a text in capitals", output_type=Shouted)
    async def shout(self, message: Shout) -> Shouted:
        return Shouted(payload=message.payload.upper())


register_channel_layer("default", InMemoryChannelLayer())
app = FastAPI(title="Calc")
app.router.routes.append(WebSocketRoute("/ws/calc", Calculator.as_asgi()))


@app.get("/asyncapi.json")
async def document(request: Request) -> Any:
    return await asyncapi_spec_json(request=request, app=app)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
