"""Makes an item file of an ABX test (Zero Resource's form, which fastabx reads too) from the phones of a CTM file.

A line per phone that has a phone on either side, none of them silence and no gap between them. Speakers are the corpus
file's; without a corpus, or where a line has none, all utterances are of one speaker.
"""

import argparse
import json
import os
import re

SILENCE = re.compile(r"SIL|SPN|sil|sp|spn|<sil>|<s>|</s>|\+.+\+")
GAP = 0.011  # seconds: what rounding times to 10 ms leaves between neighbours


def read_phones(path):
    """id -> [(start, end, phone)] in order of time."""
    phones = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            fields = line.split()
            if not fields or fields[0].startswith(";;"):
                continue
            start, duration = float(fields[2]), float(fields[3])
            phones.setdefault(fields[0], []).append((start, start + duration, fields[4]))
    return phones


def read_speakers(path):
    """id -> speaker."""
    with open(path, encoding="utf-8") as lines:
        return {line["id"]: str(line.get("speaker", "-")) for line in map(json.loads, lines)}


def items_of(phones, span):
    """(onset, offset, phone, previous, next) of the phones that can be compared."""
    for before, here, after in zip(phones, phones[1:], phones[2:]):
        if any(SILENCE.fullmatch(phone) for _, _, phone in (before, here, after)):
            continue
        if here[0] - before[1] > GAP or after[0] - here[1] > GAP:
            continue
        onset, offset = (before[0], after[1]) if span == "triphone" else here[:2]
        if offset > onset:
            yield onset, offset, here[2], before[2], after[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alignments", required=True, help="CTM file: id channel start duration phone")
    parser.add_argument("--corpus", help="corpus.jsonl, for the speakers; its utterances alone are taken")
    parser.add_argument("--span", choices=("triphone", "phone"), default="triphone",
                        help="what an item covers: the phone with its neighbours (as in the ZeroSpeech 2021 benchmark), or it alone")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    phones = read_phones(options.alignments)
    speakers = read_speakers(options.corpus) if options.corpus else dict.fromkeys(phones, "-")
    temporary = options.output + ".tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write("#file onset offset #phone prev-phone next-phone speaker\n")
        for utterance, list_of_phones in phones.items():
            if utterance not in speakers:
                continue
            for onset, offset, *names in items_of(list_of_phones, options.span):
                file.write(f"{utterance} {onset:.4f} {offset:.4f} {' '.join(names)} {speakers[utterance]}\n")
    os.replace(temporary, options.output)


if __name__ == "__main__":
    main()
