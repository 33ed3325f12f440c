"""Reads f32 tensors of small safetensors files; needs nothing but the standard library."""
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
