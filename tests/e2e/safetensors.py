"""Reads and writes f32 tensors of small safetensors files; needs nothing but the standard library."""
import array
import json
import struct


def read(path):
    """name -> (shape, array of floats)"""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            values = array.array("f")
            values.frombytes(data[8 + length + begin:8 + length + end])
            tensors[name] = (entry["shape"], values)
    return tensors


def write(path, tensors):
    """tensors: as read() gives them."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
