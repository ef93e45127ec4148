"""The wire between the service and its database, to be cut at will: a proxy on a port of its own."""

from __future__ import annotations

import contextlib
import socket
import threading


class Wire:
    """Forwards TCP both ways; `cut` ends all connections and refuses new ones, `hold` lets nothing through, `mend` undoes both."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._guard = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._left: int | None = None
        """How many bytes more go over it; None: as many as come, 0: it is cut."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, after_bytes: int = 0) -> None:
        """Cut the wire once so many more bytes went over it, in either direction."""
        with self._guard:
            self._left = after_bytes
            if after_bytes == 0:
                self._end_all()

    def hold(self) -> None:
        """Keep the connections, and let nothing through."""
        self._flows.clear()

    def mend(self) -> None:
        """Let everything through again."""
        with self._guard:
            self._left = None
        self._flows.set()

    def close(self) -> None:
        """Take the wire away."""
        self._listener.close()
        self._flows.set()
        self.cut()

    def _end_all(self) -> None:
        for pair in self._pairs:
            _end(pair)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                if self._left == 0:
                    near.close()
                    continue
                pair = (near, socket.create_connection(self._target))
                self._pairs.add(pair)
            threading.Thread(target=self._carry, args=(pair,), daemon=True).start()

    def _carry(self, pair: tuple[socket.socket, socket.socket]) -> None:
        back = threading.Thread(target=self._forward, args=pair[::-1], daemon=True)
        back.start()
        self._forward(*pair)
        back.join()
        with self._guard:
            self._pairs.discard(pair)
        for end in pair:
            end.close()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._flows.wait()
                with self._guard:
                    if self._left is None:
                        other.sendall(data)
                        continue
                    other.sendall(data[: self._left])
                    self._left = max(0, self._left - len(data))
                    if self._left == 0:
                        self._end_all()
        _end((one, other))


def _end(pair: tuple[socket.socket, socket.socket]) -> None:
    """Say goodbye in both directions. Nothing is closed here: another thread may be reading, and a number that is free is used again."""
    for end in pair:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
