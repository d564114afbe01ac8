"""An SMTP server that writes a line of JSON for each mail that it takes, and the ports that it listens on first."""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes
from email.policy import default

from aiosmtpd.smtp import AuthResult, SMTP

certificate, key, user, password = sys.argv[1:]


class Handler:
    waited = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 no such user"
        if address.startswith("grey@") and address not in self.waited:
            self.waited.add(address)
            return "451 4.7.1 greylisted, come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=default)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "hello": session.host_name,
            "user": session.auth_data.login.decode() if session.auth_data else None,
            "encrypted": session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None,
            "headers": {name: str(value) for name, value in mail.items()},
            "parts": parts,
        }), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    ok = (data.login.decode(), data.password.decode()) == (user, password)
    # What a careless server does: it repeats what it was given.
    return AuthResult(success=ok, handled=ok, auth_data=data, message=None if ok else f"535 5.7.8 not {data.password.decode()}")


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
asked = {"authenticator": authenticate, "auth_required": True}
servers = {
    "plain": (None, {}),
    "starttls": (None, {"tls_context": context, "require_starttls": True, **asked}),
    "login": (None, {"tls_context": context, "require_starttls": True, "auth_exclude_mechanism": ["PLAIN"], **asked}),
    "tls": (context, {"auth_require_tls": False, **asked}),
}


async def main():
    loop = asyncio.get_running_loop()
    ports = {}
    for name, (tls, options) in servers.items():
        server = await loop.create_server(lambda options=options: SMTP(Handler(), **options), "127.0.0.1", 0, ssl=tls)
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
