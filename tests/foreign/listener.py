#!/usr/bin/env python3
"""Listens to a group in total order and prints its messages in that order. It is no member, and sends nothing.

    listener.py --group demo P1=tcp://127.0.0.1:7110 P2=tcp://127.0.0.1:7111 P3=tcp://127.0.0.1:7112

The arguments are the names of all members of the group and the endpoints of their PUB sockets (not the addresses by which
they know each other). Each message is one line of JSON on standard output:

    {"position": 17, "sender": "P2", "value": {"a": 1}}

Everything else goes to standard error; the first line there that begins with "listening" says that from now on no message is
missed. Exit codes: 0 ended by SIGINT or SIGTERM; 2 wrong arguments; 3 lost track, and the reason is printed; 4 a Python module
is missing.

It is written from docs/protocol.md alone, whose sections it names, to show that the document suffices.

What JSON lacks is written as an object with one key: {"$bytes": hexadecimal}, {"$date": milliseconds since 1970},
{"$integer": digits} beyond 2^53 - 1, {"$number": "NaN", "Infinity" or "-Infinity"}, {"$undefined": true}, {"$map": [[key, value]...]},
{"$set": [...]} (sorted; Python takes 1, 1.0 and true for the same element), {"$object": [[key, value]...]} for an object one of
whose keys begins with "$", {"$command": ...} for a command to a replicated object, {"$cbor": hexadecimal} for CBOR of which Python
can make nothing, such as dates beyond the year 9999.
"""

import argparse
import json
import math
import signal
import struct
import sys
import time
import zlib
from collections import deque
from datetime import datetime, timedelta, timezone

try:
    import cbor2
    import zmq
except ImportError as error:
    print(f"listener.py: Cannot listen: {error}; apt-get install -y python3-zmq python3-cbor2", file=sys.stderr)
    sys.exit(4)

# --- Packets: section "Packets" -------------------------------------------------------------------------------------------

PACKET_HEADER = struct.Struct(">HBBIQQHHI")  # magic, version, flags, group, view, incarnation, rank, relaying rank, lineage
MESSAGE_HEADER = struct.Struct(">BBHIQQ")  # kind, flags, count, body bytes, a, b
MAGIC, VERSION = 0x5455, 1
DEPENDENCY_BYTES = 18

DATA, HEARTBEAT, INSTALL, PLACED, TICK = 1, 4, 14, 23, 24  # the kinds that matter here; all others are skipped
ENCODING = 3  # the bits of a DATA message's flags that name its encoding: one of
CBOR, BYTES, ORDER, COMMAND = 0, 1, 2, 3
MORE, COMPRESSED = 4, 8  # further bits: the next DATA message of the stream goes on with it; the whole payload is compressed
RUN = 16  # the body begins with the number of the sender's run, 4 bytes


class Lost(Exception):
    """The order cannot be followed any further."""


class Message:
    """One message of a packet."""

    def __init__(self, kind, flags, count, a, b, body):
        self.kind, self.flags, self.count, self.a, self.b, self.body = kind, flags, count, a, b, body


class Packet:
    """One packet: its header, and its messages."""

    def __init__(self, frame):
        (self.magic, self.version, self.flags, self.group, self.view, self.incarnation, self.rank, _,
         self.lineage) = PACKET_HEADER.unpack_from(frame)
        self.messages = []
        offset = PACKET_HEADER.size
        while offset < len(frame):
            kind, flags, count, body_bytes, a, b = MESSAGE_HEADER.unpack_from(frame, offset)
            start = offset + MESSAGE_HEADER.size
            offset = start + body_bytes
            if offset > len(frame):
                raise struct.error("a body is cut off")
            self.messages.append(Message(kind, flags, count, a, b, frame[start:offset]))


def group_key(name):
    """FNV-1a, 32 bit, of the name in UTF-8."""
    key = 0x811C9DC5
    for byte in name.encode():
        key = ((key ^ byte) * 0x01000193) & 0xFFFFFFFF
    return key


# --- Values: section "Values" ---------------------------------------------------------------------------------------------

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Map(tuple):
    """A map of tag 259, as pairs: its keys may be numbers. (Sets, tag 258, and dates, tag 1, are known to cbor2.)"""


def from_tag(_decoder, tag, *_):
    return Map(tag.value.items()) if tag.tag == 259 else tag


def to_json(value):
    """A value as JSON can say it."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else {"$integer": str(value)}
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"$number": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, datetime):
        return {"$date": round((value - EPOCH) / timedelta(milliseconds=1))}
    if value is cbor2.undefined:
        return {"$undefined": True}
    if isinstance(value, Map):
        return {"$map": [[to_json(key), to_json(item)] for key, item in value]}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"$set": sorted((to_json(item) for item in value), key=json.dumps)}
    pairs = [(key, to_json(item)) for key, item in value.items()]
    if any(key.startswith("$") for key, _ in pairs):
        return {"$object": [list(pair) for pair in pairs]}
    return dict(pairs)


def decode(flags, payload):
    """The payload of a DATA message, or of its fragments together."""
    encoding = flags & ENCODING
    if flags & COMPRESSED:
        try:
            payload = zlib.decompress(payload, wbits=-15)  # DEFLATE without a header
        except zlib.error as fault:
            raise Lost(f"a value is not compressed by DEFLATE: {fault}") from fault
    if encoding == BYTES:
        return {"$bytes": payload.hex()}
    if encoding == COMMAND:
        return {"$command": payload.hex()}
    try:
        return to_json(cbor2.loads(payload, tag_hook=from_tag))
    except Exception:  # whatever cbor2 cannot represent
        return {"$cbor": payload.hex()}


# --- The order: section "Total order" -------------------------------------------------------------------------------------


class Waiting:
    """A message that was not printed yet."""

    def __init__(self, sender, sequence, lamport, flags, payload):
        self.sender, self.sequence, self.lamport = sender, sequence, lamport
        self.flags, self.payload = flags, payload


class Stream:
    """What one life of a member has sent."""

    def __init__(self, name, incarnation, last):
        self.name = name
        self.incarnation = incarnation
        self.last = last  # everything up to here has come
        self.fragments = []  # of a message of which more is to come
        self.heard = 0  # whatever it sends from now on is later than this Lamport time
        self.unplaced = deque()  # messages without a position, in the order sent
        self.placed_through = 0  # it has placed everything up to this position, as it says


class Place:
    """A position that an ORDER has given to the next message of a member."""

    def __init__(self, rank, order_sequence):
        self.rank, self.order_sequence = rank, order_sequence


class View:
    """The messages of one view, from positions that are known, to the order."""

    def __init__(self, number, lineage, streams, position, engine, level):
        self.number, self.lineage = number, lineage
        self.streams = streams  # by rank
        self.position = position  # of the last message released
        self.engine, self.level = engine, level
        self.leader = None  # rank of who sends ORDERs
        self.assigned = position  # positions up to here were given by ORDERs that have come
        self.plan = deque()  # Places of which the message has not come
        self.placed = deque()  # messages with a position that were not released, as (rank, Waiting, Place or None)
        self.committed = position  # a majority has placed everything up to here
        self.install = None  # the next view, once it was decided
        self.silent = [stream.name for stream in streams]  # who was not heard in this view

    def take(self, name, packet):
        """A packet of this view has come from the endpoint of a member."""
        if packet.rank >= len(self.streams):
            raise Lost(f"view {self.number} has a rank {packet.rank}: give the endpoints of all members")
        stream = self.streams[packet.rank]
        if stream.incarnation != packet.incarnation:
            return  # a life that is not in this view
        if stream.name != name:
            raise Lost(f"{stream.name} is heard at the endpoint that was given for {name}")
        if name in self.silent:
            self.silent.remove(name)
        for message in packet.messages:
            if message.kind == DATA:
                self.take_data(packet.rank, stream, message)
            elif message.kind in (HEARTBEAT, TICK):
                if message.kind == TICK and self.engine == "sequencer":
                    raise Lost("the engine of this group is lamport: use --engine lamport")
                if message.a > stream.last:
                    raise Lost(gap(stream, message.a))
                stream.heard = max(stream.heard, message.b)
            elif message.kind == PLACED:
                stream.placed_through = max(stream.placed_through, message.a)
                self.committed = max(self.committed, message.b)
            elif message.kind == INSTALL:
                self.take_install(message)

    def take_data(self, rank, stream, message):
        if message.a <= stream.last:
            return
        if message.a != stream.last + 1:
            raise Lost(gap(stream, message.a - 1))
        stream.last = message.a
        if message.flags > ENCODING | MORE | COMPRESSED | RUN:
            raise Lost(f"a message of {stream.name} has the flags {message.flags}, which this listener does not know")
        if message.flags & ENCODING == ORDER:
            self.take_order(rank, message)
            return
        run_bytes = 4 if message.flags & RUN else 0
        stream.fragments.append(message.body[run_bytes + message.count * DEPENDENCY_BYTES:])
        if message.flags & MORE:
            return  # the rest of it has the same Lamport time: it is not heard beyond that yet
        stream.heard = max(stream.heard, message.b)
        payload = b"".join(stream.fragments)
        stream.fragments = []
        stream.unplaced.append(Waiting(stream.name, message.a, message.b, message.flags, payload))

    def take_order(self, rank, message):
        """The leader gives positions: to so many messages of this member, then to so many of that one."""
        if self.engine == "lamport":
            raise Lost("the engine of this group is sequencer: use --engine sequencer")
        (first,) = struct.unpack_from(">Q", message.body)
        if first != self.assigned + 1:
            raise Lost(f"an ORDER begins with position {first}, and {self.assigned + 1} is expected")
        self.leader = rank
        for run_rank, count in struct.iter_unpack(">HI", message.body[8:]):
            if run_rank >= len(self.streams):
                raise Lost(f"view {self.number} has a rank {run_rank}: give the endpoints of all members")
            self.plan.extend([Place(run_rank, message.a)] * count)
            self.assigned += count
        # The leader gives positions to what it holds: it has placed them all.
        self.streams[rank].placed_through = max(self.streams[rank].placed_through, self.assigned)

    def take_install(self, message):
        proposal = cbor2.loads(message.body)
        if message.a == self.number + 1 and len(proposal["cut"]) == len(self.streams):
            self.install = proposal

    def place(self):
        """Gives positions as far as they are known."""
        if self.engine == "sequencer":
            while self.plan and self.streams[self.plan[0].rank].unplaced:
                place = self.plan.popleft()
                self.placed.append((place.rank, self.streams[place.rank].unplaced.popleft(), place))
            return
        while (rank := self.earliest()) is not None:
            lamport = self.streams[rank].unplaced[0].lamport
            # Whoever has sent nothing that waits may still send something earlier, until it was heard beyond.
            if any(not other.unplaced and other.heard < lamport for other in self.streams):
                return
            self.placed.append((rank, self.streams[rank].unplaced.popleft(), None))

    def earliest(self):
        """Rank of the stream whose first message has the least Lamport time, and among equals the least rank."""
        ranks = [rank for rank, stream in enumerate(self.streams) if stream.unplaced]
        return min(ranks, key=lambda rank: (self.streams[rank].unplaced[0].lamport, rank), default=None)

    def release(self):
        """The messages that are delivered now, in order."""
        if self.level == "agreed" or len(self.streams) == 1:
            through = math.inf
        else:
            placed = sorted((stream.placed_through for stream in self.streams), reverse=True)
            self.committed = max(self.committed, placed[len(placed) // 2])  # that many, and one more, have placed it
            through = self.committed
        while self.placed and self.position < through:
            self.position += 1
            yield self.position, self.placed.popleft()[1]

    def missing(self):
        """What of the cut has not come, as text; empty when all is here. Only once the next view is known."""
        return [
            f"{stream.name} (through {stream.last} of {int(last)})"
            for stream, last in zip(self.streams, self.install["cut"]) if stream.last < last
        ]

    def finish(self):
        """The view is over: everything in its cut is delivered, nothing beyond it."""
        cut = [int(last) for last in self.install["cut"]]
        # What was placed here and not released may be beyond the cut: it goes back.
        for rank, waiting, place in reversed(self.placed):
            self.streams[rank].unplaced.appendleft(waiting)
            if place is not None:
                self.plan.appendleft(place)
        self.placed.clear()
        for stream, last in zip(self.streams, cut):
            stream.unplaced = deque(waiting for waiting in stream.unplaced if waiting.sequence <= last)
        # First what has a position by an ORDER in the cut, up to the first message that is not in it ...
        for place in self.plan:
            if place.order_sequence > cut[self.leader] or not self.streams[place.rank].unplaced:
                break
            self.position += 1
            yield self.position, self.streams[place.rank].unplaced.popleft()
        # ... then the rest by Lamport time and rank.
        while (rank := self.earliest()) is not None:
            self.position += 1
            yield self.position, self.streams[rank].unplaced.popleft()

    def next(self, names):
        """The view that follows. Members that stay keep their streams; those of newcomers begin with 1."""
        lives = {stream.incarnation: stream for stream in self.streams}
        streams = []
        for _address, name, incarnation, _messages, _bytes in self.install["members"]:
            if name not in names:
                raise Lost(f"{name} has joined, and its endpoint was not given")
            life = int(incarnation)
            last = lives[life].last if life in lives else 0
            streams.append(Stream(name, life, last))
        return View(self.number + 1, self.lineage, streams, self.position, self.engine, self.level)


def gap(stream, sequence):
    return (
        f"messages {stream.last + 1} to {sequence} of {stream.name} did not come, and a listener cannot ask for them; "
        "was it too slow, or the connection interrupted?"
    )


# --- Where to begin: section "A listener" ---------------------------------------------------------------------------------


class Found:
    """A member of the view in which a listener looks for a point to begin."""

    def __init__(self, rank, incarnation):
        self.rank, self.incarnation = rank, incarnation
        self.point = None  # (position, last sequence): everything up to the one has a place up to the other
        self.packets = []  # what has come since


class Search:
    """Looks for a quiet moment: all members say that everything they have sent was delivered, up to the same position."""

    def __init__(self, names):
        self.names = names
        self.view = 0
        self.lineage = 0
        self.found = {}
        self.mute = ""  # name of a member that does not say what it has placed

    def take(self, name, packet):
        """A packet has come. Returns whether the point to begin with was found."""
        if packet.view < self.view:
            return False
        if packet.view > self.view:
            self.view, self.lineage, self.found = packet.view, packet.lineage, {}
        member = self.found.get(name)
        if member is None or member.incarnation != packet.incarnation:
            member = self.found[name] = Found(packet.rank, packet.incarnation)
        point = self.first(packet) if packet.view == 1 else self.quiet(name, packet)
        if point is not None and (packet.view > 1 or member.point is None):
            member.point = point
            member.packets = []
        member.packets.append(packet)
        members = list(self.found.values())
        return len(members) == self.size and members[0].point is not None and \
            all(other.point is not None and other.point[0] == members[0].point[0] for other in members)

    @property
    def size(self):
        return 1 if self.view == 1 else len(self.names)  # view 1 is the founder alone

    def quiet(self, name, packet):
        for index, heartbeat in enumerate(packet.messages):
            if heartbeat.kind != HEARTBEAT:
                continue
            behind = packet.messages[index + 1] if index + 1 < len(packet.messages) else None
            if behind is None or behind.kind != PLACED:
                self.mute = name
                return None
            (stable,) = struct.unpack_from(">Q", heartbeat.body)
            return (behind.a, heartbeat.a) if stable == heartbeat.a else None
        return None

    @staticmethod
    def first(packet):
        """In view 1 positions and sequences begin."""
        for message in packet.messages:
            if message.kind == DATA:
                return (0, 0) if message.a == 1 else None
            if message.kind == HEARTBEAT and message.a == 0:
                return (0, 0)
        return None

    def begin(self, engine, level):
        """The view, from that point on, and the packets that came after it."""
        by_rank = sorted(self.found.items(), key=lambda item: item[1].rank)
        if [member.rank for _, member in by_rank] != list(range(len(by_rank))):
            raise Lost(f"some ranks of view {self.view} are not heard: give the endpoints of all members, and of no others")
        streams = [Stream(name, member.incarnation, member.point[1]) for name, member in by_rank]
        view = View(self.view, self.lineage, streams, by_rank[0][1].point[0], engine, level)
        return view, [(name, packet) for name, member in by_rank for packet in member.packets]


# --- The listener ---------------------------------------------------------------------------------------------------------


class Listener:
    """Takes frames, prints messages."""

    def __init__(self, options):
        self.names = options.members
        self.group = options.group
        self.engine, self.level = options.engine, options.level
        self.patience = options.patience
        self.search = Search(self.names)
        self.view = None
        self.early = []  # packets of views that are not entered yet
        self.lack, self.lack_since = "", time.monotonic()

    def take(self, name, frame):
        """A frame has come from the endpoint of a member."""
        if len(frame) < 4 or frame[:2] != b"TU":
            return  # a frame of the adapter: section "Over ZeroMQ"
        if frame[2] != VERSION:
            raise Lost(f"{name} speaks version {frame[2]} of the protocol, and this listener version {VERSION}")
        try:
            self.take_packet(name, Packet(frame))
        except (struct.error, cbor2.CBORError, LookupError, TypeError, ValueError) as fault:
            raise Lost(f"{name} has sent a malformed packet: {fault!r}") from fault

    def take_packet(self, name, packet):
        if packet.group != group_key(self.group):
            raise Lost(f"{name} is in another group than {self.group}")
        if packet.flags != 0 or packet.view == 0:
            return
        if self.view is not None:
            self.sort(name, packet)
        elif self.search.take(name, packet):
            self.view, packets = self.search.begin(self.engine, self.level)
            self.tell()
            for name, packet in packets:
                self.sort(name, packet)

    def sort(self, name, packet):
        if packet.lineage != self.view.lineage:
            raise Lost(f"{name} is in another group of the same name")
        if packet.view > self.view.number:
            self.early.append((name, packet))
        elif packet.view == self.view.number:
            self.view.take(name, packet)
            self.settle()

    def settle(self):
        """Prints what can be printed, and goes on to the next view when this one is over."""
        self.view.place()
        self.print(self.view.release())
        if self.view.install is None or self.view.missing():
            return
        self.print(self.view.finish())
        self.view = self.view.next(self.names)
        self.tell()
        early, self.early = self.early, []
        for name, packet in early:
            self.sort(name, packet)

    def print(self, messages):
        for position, waiting in messages:
            line = {"position": position, "sender": waiting.sender, "value": decode(waiting.flags, waiting.payload)}
            print(json.dumps(line, allow_nan=False))

    def tell(self):
        members = " ".join(stream.name for stream in self.view.streams)
        print(f"listening: view {self.view.number} of {members}, behind position {self.view.position}", file=sys.stderr)

    def check(self):
        """Ends when something that must come does not."""
        lack, now = self.lacks(), time.monotonic()
        if lack != self.lack:
            self.lack, self.lack_since = lack, now
        elif lack and now - self.lack_since > self.patience:
            raise Lost(lack)

    def lacks(self):
        if self.view is None:
            silent = [name for name in self.names if name not in self.search.found]
            if silent and self.search.size > len(self.search.found):
                return unheard(silent)
            if self.search.mute:
                return f"{self.search.mute} does not say what it has placed: at the level agreed, begin before the group is founded"
            return "the group was not quiet for a moment, so it is not known which message has which position"
        if self.view.install is not None:
            return f"view {self.view.number} is over, and its last messages did not come: {', '.join(self.view.missing())}"
        if self.early:
            return f"view {self.view.number} is over, and what followed was not heard"
        return unheard(self.view.silent) if self.view.silent else ""


def unheard(names):
    return f"nothing is heard from {', '.join(names)}: is it a member, and is this the endpoint of its PUB socket?"


def parse_arguments():
    parser = argparse.ArgumentParser(description="Prints the messages of a group in total order.")
    parser.add_argument("--group", required=True, help="name of the group")
    parser.add_argument("--engine", choices=["sequencer", "lamport"], default="sequencer")
    parser.add_argument("--level", choices=["agreed", "safe", "durable"], default="safe")
    parser.add_argument("--patience", type=float, default=30, metavar="SECONDS", help="how long to wait for what must come")
    parser.add_argument("members", nargs="+", metavar="NAME=ENDPOINT", help="a member and its PUB socket")
    options = parser.parse_args()
    members = {}
    for member in options.members:
        name, separator, endpoint = member.partition("=")
        if not (name and separator and endpoint.startswith(("tcp://", "ipc://"))):
            parser.error(f'"{member}" is not like P1=tcp://127.0.0.1:7110')
        if name in members or endpoint in members.values():
            parser.error(f'"{member}" is given twice')
        members[name] = endpoint
    options.members = members
    return options


def main():
    options = parse_arguments()
    ended = []  # never in the middle of a line
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: ended.append(number))
    context = zmq.Context()
    poller = zmq.Poller()
    names = {}
    for name, endpoint in options.members.items():
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, 0)  # a packet that is dropped here is lost for good
        socket.setsockopt(zmq.SUBSCRIBE, b"TU")
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            print(f"listener.py: Cannot listen to {endpoint}: {error}", file=sys.stderr)
            sys.exit(2)
        poller.register(socket, zmq.POLLIN)
        names[socket] = name
    listener = Listener(options)
    try:
        while not ended:
            for socket, _ in poller.poll(200):
                for _ in range(1000):  # then it is the others' turn
                    try:
                        frames = socket.recv_multipart(zmq.NOBLOCK)
                    except zmq.Again:
                        break
                    if len(frames) == 1:
                        listener.take(names[socket], frames[0])
            sys.stdout.flush()
            listener.check()
    except Lost as lost:
        sys.stdout.flush()
        print(f"listener.py: Cannot go on: {lost}", file=sys.stderr)
        sys.exit(3)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the messages has enough


if __name__ == "__main__":
    main()
