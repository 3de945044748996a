"""A store that can be reached or not: a TCP forwarder to it, which the test opens and shuts."""

import socket
import threading
from urllib.parse import urlsplit


class Forward:
    """Listens on loopback; while it is open, what connects is connected on, else hung up on."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._target = (str(place.hostname), int(place.port or 80))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.open = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._spawn(self._accept)

    def close(self) -> None:
        """End every connection and thread."""
        for one in (self._listening, *self._sockets):
            # What is blocked on it wakes up.
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(10)
        for one in (self._listening, *self._sockets):
            one.close()

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            if not self.open.is_set():
                caller.close()
                continue
            behind = socket.create_connection(self._target)
            self._sockets += [caller, behind]
            self._spawn(_pump, caller, behind)
            self._spawn(_pump, behind, caller)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
