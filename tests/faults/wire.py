"""What lies between a product and a server of its own, and can be cut without either of them hearing of it."""

from __future__ import annotations

import contextlib
import socket
import threading


class Wire:
    """Listens at `port`, and passes everything on to another port of this machine."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._cut = threading.Event()
        self._ends: list[socket.socket] = []  # kept, so that those that are cut stay open
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """What is connected stays so, and is silent for ever, as after a host's loss of power. New connections work."""
        self._cut.set()
        self._cut = threading.Event()

    def close(self) -> None:
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to_port))
                self._ends += (near, far)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_pass, args=(*ends, self._cut), daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket, cut: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while (content := source.recv(65_536)) and not cut.is_set():
            sink.sendall(content)
        if not cut.is_set():
            sink.shutdown(socket.SHUT_WR)
