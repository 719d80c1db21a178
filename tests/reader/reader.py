#!/usr/bin/env python3
"""A second reader of the repository format, written from docs/format.md alone.

    reader.py REPOSITORY PASSWORD-FILE                      lists the snapshots
    reader.py REPOSITORY PASSWORD-FILE SNAPSHOT DIR [--full]  extracts one, as a mount shows it

REPOSITORY is a folder with `config` in it. The numbers in comments are sections of docs/format.md.
"""
import base64
import json
import pathlib
import re
import sys
import uuid
from typing import NamedTuple

import argon2.low_level as argon2
import zstandard
from blake3 import blake3
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt
from nacl.exceptions import CryptoError

MAX_BLOCK = 64 << 20
MAX_APART = 8 << 20
MAX_KEY = 4096
MANIFEST, REST, REDACTED, SEGMENT, TOP, DICTIONARY, WITH_DICTIONARY, SENSITIVE = 0, 1, 2, 3, 4, 5, 0x40, 0x80
TOMBSTONE, SENSITIVE_ROW, HAS_REDACTED = 1, 2, 4


class Damaged(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Damaged(what)


class Reader:
    """1: numbers and texts."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        require(self.at + count <= len(self.data), "it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self, maximum=(1 << 64) - 1):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                require(value <= maximum, f"{value} is above {maximum}")
                return value
        raise Damaged("a number of more than 10 bytes")

    def signed(self):
        raw = self.varint()
        return raw >> 1 ^ -(raw & 1)

    def text(self, maximum):
        return self.take(self.varint(maximum)).decode()

    def end(self):
        require(self.at == len(self.data), "bytes behind its end")


def with_digits(text, digits):
    """6: a text whose digits are apart."""
    out, told = [], []
    while text.at < len(text.data):
        escape = text.data.find(b"\x01", text.at)
        out.append(text.take((len(text.data) if escape < 0 else escape) - text.at))
        if escape < 0:
            break
        text.take(1)
        what = text.take(1)[0]
        if what == 0:
            told.append(str(uuid.UUID(bytes=bytes(digits.take(16)))).encode())
        elif what == 1:
            told.append(digits.take(32).hex().encode())
        elif what == 2:
            out.append(base64.b64encode(text.take(text.varint(MAX_APART))))
            continue
        require(max(what - 2, 1) <= len(told), "digits that repeat none")
        out.append(told[-max(what - 2, 1)])
    digits.end()
    return b"".join(out)


def lines_of(path):
    """3, 4: three lines, of which the last is the hash of the others."""
    data = path.read_bytes()
    require(len(data) <= 64 << 10, f"{path} is too large")
    first, second, third, rest = data.decode().split("\n")
    require(rest == "" and third == blake3(f"{first}\n{second}\n".encode()).hexdigest(), f"{path} is damaged")
    return first, second


class DataKey:
    """5: a data key and what is derived from it."""

    def __init__(self, identity, secret):
        derive = lambda use: blake3(secret, derive_key_context=f"kubestash repository v1 {use}").digest()
        self.head, self.cipher, self.hash, self.config = identity[:4], derive("cipher"), derive("hash"), derive("config")


class Location(NamedTuple):
    pack: str
    offset: int
    stored: int
    block_class: int


class Row(NamedTuple):
    key: str
    flags: int
    manifest_hash: bytes
    lengths: list
    places: list


class Repository:
    def __init__(self, folder, password):
        self.folder, self.general, self.sensitive, self.blocks, self.cache = folder, [], [], {}, {}
        line, mac = lines_of(folder / "config")
        config = json.loads(line)
        require(config["version"] == 1, f"version {config['version']} is not 1")
        require(not config["features"]["incompatible"], f"unknown features {config['features']['incompatible']}")
        if not any(self.open_key(path, config["id"], password) for path in sorted((folder / "keys").iterdir())):
            raise Damaged("no key opens with this password")
        require(blake3(line.encode(), key=self.general[0].config).hexdigest() == mac, "config was changed")
        for path in sorted((folder / "index").iterdir()):
            self.read_index(path)

    def open_key(self, path, repository, password):
        """4"""
        line, sealed = lines_of(path)
        header, sealed = json.loads(line), bytes.fromhex(sealed)
        kdf = header["kdf"]
        require(header["version"] == 1 and kdf["name"] == "argon2id", f"{path} is of another version")
        require(kdf["memory_kib"] <= 256 << 10 and kdf["iterations"] <= 16 and kdf["parallelism"] <= 8, f"{path} costs too much")
        if header["repository"] != repository:
            return False
        salt = bytes.fromhex(kdf["salt"])
        key = argon2.hash_secret_raw(
            password, salt, kdf["iterations"], kdf["memory_kib"], kdf["parallelism"], 32, argon2.Type.ID, version=0x13
        )
        bound_to = f"kubestash key {path.name}\n{line}".encode()
        try:
            keys = json.loads(decrypt(sealed[24:], bound_to, sealed[:24], key))
        except CryptoError:
            return False
        unwrap = lambda wrapped: [DataKey(bytes.fromhex(one["id"]), bytes.fromhex(one["key"])) for one in wrapped]
        self.general, self.sensitive = unwrap(keys["general"]), unwrap(keys.get("sensitive", []))
        return True

    def open(self, sealed, bound_to, sensitive=False):
        """5, 6: the raw bytes of something sealed."""
        require(len(sealed) <= MAX_BLOCK + 81, "it is too large")
        keys = [key for key in (self.sensitive if sensitive else self.general) if key.head == sealed[:4]]
        require(keys, "sealed with an unknown key")
        try:
            content = Reader(decrypt(sealed[28:], bound_to, sealed[4:28], keys[0].cipher))
        except CryptoError:
            raise Damaged("authentication failed") from None
        codec, length = content.take(1)[0], int.from_bytes(content.take(4), "little")
        require(codec <= 4 and length <= (MAX_BLOCK if codec < 3 else MAX_APART), "an unknown codec or length")
        dictionary, digits, framed = None, None, length
        if codec in (2, 4):
            dictionary = self.block(content.take(32), {DICTIONARY | SENSITIVE if sensitive else DICTIONARY})
        if codec >= 3:
            framed, count = int.from_bytes(content.take(4), "little"), int.from_bytes(content.take(4), "little")
            digits = Reader(content.take(count))
            require(framed <= length, "a text that is longer than the raw bytes")
        raw = content.data[content.at :]
        if codec:
            require(framed <= len(raw) * 32768, "fewer bytes than its length needs")
            require(zstandard.frame_content_size(raw) in (-1, framed), "a frame of another length")
            dictionary = dictionary and zstandard.ZstdCompressionDict(dictionary)
            raw = zstandard.ZstdDecompressor(dict_data=dictionary).decompress(raw, max_output_size=framed)
        if digits:
            require(len(raw) == framed, "a text of another length")
            raw = with_digits(Reader(raw), digits)
        require(len(raw) == length, "another number of bytes than it states")
        return raw

    def read_index(self, path):
        """8"""
        sealed = path.read_bytes()
        require(path.name == blake3(sealed).hexdigest(), f"{path} does not fit its name")
        reader = Reader(self.open(sealed, b"kubestash index"))
        require(reader.take(1) == b"\x01", "an index of another version")
        for _ in range(reader.varint(1 << 20)):
            pack = reader.take(32).hex()
            reader.varint(256 << 20)
            for _ in range(reader.varint(1 << 20)):
                block, block_class = reader.take(32), reader.take(1)[0]
                if block_class & WITH_DICTIONARY:
                    reader.take(32)
                offset, stored = reader.varint(256 << 20), reader.varint(MAX_BLOCK + 81)
                reader.varint(MAX_BLOCK)
                self.blocks.setdefault(block, []).append(Location(pack, offset, stored, block_class & ~WITH_DICTIONARY))
        reader.end()

    def block(self, identity, classes):
        """7, 8: the raw bytes of a block; of several copies the first that can be read."""
        if identity in self.cache:
            return self.cache[identity]
        problem = "it is in no index"
        for place in self.blocks.get(identity, []):
            require(place.block_class in classes, f"block {identity.hex()} has class {place.block_class}")
            try:
                with open(self.folder / "packs" / place.pack[:2] / place.pack, "rb") as pack:
                    pack.seek(place.offset)
                    sealed = pack.read(place.stored)
                sensitive = bool(place.block_class & SENSITIVE)
                raw = self.open(sealed, identity + bytes([place.block_class]), sensitive)
            except (Damaged, OSError) as error:
                problem = error
                continue
            keys = self.sensitive if sensitive else self.general
            require(blake3(raw, key=keys[0].hash).digest() == identity, "a block does not fit its id")
            self.cache[identity] = raw
            return raw
        raise Damaged(f"block {identity.hex()}: {problem}")

    def roots(self):
        """9"""
        for path in sorted((self.folder / "roots").iterdir()):
            root = json.loads(self.open(path.read_bytes(), f"kubestash roots/{path.name}".encode()))
            require(root["id"] == path.name, f"{path} does not fit its name")
            yield root

    def table(self, identity):
        """10: kinds of one layer by (group, resource)."""
        reader, kinds = Reader(self.block(identity, {TOP})), {}
        require(reader.take(1) == b"\x01", "a table of another version")
        for _ in range(reader.varint(1 << 16)):
            group, _version, resource, _kind = (reader.text(1024) for _ in range(4))
            flags = reader.take(1)[0]
            require(flags < 4, "an unknown flag of a kind")
            segments = [(reader.take(32), reader.varint(4096), reader.text(MAX_KEY)) for _ in range(reader.varint(1 << 17))]
            blocks = [reader.take(32) for _ in range(reader.varint(1 << 21))]
            kinds[group, resource] = (flags, segments, blocks)
        reader.end()
        return kinds

    def rows(self, segments, blocks):
        """10: the rows of a kind in one layer, with their blocks in place of numbers."""
        for identity, expected, first_key in segments:
            rows = list(segment(self.block(identity, {SEGMENT}), blocks))
            require(len(rows) == expected and rows[0].key == first_key, "a segment does not fit its table")
            yield from rows

    def objects(self, root):
        """10: (group, resource, namespaced, row) of all objects, layers merged."""
        require(len(root["layers"]) <= 256, "too many layers")
        merged, namespaced = {}, {}
        for identity, _rows, _packs in root["layers"]:
            for kind, (flags, segments, blocks) in self.table(bytes.fromhex(identity)).items():
                if flags & 2:
                    merged[kind] = {}
                namespaced[kind] = bool(flags & 1)
                merged.setdefault(kind, {}).update((row.key, row) for row in self.rows(segments, blocks))
        for kind, rows in merged.items():
            for row in rows.values():
                if not row.flags & TOMBSTONE:
                    yield *kind, namespaced[kind], row

    def part(self, place, start, length, kind):
        block, offset = place
        raw = self.block(block, {kind, kind | SENSITIVE})
        require(offset + start + length <= len(raw), "a part outside of its block")
        return raw[offset + start : offset + start + length]

    def content(self, row, full):
        """11: the file of an object."""
        manifest, status, server, *redacted = row.lengths
        if row.flags & SENSITIVE_ROW and not self.sensitive:
            return self.part(row.places[2], 0, redacted[0], REDACTED)
        text = self.part(row.places[0], 0, manifest, MANIFEST)
        key = (self.sensitive if row.flags & SENSITIVE_ROW else self.general)[0]
        require(blake3(text, key=key.hash).digest()[:16] == row.manifest_hash, f"{row.key} does not fit its hash")
        if not full:
            return text
        return merge(text, self.part(row.places[1], 0, status, REST), self.part(row.places[1], status, server, REST))


def segment(raw, blocks):
    reader = Reader(raw)
    require(reader.take(1) == b"\x01", "a segment of another version")
    count, columns, last = reader.varint(4096), {}, 0
    for _ in range(reader.varint(64)):
        number = reader.varint()
        require(number > last, "columns out of order")
        last = number
        columns[number] = Reader(reader.take(reader.varint()))
    reader.end()
    key, tracks = b"", [(0, 0)] * 3
    for at in range(count):
        shared = columns[1].varint(len(key))
        before, key = key, key[:shared] + columns[1].take(columns[1].varint(MAX_KEY))
        require(len(key) <= MAX_KEY and (at == 0 or before < key), "rows out of order")
        flags = columns[2].take(1)[0]
        require(flags < 8, "an unknown flag of a row")
        columns[3].take(8)
        manifest_hash = columns[4].take(16)
        lengths, places = [], []
        if not flags & TOMBSTONE:
            lengths = [columns[5].varint(0xFFFFFFFF) for _ in range(4 if flags & HAS_REDACTED else 3)]
            for track, length in enumerate([lengths[0], lengths[1] + lengths[2], *lengths[3:]]):
                block = tracks[track][0] + columns[6].signed()
                offset = columns[6].signed() + (tracks[track][1] if block == tracks[track][0] else 0)
                require(0 <= block < len(blocks) and offset >= 0, "a place outside of every block")
                tracks[track] = (block, offset + length)
                places.append((blocks[block], offset))
        yield Row(key.decode(), flags, manifest_hash, lengths, places)
    for number in range(1, 7):
        columns[number].end()


def members(text, indent):
    """11: the members of a map, each with its key and its lines."""
    found = []
    for line in re.findall(r"[^\n]*\n", text):
        rest = line.lstrip(" ")
        if len(line) - len(rest) == indent and not rest.startswith(("\n", "- ", ": ")):
            found.append(line)
        else:
            found[-1] += line
    return [(key_of(entry[indent:], indent), entry) for entry in found]


def key_of(entry, indent):
    if entry.startswith("? "):
        entry = re.sub(r"\n *", " ", entry[2 : entry.index("\n" + " " * indent + ": ")])
    if entry.startswith("'"):
        return re.match(r"'((?:[^']|'')*)'", entry)[1].replace("''", "'")
    if entry.startswith('"'):
        return unescape(re.match(r'"((?:[^"\\]|\\.)*)"', entry)[1])
    line = entry.split("\n")[0]
    return line.split(": ")[0] if ": " in line else line.removesuffix(":")


def unescape(text):
    short = dict(zip('0abtnvfre"\\N_LP', '\0\a\b\t\n\v\f\r\x1b"\\\x85\xa0\u2028\u2029'))
    number = lambda match: chr(int(match[1] or match[2] or match[3], 16)) if match[4] is None else short[match[4]]
    return re.sub(r"\\(?:x(..)|u(.{4})|U(.{8})|(.))", number, text)


def before(a, b):
    """11: whether key a stands before key b, of which one is all ASCII letters."""
    for x, y in zip(a, b):
        if x != y:
            return x < y if x.isalpha() == y.isalpha() else not x.isalpha()
    return len(a) < len(b)


def merge(manifest, status, server):
    manifest, status, server = manifest.decode(), status.decode(), server.decode()
    out = ""
    for key, entry in members(manifest, 0):
        if status and before("status", key):
            out, status = out + status, ""
        if key == "metadata" and server:
            ours = members(entry.removeprefix("metadata: {}\n").removeprefix("metadata:\n"), 2)
            out += "metadata:\n"
            for server_key, server_entry in members(server.removeprefix("metadata:\n"), 2):
                while ours and before(ours[0][0], server_key):
                    out += ours.pop(0)[1]
                out += server_entry
            entry, server = "".join(text for _, text in ours), ""
        out += entry
    require(not server, "a manifest without metadata")
    return (out + status).encode()


def file_of(group, resource, namespaced, key):
    """11: the path in a tree."""
    escape = lambda name: name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    namespace, name = key.split("/", 1) if namespaced else (None, key)
    file = escape(name) + ".yaml"
    if len(file.encode()) > 255:
        file = escape(name).encode()[:217].decode(errors="ignore") + "~" + blake3(name.encode()).hexdigest()[:32] + ".yaml"
    kind = escape(f"{resource}.{group}" if group else resource)
    return pathlib.Path("namespaces", escape(namespace), kind, file) if namespaced else pathlib.Path("cluster", kind, file)


def main(repository, password_file, snapshot=None, target=None, *options):
    password = pathlib.Path(password_file).read_bytes().rstrip(b"\r\n")
    opened = Repository(pathlib.Path(repository), password)
    roots = {root["name"]: root for root in opened.roots()}
    if snapshot is None:
        for root in roots.values():
            print(root["id"], root["name"], root["stats"]["objects"])
        return
    require(snapshot in roots, f"there is no snapshot {snapshot}")
    for group, resource, namespaced, row in opened.objects(roots[snapshot]):
        path = pathlib.Path(target) / file_of(group, resource, namespaced, row.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(opened.content(row, "--full" in options))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Damaged as problem:
        sys.exit(f"error: {problem}")
