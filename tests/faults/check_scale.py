"""retort-inspect --check and --repair-list over a large store with parts that were broken at known places."""

import random
import subprocess
import sys
import tempfile
import time

from stores import XXHASH, break_parts, write_part, write_store


def numbers(text):
    found = []
    for piece in text.strip().split(",") if text.strip() else []:
        first, _, last = piece.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def check_scale(bin_folder, parts=10000, utterances=30, frames=300, each=20, seed=1):
    """Rows of a table: what was done, seconds, what was found. An AssertionError where the list is not exact."""
    if XXHASH is None:
        raise RuntimeError("libxxhash is not there, which making the store needs")
    inspect = str(bin_folder / "retort-inspect")
    rows = []

    def timed(what, *options):
        begin = time.monotonic()
        done = subprocess.run([inspect, *options, folder], text=True, capture_output=True, check=False)
        rows.append((what, time.monotonic() - begin, done))
        return done

    with tempfile.TemporaryDirectory(prefix="retort-store-") as folder:
        write_store(folder, parts, utterances, frames)
        whole = timed("check of the whole store", "--check")
        assert whole.returncode == 0, whole.stderr
        ways = break_parts(folder, parts, utterances, frames, random.Random(seed), each)
        broken = timed(f"check with {5 * each} broken parts", "--check", "--json")
        assert broken.returncode == 1, broken.stderr
        listed = timed("list of what to run again", "--repair-list")
        assert listed.returncode == 0, listed.stderr
        wanted = sorted(index for indices in ways.values() for index in indices)
        assert numbers(listed.stdout) == wanted, (set(numbers(listed.stdout)) ^ set(wanted), ways)
        for index in wanted:
            write_part(folder, index, parts, utterances, frames)
        mended = timed("check after these were made again", "--check")
        assert mended.returncode == 0, mended.stderr
        assert timed("list of a whole store", "--repair-list").stdout == ""
    return rows, ways


def table(bin_folder):
    rows, ways = check_scale(bin_folder)
    print("10,000 parts, 300,000 utterances, 90 million labels\n\n| | s |\n| --- | --- |")
    for what, seconds, _ in rows:
        print(f"| {what} | {seconds:.1f} |")
    print("\nBroken and found, each part and no other: " + ", ".join(f"{len(found)} {way}" for way, found in ways.items()))
    sys.stdout.flush()
