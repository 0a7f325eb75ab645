"""Image files of kinds that the library which reads them cannot write: PNG and TIFF of any depth, by hand."""

import struct
import zlib

import numpy as np

_PNG_KIND = {1: 0, 2: 4, 3: 2, 4: 6}
_SAMPLE_FORMAT = {"u": 1, "i": 2, "f": 3}


def png16(path, pixels):
    """uint16 (H, W, samples): grey, grey with alpha, RGB or RGBA."""
    height, width, samples = pixels.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_KIND[samples], 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def tiff(path, pixels, white_is_zero=False):
    """Any number type, (H, W) or (H, W, samples), little endian, without compression."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, samples = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    bits, kind = pixels.dtype.itemsize * 8, _SAMPLE_FORMAT[pixels.dtype.kind]
    photometric = 2 if samples >= 3 else 0 if white_is_zero else 1
    more = 8 + len(data)
    tags = [(256, 4, 1, width), (257, 4, 1, height)]
    tags += [(258, 3, samples, bits if samples == 1 else more), (259, 3, 1, 1), (262, 3, 1, photometric)]
    tags += [(273, 4, 1, 8), (277, 3, 1, samples), (278, 4, 1, height), (279, 4, 1, len(data))]
    tags += [(339, 3, samples, kind if samples == 1 else more + 2 * samples)]
    values = b"" if samples == 1 else struct.pack(f"<{2 * samples}H", *[bits] * samples, *[kind] * samples)
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, more + len(values)) + data + values + table)


def ramp(dtype, low, high, shape=(24, 32)):
    """Rising from left to right."""
    return np.broadcast_to(np.linspace(low, high, shape[1]), shape).astype(dtype)
