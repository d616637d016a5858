"""A TLS door in front of a plain broker, with a certificate of its own making."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that vouches for itself; give its file and its key's."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*request.split(), *name, "-out", str(cert), "-keyout", str(key)],
        check=True,
        capture_output=True,
    )
    return cert, key


@contextlib.contextmanager
def door(port: int, behind: int, cert: Path, key: Path) -> Iterator[None]:
    """Speak TLS on `port` and hand all on to the port `behind`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", port)) as server:

        def welcome() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:  # closed: the test is over
                    return
                threads.append(threading.Thread(target=_serve, args=(context, plain, behind)))
                threads[-1].start()

        threads.append(threading.Thread(target=welcome))
        threads[0].start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(5)


def _serve(context: ssl.SSLContext, plain: socket.socket, behind: int) -> None:
    with (
        contextlib.suppress(OSError),
        plain,
        socket.create_connection(("127.0.0.1", behind)) as far,
        context.wrap_socket(plain, server_side=True) as near,
    ):
        near.settimeout(0.02)
        far.settimeout(0.02)
        while _pass_on(near, far) and _pass_on(far, near):
            pass


def _pass_on(source: socket.socket, target: socket.socket) -> bool:
    try:
        data = source.recv(65_536)
    except TimeoutError:
        return True
    target.settimeout(5)
    target.sendall(data)
    target.settimeout(0.02)
    return bool(data)
