#!/usr/bin/env python3
"""Records what a Kafka client and a server say to each other, as test vectors for a codec.

A proxy on loopback: it starts a client program, passes frames on, and writes each request beside its answer.
The server must advertise the proxy's address (offsetd: --advertise 127.0.0.1:PROXYPORT; Kafka: advertised.listeners),
or the client goes round it after its first Metadata request.

    capture.py --server 127.0.0.1:9092 --proxy 127.0.0.1:9192 --out FILE --title TEXT
               [--max KEY=VERSION]... -- COMMAND...

COMMAND gets this program's standard input. `--max 8=9` lowers the highest version of API 8 that the server's
ApiVersions answers offer: so a newer server can be asked in versions that offsetd speaks.
"""

import argparse
import socket
import subprocess
import sys
import threading

# The APIs worth keeping: the others that a client calls are passed on and not written.
APIS = {
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    18: "ApiVersions",
}
API_VERSIONS = 18
UNSUPPORTED_VERSION = 35


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            return None
        data += chunk
    return data


def read_frame(sock):
    """A frame without its length, or None at the end of the stream."""
    length = read_exactly(sock, 4)
    return length and read_exactly(sock, int.from_bytes(length, "big"))


def write_frame(sock, frame):
    sock.sendall(len(frame).to_bytes(4, "big") + frame)


class Request:
    """The start of a request frame: every header version begins with these fields."""

    def __init__(self, frame):
        self.frame = frame
        self.key = int.from_bytes(frame[0:2], "big")
        self.version = int.from_bytes(frame[2:4], "big")
        self.correlation_id = int.from_bytes(frame[4:8], "big")
        length = int.from_bytes(frame[8:10], "big", signed=True)
        self.client_id = frame[10:10 + length].decode() if length >= 0 else None


def varint(data, at):
    """An unsigned variable-length integer, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def software(request):
    """The client's name and version, which it tells in ApiVersions from version 3 on."""
    if request.key != API_VERSIONS or request.version < 3:
        return None
    words, at = [], 10 + len((request.client_id or "").encode()) + 1
    for _ in range(2):
        length, at = varint(request.frame, at)
        words.append(request.frame[at:at + length - 1].decode())
        at += length - 1
    return " ".join(words)


def lower(answer, version, limits):
    """An ApiVersions answer with no maximum above `limits`. Its layout stays as it was."""
    answer = bytearray(answer)
    error = int.from_bytes(answer[4:6], "big")
    flexible = version >= 3 and error != UNSUPPORTED_VERSION
    if flexible:
        count, at = varint(answer, 6)
        count -= 1
    else:
        count, at = int.from_bytes(answer[6:10], "big"), 10
    for _ in range(count):
        key = int.from_bytes(answer[at:at + 2], "big")
        highest = int.from_bytes(answer[at + 4:at + 6], "big")
        limit = min(highest, limits.get(key, highest))
        answer[at + 4:at + 6] = limit.to_bytes(2, "big")
        at += 7 if flexible else 6
    return bytes(answer)


class Proxy:
    def __init__(self, listen, server, limits):
        self.server = server
        self.limits = limits
        self.exchanges = []  # (connection, request, answer), in the order of the answers
        self.lock = threading.Lock()
        self.listener = socket.create_server(listen)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        connection = 0
        while True:
            client, _ = self.listener.accept()
            connection += 1
            server = socket.create_connection(self.server)
            waiting = {}
            for copy in (self._requests, self._answers):
                threading.Thread(target=copy, args=(client, server, waiting, connection), daemon=True).start()

    def _requests(self, client, server, waiting, _connection):
        try:
            while (frame := read_frame(client)) is not None:
                request = Request(frame)
                waiting[request.correlation_id] = request
                write_frame(server, self._passed_on(request))
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # One side went away: the other thread closes both.

    def _passed_on(self, request):
        # An ApiVersions request above its own limit becomes one that no server knows: the answer is then the one
        # that tells a newer client which version to fall back to.
        if request.key == API_VERSIONS and request.version > self.limits.get(API_VERSIONS, request.version):
            return request.frame[0:2] + b"\x7f\xff" + request.frame[4:]
        return request.frame

    def _answers(self, client, server, waiting, connection):
        try:
            while (answer := read_frame(server)) is not None:
                request = waiting.pop(int.from_bytes(answer[0:4], "big"))
                if request.key == API_VERSIONS:
                    answer = lower(answer, request.version, self.limits)
                with self.lock:
                    self.exchanges.append((connection, request, answer))
                write_frame(client, answer)
        except OSError:
            pass
        client.close()
        server.close()


def write(path, title, exchanges):
    names = sorted({name for _, request, _ in exchanges if (name := software(request))})
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"# {title}\n")
        if names:
            out.write(f"# It calls itself {', '.join(names)}.\n")
        for connection, request, answer in exchanges:
            if request.key not in APIS:
                continue
            out.write(f"\n# {APIS[request.key]} key={request.key} version={request.version} connection={connection}")
            out.write(f" client_id={request.client_id}\n")
            out.write(f"> {request.frame.hex()}\n< {answer.hex()}\n")


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def limit(text):
    key, version = text.split("=")
    return int(key), int(version)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--server", type=address, required=True)
    parser.add_argument("--proxy", type=address, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--title", required=True)
    parser.add_argument("--max", type=limit, action="append", default=[])
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()

    proxy = Proxy(args.proxy, args.server, dict(args.max))
    done = subprocess.run(args.command)
    with proxy.lock:
        write(args.out, args.title, proxy.exchanges)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
