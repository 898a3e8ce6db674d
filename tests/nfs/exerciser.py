"""exerciser.py FILE SEED COUNT: random changes of one file, compared with a model of it. Runs in the guest."""

import mmap
import os
import random
import sys

file, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
choose = random.Random(seed)
model = bytearray()
LARGEST = 700_000


def data(length: int) -> bytes:
    return choose.randbytes(length)


def place() -> tuple[int, bytes]:
    return choose.randrange(LARGEST), data(choose.choice([1, 3, 100, 4096, 5000, 70_000]))


def put(offset: int, content: bytes) -> None:
    if len(model) < offset:
        model.extend(bytes(offset - len(model)))
    model[offset : offset + len(content)] = content


def write(fd: int) -> None:
    offset, content = place()
    os.pwrite(fd, content, offset)
    put(offset, content)


def append(fd: int) -> None:
    content = data(choose.choice([1, 20, 9000]))
    other = os.open(file, os.O_WRONLY | os.O_APPEND)
    # What this descriptor wrote must be there before the other one looks for the end.
    os.fsync(fd)
    os.write(other, content)
    os.close(other)
    put(len(model), content)


def truncate(fd: int) -> None:
    length = choose.randrange(LARGEST)
    os.ftruncate(fd, length)
    if length < len(model):
        del model[length:]
    else:
        model.extend(bytes(length - len(model)))


def map_and_write(fd: int) -> None:
    if len(model) < 10:
        return
    with mmap.mmap(fd, len(model)) as mapped:
        for _ in range(3):
            offset = choose.randrange(len(model) - 4)
            content = data(4)
            mapped[offset : offset + 4] = content
            put(offset, content)
        mapped.flush()


def read(fd: int) -> None:
    offset, length = choose.randrange(LARGEST), choose.randrange(100_000)
    found = os.pread(fd, length, offset)
    assert found == model[offset : offset + length], f"bytes {offset} to {offset + length}"


def whole(fd: int) -> None:
    os.fsync(fd)
    with open(file, "rb") as reader:
        found = reader.read()
    assert len(found) == len(model), f"{len(found)} bytes instead of {len(model)}"
    assert found == model, "other bytes"


def synchronise(fd: int) -> None:
    os.fsync(fd)


def forget(fd: int) -> None:
    os.fsync(fd)
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("1")


steps = [write] * 6 + [read] * 5 + [append, truncate, map_and_write, whole, synchronise, forget]
fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
for number in range(count):
    step = choose.choice(steps)
    try:
        step(fd)
    except Exception as error:
        sys.exit(f"seed {seed}, step {number}, {step.__name__}: {error!r}")
    if choose.random() < 0.02:
        os.close(fd)
        fd = os.open(file, os.O_RDWR)
whole(fd)
os.close(fd)
