"""Handing e-mail in: real servers, with and without encryption and login."""

from __future__ import annotations

import mailbox
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from app.config import SmtpServer
from app.demo.mail import receiving_mail
from app.mail import send, store

#: For localhost and 127.0.0.1, signed by itself; used nowhere else.
CERTIFICATE = Path(__file__).with_name("localhost.pem")


@pytest.fixture
def message() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "todo@example.org"
    message["To"] = "ada@example.org"
    message["Subject"] = "Zürich → Genève"
    message.set_content("Grüße\n.\nnach einem Punkt\n")
    return message


@pytest.fixture
def encryption(monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """What a server needs to encrypt; whoever connects trusts its certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    yield context


def authenticate(server, session, envelope, mechanism, credentials) -> AuthResult:
    return AuthResult(success=credentials == LoginPassword(b"ada", b"secret"), handled=False)


def assert_same(received: EmailMessage, sent: EmailMessage) -> None:
    assert received["Subject"] == sent["Subject"]
    assert received["To"] == sent["To"]
    assert received.get_content().replace("\r\n", "\n") == sent.get_content()


def test_a_message_is_sent_as_it_is(message: EmailMessage):
    with receiving_mail() as server:
        send(message, SmtpServer("127.0.0.1", server.port))

    assert_same(server.messages[0], message)


def test_starttls_is_used_where_it_is_offered(message: EmailMessage, encryption: ssl.SSLContext):
    options = {"tls_context": encryption, "require_starttls": True, "authenticator": authenticate}
    with receiving_mail(**options) as server:
        send(message, SmtpServer("127.0.0.1", server.port, "ada", "secret"))

    assert_same(server.messages[0], message)


def test_smtps_is_encrypted_from_the_first_byte(message: EmailMessage, encryption: ssl.SSLContext):
    with receiving_mail(ssl_context=encryption) as server:
        send(message, SmtpServer("127.0.0.1", server.port, tls=True))

    assert_same(server.messages[0], message)


def test_a_certificate_that_nobody_vouches_for_is_refused(message: EmailMessage, encryption: ssl.SSLContext):
    with receiving_mail(tls_context=encryption) as server, pytest.MonkeyPatch.context() as environment:
        environment.delenv("SSL_CERT_FILE")
        with pytest.raises(ssl.SSLCertVerificationError):
            send(message, SmtpServer("127.0.0.1", server.port))

    assert server.messages == []


def test_a_wrong_password_is_an_error(message: EmailMessage):
    options = {"authenticator": authenticate, "auth_require_tls": False}
    with receiving_mail(**options) as server, pytest.raises(smtplib.SMTPAuthenticationError):
        send(message, SmtpServer("127.0.0.1", server.port, "ada", "guess"))

    assert server.messages == []


def test_a_password_is_not_sent_in_clear_text_to_another_machine(message: EmailMessage):
    options = {"authenticator": authenticate, "auth_require_tls": False}
    with (
        receiving_mail("127.0.0.2", **options) as server,
        pytest.raises(smtplib.SMTPNotSupportedError) as error,
    ):
        send(message, SmtpServer("127.0.0.2", server.port, "ada", "secret"))

    assert f"expected 127.0.0.2:{server.port} to offer STARTTLS" in str(error.value)
    assert server.messages == []


def test_a_server_that_is_not_there_is_an_os_error(message: EmailMessage):
    with receiving_mail() as server:
        port = server.port

    with pytest.raises(OSError):
        send(message, SmtpServer("127.0.0.1", port))


def test_without_a_server_a_message_goes_to_a_maildir(message: EmailMessage, tmp_path: Path):
    path = store(message, tmp_path / "deep" / "mail")

    kept = mailbox.Maildir(tmp_path / "deep" / "mail", create=False)
    assert [kept_message["To"] for kept_message in kept] == ["ada@example.org"]
    assert Path(path).read_bytes() == message.as_bytes()
