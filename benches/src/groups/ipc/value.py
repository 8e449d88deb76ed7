"""One sample of multiprocessing's Value or Array, timed by itself.

Usage: value.py count-PROCESSES | bytes-LENGTH SECONDS; prints the figure of the workload.
"""

import multiprocessing
import sys
from time import perf_counter, sleep


def count_up(value, begin, over, counts, index):
    lock = value.get_lock()
    begin.wait()
    count = 0
    while not over.value:
        with lock:
            value.value += 1
        count += 1
    counts[index] = count


def count(processes, seconds):
    context = multiprocessing.get_context("fork")
    value = context.Value("Q", 0)
    over = context.RawValue("b", 0)
    counts = context.RawArray("Q", processes)
    begin = context.Barrier(processes + 1)
    workers = [
        context.Process(target=count_up, args=(value, begin, over, counts, index))
        for index in range(processes)
    ]
    for worker in workers:
        worker.start()
    begin.wait()
    start = perf_counter()
    sleep(seconds)
    over.value = 1
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    took = perf_counter() - start
    assert value.value == sum(counts)
    print(value.value / took)


def copy(length, seconds):
    array = multiprocessing.Array("B", length)
    # The quickest way in and out: as bytes, and not as a list of numbers.
    view = memoryview(array.get_obj()).cast("B")
    lock = array.get_lock()
    source = bytearray(index % 256 for index in range(256)) * (length // 256)
    target = bytearray(length)
    out = memoryview(target)

    def in_and_out():
        with lock:
            view[:] = source
        with lock:
            out[:] = view

    in_and_out()
    copied = 0
    start = perf_counter()
    while perf_counter() - start < seconds:
        source[0] = (source[0] + 1) % 256
        in_and_out()
        copied += 2 * length
    took = perf_counter() - start
    assert source == target
    print(copied / took)


if __name__ == "__main__":
    what, number = sys.argv[1].split("-")
    {"count": count, "bytes": copy}[what](int(number), float(sys.argv[2]))
