"""Ports proxy-wasm-go-sdk v0.24.0, which only TinyGo compiles, to Go's own compiler, the way its successor does.

TinyGo's `//export` names both imports and exports. Go's compiler has `//go:wasmimport` and `//go:wasmexport`, which take no `int`
and no pointers to pointers: so each function gets a twin with plain types, and the SDK's own code stays as it is.
Usage: port.py SDK_FOLDER
"""
import pathlib
import re
import sys

internal = pathlib.Path(sys.argv[1]) / "proxywasm" / "internal"
FUNCTION = re.compile(r"//export (\w+)\nfunc (\w+)\(([^)]*)\)([^\n{]*)(\{)?", re.S)


def parameters(text):
    """`a, b int, c *byte` as (name, type) pairs; unnamed `_` parameters get names."""
    pairs = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        words = part.split()
        pairs.append([words[0], words[1] if len(words) > 1 else None])
    for i in range(len(pairs) - 2, -1, -1):
        if pairs[i][1] is None:
            pairs[i][1] = pairs[i + 1][1]
    return [(f"p{i}" if name == "_" else name, kind) for i, (name, kind) in enumerate(pairs)]


def plain(kind):
    if kind.startswith("*"):
        return "unsafe.Pointer"
    if kind == "bool":
        return "uint32"
    return {"int": "int32", "uint": "uint32", "int32": "int32", "uint32": "uint32", "int64": "int64", "uint64": "uint64"}.get(kind, "uint32")


def importer(match):
    name, function, args, result, _ = match.groups()
    pairs = parameters(args)
    given = ", ".join(f"unsafe.Pointer({n})" if k.startswith("*") else f"{plain(k)}({n})" for n, k in pairs)
    declared = ", ".join(f"{n} {plain(k)}" for n, k in pairs)
    own = ", ".join(f"{n} {k}" for n, k in pairs)
    return (f"//go:wasmimport env {name}\nfunc {name}({declared}) uint32\n\n"
            f"func {function}({own}) {result.strip()} {{ return {result.strip()}({name}({given})) }}")


def exporter(match):
    name, function, args, result, _ = match.groups()
    pairs, result = parameters(args), result.strip()
    given = ", ".join(f"{n} != 0" if k == "bool" else f"{k}({n})" for n, k in pairs)
    declared = ", ".join(f"{n} {plain(k)}" for n, k in pairs)
    call = f"{function}({given})"
    if result == "":
        body, kind = call, ""
    elif result == "bool" or result.endswith("Status"):
        body, kind = f"if {call} {{ return 1 }}; return 0", "uint32"
    elif result == "*byte":
        body, kind = f"return unsafe.Pointer({call})", "unsafe.Pointer"
    else:
        body, kind = f"return uint32({call})", "uint32"
    twin = f"//go:wasmexport {name}\nfunc {name}({declared}) {kind} {{ {body} }}\n\n"
    return f"{twin}func {function}({args}) {result} {{"


for path in internal.glob("*.go"):
    if path.name.endswith("_test.go"):
        path.unlink()
        continue
    text = path.read_text()
    text = text.replace("//go:build tinygo", "//go:build wasip1").replace("//go:build !tinygo", "//go:build !wasip1")
    if path.name == "abi_hostcalls.go":
        text = FUNCTION.sub(importer, text)
    elif path.name.startswith("abi_callback"):
        text = FUNCTION.sub(exporter, text)
    if "unsafe.Pointer" in text and '"unsafe"' not in text:
        text = text.replace("package internal\n", 'package internal\n\nimport "unsafe"\n', 1)
    path.write_text(text)
