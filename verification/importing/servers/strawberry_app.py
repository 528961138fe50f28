"""A GraphQL endpoint with strawberry: query, mutation, subscription. Runs in an environment of its own."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator

import strawberry
import uvicorn
from strawberry.asgi import GraphQL

BOOKS = [("Emma", 1815), ("Middlemarch", 1871)]


@strawberry.type
class Book:
    title: str
    year: int


@strawberry.input
class NewBook:
    title: str
    year: int | None = None


@strawberry.type
class Query:
    @strawberry.field(description="The books of the shelf.")
    def books(self, first: int = 10) -> list[Book]:
        return [Book(title=title, year=year) for title, year in BOOKS[:first]]

    @strawberry.field(description="A book by its title.")
    def book(self, title: str) -> Book | None:
        return next((Book(title=each, year=year) for each, year in BOOKS if each == title), None)


@strawberry.type
class Mutation:
    @strawberry.mutation(description="Give a book back as it is.")
    def add_book(self, book: NewBook) -> Book:
        return Book(title=book.title, year=book.year or 0)


@strawberry.type
class Subscription:
    @strawberry.subscription(description="Count up.")
    async def count(self, to: int = 3) -> AsyncGenerator[int, None]:
        for number in range(1, to + 1):
            yield number


app = GraphQL(strawberry.Schema(Query, Mutation, Subscription))

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
