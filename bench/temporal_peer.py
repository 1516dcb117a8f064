# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUntypedFunctionDecorator=false
# pyright: reportUntypedClassDecorator=false, reportUnknownArgumentType=false
"""Workflows with one activity on a Temporal server, where one answers on this machine.

`python -m bench.temporal_peer` prints how many there were in a second, as JSON, or what is missing.
Its package, temporalio, is no dependency of ours: who wants to compare installs it.
"""

import argparse
import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

ADDRESS = "127.0.0.1:7233"
QUEUE = "bench"
ACTIVITY_SECONDS = 60


@activity.defn
async def work(number: int) -> int:
    """Nothing."""
    return number


@workflow.defn(sandboxed=False)
class OneActivity:
    """A task's lifecycle as Temporal has it: scheduled, taken by a worker, started, completed."""

    @workflow.run
    async def run(self, number: int) -> int:
        """Have the activity done."""
        return await workflow.execute_activity(
            work, number, start_to_close_timeout=timedelta(seconds=ACTIVITY_SECONDS)
        )


async def measured(clients: int, count: int) -> dict[str, float]:
    """Workflows by clients that wait for each one's end, after some that are not counted."""
    temporal = await Client.connect(ADDRESS)

    async def client(numbers: Iterator[int], took: list[float]) -> None:
        for number in numbers:
            began = time.perf_counter()
            name = str(uuid.uuid4())
            await temporal.execute_workflow(OneActivity.run, number, id=name, task_queue=QUEUE)
            took.append(time.perf_counter() - began)

    async def rounds(total: int) -> dict[str, float]:
        numbers, took = iter(range(total)), list[float]()
        began = time.perf_counter()
        await asyncio.gather(*(client(numbers, took) for _ in range(clients)))
        rate = total / (time.perf_counter() - began)
        return {"rate": rate, "p50": 1000 * statistics.median(took)}

    async with Worker(temporal, task_queue=QUEUE, workflows=[OneActivity], activities=[work]):
        await rounds(clients)
        return await rounds(count)


def main() -> None:
    """Measure as a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.temporal_peer", description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--count", type=int, default=1000)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measured(given.clients, given.count))))


if __name__ == "__main__":
    main()
