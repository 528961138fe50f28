"""`python -m benchmarks.payload`: large answers, 1 MiB and 8 MiB, as JSON of rows, as JSON of one text, and binary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from .command import Size, run
from .comparison import Comparison, Target
from .environment import MINIMAL, OURS, RAW, UTCP, BenchmarkEnvironment, benchmark_environment, same_workload
from .raw import RawWebSocket

SHAPES = {"rows": "JSON of many rows", "text": "JSON of one text", "binary": "binary"}
MIB = 1 << 20


def measure(size: Size) -> Sequence[Comparison]:
    """Time and memory of each size and shape."""
    with benchmark_environment() as environment:
        sizes = (MIB,) if size.smoke else (MIB, 8 * MIB)
        return [
            each for count in sizes for shape in SHAPES for each in _answers(environment, shape, count, size.of(3, 1))
        ]


def _answers(environment: BenchmarkEnvironment, shape: str, count: int, rounds: int) -> Sequence[Comparison]:
    """A fresh process each time, because freed memory would hide what a later answer needs."""
    seconds, memory, cpu = defaultdict(list), defaultdict(list), defaultdict(list)
    failures: dict[str, str] = {}
    arguments = {"shape": shape, "size": count}
    workload = environment.workload(kind="binary" if shape == "binary" else "replies")
    for _ in range(rounds):
        with RawWebSocket(environment.url()) as raw:
            seconds[RAW].append(raw.time_answer(arguments))
        for label, given in same_workload(workload, (MINIMAL, UTCP, OURS)).items():
            with environment.host(*given) as host:
                host.call("m0_t0", {**arguments, "size": 1024})
                before, used = host.reset_peak(), host.cpu()
                answer = host.time_request("tools/call", {"name": "m0_t0", "arguments": arguments})
                if not is_complete(answer.result, count):
                    failures[label] = answer.result["content"][0]["text"][:80]
                    continue
                seconds[label].append(answer.seconds)
                cpu[label].append(host.cpu() - used)
                memory[label].append((host.peak() - before) / count)
    what = f"{count // MIB} MiB, {SHAPES[shape]}"
    strict = count == 8 * MIB and shape != "binary"
    rows = {RAW: Target(1.0)} if shape == "rows" else {}
    slower: Mapping[str, Target] = {MINIMAL: Target(1.3), **rows} if strict else {}
    larger: Mapping[str, Target] = {OURS: Target(5 if shape == "rows" else 4, absolute=True)} if strict else {}
    return (
        Comparison(f"{what}: time", "ms", OURS, seconds, cpu, slower, failures),
        Comparison(f"{what}: peak memory, as a multiple of the message", "×", OURS, memory, {}, larger, failures),
    )


def is_complete(result: Mapping[str, Any], count: int) -> bool:
    """Whether the result holds about so many bytes."""
    content = result["content"][0]
    resource = content.get("resource", {}).get("blob", "")
    return not result.get("isError") and len(content.get("text", resource)) > 0.9 * count


if __name__ == "__main__":
    run(measure)
