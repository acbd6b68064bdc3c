"""A TLS front for a fake: google-genai dials `wss://` and `https://` only, whatever it is told.

As a program: `python tls_front.py CERT.pem LISTEN_PORT HOST:PORT` writes a certificate for localhost, serves
TLS on the port, and passes everything on to the plain address, until it is stopped.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import os
import ssl
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certify(path):
    """Writes a fresh certificate for localhost with its key, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(builder.sign(key, hashes.SHA256()).public_bytes(pem))
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


async def _pass_on(reader, writer):
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def front(certificate, address, port=0):
    """Serves TLS; everything goes on to the plain address. The server, whose socket tells the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    host, plain_port = address.rsplit(":", 1)

    async def connected(reader, writer):
        behind = await asyncio.open_connection(host, int(plain_port))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(_pass_on(reader, behind[1]), _pass_on(behind[0], writer))

    return await asyncio.start_server(connected, "127.0.0.1", port, ssl=context)


async def _main(certificate, port, address):
    certify(certificate)
    server = await front(certificate, address, int(port))
    print(f"https://localhost:{server.sockets[0].getsockname()[1]}  (SSL_CERT_FILE={certificate})", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(*sys.argv[1:]))
