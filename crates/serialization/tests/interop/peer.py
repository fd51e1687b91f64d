"""The other end of the pipes in peer.rs: Cap'n Proto by the C++ library, as Python's package pycapnp has it.

Started with the schema's file and the name of a struct, it takes each message apart into Python's own values, builds a new message
of those and answers with it. With the word "names" it speaks first, and compares each field by its name.
"""

import sys

import capnp

capnp.remove_import_hook()
schema = capnp.load(sys.argv[1])


def struct(path):
    found = schema
    for name in path.split("."):
        found = getattr(found, name)
    return found


def answer_all(kind):
    for message in kind.read_multiple(sys.stdin):
        kind.new_message(**message.to_dict()).write(sys.stdout)


def speak_by_name(kind):
    message = kind.new_message(text="from Python", data=b"\x00\xff")
    message.numbers = {"int8": -128, "uint64": 2**64 - 1, "float64": 0.1, "color": "green", "secondBool": True}
    message.lists = {
        "bools": [True] * 9 + [False],
        "int16s": [-32768, 32767],
        "texts": ["", "ü"],
        "deep": [[["x"], []], []],
        "structs": [{"uint8": 1}, {"uint8": 2}],
    }
    message.tree = {"label": "a", "next": {"label": "b", "children": [{"label": "c"}]}}
    shapes = message.init("shapes", 2)
    shapes[0].polygon = [1.0, 2.5]
    shapes[0].fill.color = "darkBlue"
    shapes[1].init("box").title = "boxed"
    shapes[1].position.y = -7
    message.inner.value = 77
    message.write(sys.stdout)

    answer = kind.read(sys.stdin)
    assert (answer.text, answer.data) == ("from Rust", b"\x01\x02"), answer
    assert answer.numbers.int16 == -2 and answer.numbers.color == "darkBlue", answer
    assert not answer.numbers.bool and answer.numbers.secondBool, answer
    assert (answer.defaults.int8, answer.defaults.uint16, answer.defaults.text) == (0, 1600, "set"), answer
    assert list(answer.defaults.list) == [1, 2, 3] and answer.defaults.inner.color == "green", answer
    assert list(answer.lists.uint32s) == [4, 5, 6] and list(answer.lists.bools) == [False, True], answer
    assert [tree.label for tree in answer.lists.trees] == ["one", "two"], answer
    assert answer.tree.children[0].label == "child" and answer.tree.next.label == "next", answer
    shape = answer.shapes[0]
    assert shape.which() == "circle" and shape.circle == 2.5 and shape.fill.which() == "texture", answer
    assert (shape.fill.texture, shape.position.x, shape.position.y, shape.type) == (b"t", 3, 0, 9), answer
    assert answer.inner.value == 2**64 - 1, answer
    assert answer.any.as_struct(schema.Tree).label == "any", answer


if sys.argv[2] == "names":
    speak_by_name(schema.Everything)
else:
    answer_all(struct(sys.argv[2]))
