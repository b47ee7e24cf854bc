"""Posting over real TLS, against servers that behave as badly as servers can."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.messages.post import NotPosted, post


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@contextmanager
def serving(certificate: Path, status: int, seen: list[tuple[str, str, bytes]]) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["X-Test"], body))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [204, 302, 307, 500])
def test_one_request_is_made_and_its_status_told_also_if_it_is_a_redirect(
    certificate: Path, trusting: ssl.SSLContext, status: int
) -> None:
    seen: list[tuple[str, str, bytes]] = []
    with serving(certificate, status, seen) as port:
        url = f"https://127.0.0.1:{port}/hook?key=1"
        assert post(url, b"{}", {"X-Test": "yes"}, context=trusting) == status
    assert seen == [("/hook?key=1", "yes", b"{}")]


def test_a_certificate_that_nobody_vouches_for_ends_it(certificate: Path) -> None:
    seen: list[tuple[str, str, bytes]] = []
    with serving(certificate, 204, seen) as port, pytest.raises(NotPosted, match="SSLCertVerificationError"):
        post(f"https://127.0.0.1:{port}/", b"{}", {})
    assert not seen


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "https:///path", "file:///etc/passwd", "", "https://[", "https://127.0.0.1:99999/"]
)
def test_only_https_is_posted_to(url: str) -> None:
    with pytest.raises(NotPosted):
        post(url, b"{}", {})


def test_nobody_listening_is_told_without_the_address(trusting: ssl.SSLContext) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NotPosted) as refused:
            post(f"https://127.0.0.1:{port}/secret-path", b"{}", {}, context=trusting)
    assert "secret-path" not in str(refused.value)


def drips(connection: ssl.SSLSocket, stop: Event) -> None:
    while not stop.wait(0.05):
        connection.sendall(b"H")


def says_nothing(_: ssl.SSLSocket, stop: Event) -> None:
    stop.wait()


@pytest.mark.parametrize("behave", [drips, says_nothing])
def test_five_seconds_are_the_whole_whatever_the_other_side_does(
    certificate: Path, trusting: ssl.SSLContext, behave: Callable[[ssl.SSLSocket, Event], None]
) -> None:
    """A drip of octets keeps every read alive; only a limit of the whole ends it."""
    stop = Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    behave(secure, stop)
            except OSError:
                return

        thread = Thread(target=serve)
        thread.start()
        began = monotonic()
        with pytest.raises(NotPosted, match="no answer within"):
            post(f"https://127.0.0.1:{listener.getsockname()[1]}/", b"{}", {}, seconds=0.4, context=trusting)
        assert monotonic() - began < 30
        stop.set()
        thread.join()
