"""Corpora of the tasks out of data/asterisk: queries and recordings, kinds of prompts, and texts with slots.

queries.jsonl, recordings.jsonl: English prompts of few words that occur in longer ones. kinds.jsonl: every language, with a
"kind" of prompt (digits, letters, phonetic alphabet, menus). slots.jsonl: English prompts, whose "slots" mark keys to press and
what a prompt is about.
"""

import argparse
import json
import os
import re
from pathlib import Path

QUERY_WORDS = 2       # at most
RECORDING_WORDS = 4   # at least
LETTERS = 5           # at least, of a query: shorter ones occur everywhere
KINDS = ("digits", "letters", "phonetic")  # the folder of a prompt; all others are menus
SLOTS = {"key": {"pound", "star", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"},
         "object": {"conference", "message", "messages", "password", "extension", "volume", "directory", "mailbox", "menu",
                    "participant", "participants", "agent", "caller", "folder", "greeting", "name"}}


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def occurs(query, text):
    return any(text[i:i + len(query)] == query for i in range(len(text) - len(query) + 1))


def write(path, folder, lines):
    """Corpus lines, with their paths as seen from the new file."""
    temporary = Path(f"{path}.tmp")
    with temporary.open("w", encoding="utf-8") as out:
        for line in lines:
            line = {**line, "path": os.path.relpath(folder / line["path"], path.parent)}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    os.replace(temporary, path)


def search_corpora(lines):
    """(queries, recordings)."""
    recordings = [line for line in lines if len(words(line["text"])) >= RECORDING_WORDS]
    texts = [words(line["text"]) for line in recordings]
    queries, seen = [], set()
    for line in lines:
        query = words(line["text"])
        if len(query) > QUERY_WORDS or sum(map(len, query)) < LETTERS or tuple(query) in seen:
            continue
        if any(occurs(query, text) for text in texts):
            seen.add(tuple(query))
            queries.append(line)
    if not queries:
        raise SystemExit("corpora: no short English text occurs in a long one")
    return queries, recordings


def with_kind(line):
    folder = line["id"].split("-")[1]
    return {**line, "kind": folder if folder in KINDS else "menus"}


def with_slots(line):
    marked = []
    for word in words(line["text"]):
        kind = next((kind for kind, fillers in SLOTS.items() if word in fillers), None)
        marked += [f"B-{kind}", word, f"E-{kind}"] if kind else [word]
    return {**line, "slots": " ".join(marked)}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that data/asterisk/prepare made")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    english = [line for line in read(options.data / "en.jsonl") if words(line.get("text", ""))]
    queries, recordings = search_corpora(english)
    options.output.mkdir(parents=True, exist_ok=True)
    write(options.output / "recordings.jsonl", options.data, recordings)
    write(options.output / "kinds.jsonl", options.data, map(with_kind, read(options.data / "corpus.jsonl")))
    write(options.output / "slots.jsonl", options.data, map(with_slots, english))
    write(options.output / "queries.jsonl", options.data, queries)


if __name__ == "__main__":
    main()
