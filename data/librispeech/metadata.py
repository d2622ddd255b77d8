"""Speaker, chapter and text of a LibriSpeech split's utterances, as lines of JSON for retort-prepare --metadata."""

import argparse
import json
from pathlib import Path


def utterances(split):
    """Yields what the transcripts (speaker/chapter/*.trans.txt, lines of "id TEXT") and their paths tell."""
    for transcript in sorted(split.glob("*/*/*.trans.txt")):
        chapter, speaker = transcript.parent.name, transcript.parent.parent.name
        for line in transcript.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            yield {"id": name, "speaker": speaker, "chapter": chapter, "lang": "en", "text": text.strip()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", type=Path, help="such as LibriSpeech/dev-clean")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with options.output.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(known, ensure_ascii=False) + "\n" for known in utterances(options.split))


if __name__ == "__main__":
    main()
