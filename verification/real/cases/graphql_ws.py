"""GraphQL over WebSocket."""

from __future__ import annotations

from verification.real.tools import ToolClient


async def query(tools: ToolClient) -> None:
    """Run a query with variables."""
    result = await tools.json("query", query="query($n: String!) { hello(name: $n) }", variables={"n": "World"})
    assert result == {"hello": "Hello World"}


async def mutation(tools: ToolClient) -> None:
    """Run a mutation with quotation marks in a variable."""
    title = 'Ulysses "1922"'
    text = "mutation($t: String!) { addBook(title: $t) { title } }"
    assert await tools.json("query", query=text, variables={"t": title}) == {"addBook": {"title": title}}


async def subscription(tools: ToolClient) -> None:
    """Run a subscription to its end."""
    stream = await tools.stream("subscribe", query="subscription { countdown(from: 4) }")
    assert stream.value == {"items": [{"countdown": n} for n in (4, 3, 2, 1, 0)], "end": "until", "complete": True}


async def endless_subscription(tools: ToolClient) -> None:
    """Stop an endless subscription after three results by a message to the server."""
    stream = await tools.stream("first_three", query="subscription { clock }")
    assert stream.value == {"items": [{"clock": n} for n in (0, 1, 2)], "end": "max_items", "complete": False}
    assert '"type":"complete"' in tools.messages(">")[-1][1]


async def query_during_stream(tools: ToolClient) -> None:
    """Receive results of a running subscription between a query and its reply."""
    clock = tools.start("subscribe", query="subscription { clock }")
    await clock.wait_for_items(1)
    before = len(clock.progress)
    assert await tools.json("query", query="{ slow(ms: 250) }") == {"slow": "slept 250"}
    assert len(clock.progress) >= before + 3
    tools.remember(clock=clock)


async def stop_clock(tools: ToolClient) -> None:
    """Cancel the call as a host does; the bridge ends the subscription."""
    await tools.recall("clock").cancel()
    assert await tools.json("query", query='{ hello(name: "again") }') == {"hello": "Hello again"}
    assert any('"type":"complete"' in text for _, text in tools.messages(">"))


async def resolver_error(tools: ToolClient) -> None:
    """Fail where the reply holds errors beside data."""
    assert await tools.error("query", query="{ secret }") == "the endpoint said: FORBIDDEN: not for you [tool-error]"


async def validation_error(tools: ToolClient) -> None:
    """Fail where the server sends a message of the type `error`."""
    assert (
        await tools.error("query", query="{ nothing }")
        == 'the endpoint said: Cannot query field "nothing" on type "Query". [tool-error]'
    )


async def ping(tools: ToolClient) -> None:
    """Receive the payload of a ping."""
    assert await tools.text("ping", text="é") == "é"


async def refused_token(tools: ToolClient) -> None:
    """Fail with a wrong token: the server closes the connection."""
    async with tools.restarted({"TOKEN": "wrong"}) as unauthorized:
        assert "closed by the server with code 4403; the endpoint said: “Forbidden”" in await unauthorized.error(
            "query", query="{ books }"
        )


async def no_subprotocol(tools: ToolClient) -> None:
    """Fail without a subprotocol: the server closes the connection."""
    assert "closed by the server with code 4406" in await tools.error("query_without_subprotocol", query="{ books }")
