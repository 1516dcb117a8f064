"""On the loop of processes that serve others, connections end as on asyncio's own."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Generator

import pytest

from agent_orchestration.cli.event_loop import FastLoop

AT_ONCE = struct.pack("ii", 1, 0)


@pytest.fixture
def resetting() -> Generator[int]:
    """A port: whoever connects and sends something is cut off with a reset."""

    def serve() -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        connection.recv(1)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, FastLoop])
@pytest.mark.parametrize("lines", [False, True])
def test_writing_to_a_connection_that_was_reset_fails_where_one_waits(
    resetting: int, loop: Callable[[], asyncio.AbstractEventLoop], lines: bool
) -> None:
    async def write() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", resetting)
        writer.write(b"hello")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        if lines:
            writer.writelines([b"more"])
        else:
            writer.write(b"more")
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        writer.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(write())
