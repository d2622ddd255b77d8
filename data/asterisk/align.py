"""Phone alignments of a corpus with English texts, by PyPI's pocketsphinx: a CTM file "id channel start seconds phone".

Words are aligned first, then the phones of those words. For scoring only: nothing is trained on these. An utterance
without a text, with a word that the dictionary lacks, or that cannot be aligned is left out and counted.
"""

import argparse
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

RATE = 16000
FRAMES_PER_SECOND = 100
FILES_PER_DECODER = 32
PAD = 0.1  # seconds of silence put around an utterance whose first or last phone is cut too short to be aligned
WORDS = Path(__file__).with_name("words.dict")  # what the prompts say and pocketsphinx's dictionary lacks
SYMBOLS = {"*": " star ", "#": " pound ", "&": " and ", "%": " percent "}
UNITS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
         "seventeen eighteen nineteen").split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


def cardinal(number):
    """The words of a number below 1000: 28 -> twenty eight."""
    if number >= 100:
        rest = [] if number % 100 == 0 else cardinal(number % 100)
        return [UNITS[number // 100], "hundred", *rest]
    if number < 20:
        return [UNITS[number]]
    return [TENS[number // 10], *([UNITS[number % 10]] if number % 10 else [])]


def read_out(token):
    """A number as it is said ("28.8": twenty eight point eight); other tokens as they are."""
    if re.fullmatch(r"\d{1,3}", token):
        return cardinal(int(token))
    if re.fullmatch(r"\d{1,3}\.\d+", token):
        whole, decimals = token.split(".")
        return [*cardinal(int(whole)), "point", *(UNITS[int(digit)] for digit in decimals)]
    return [token]


def words_of(text, known):
    """The words to align, or None where one is not `known`. An unknown word in capitals is spelled: IAX -> i a x."""
    for symbol, name in SYMBOLS.items():
        text = text.replace(symbol, name)
    text = re.sub(r"(\d)([A-Za-z])", r"\1 \2", text.replace("non-admin", "nonadmin"))
    text = re.sub(r"[^A-Za-z0-9'.]|\.(?!\d)", " ", text)
    words = []
    for token in (said for token in text.split() for said in read_out(token)):
        word = token.lower().strip("'")
        if not word:
            continue
        if known(word):
            words.append(word)
        elif re.fullmatch(r"[A-Z]{2,5}", token):
            words.extend(word)
        else:
            return None
    return words or None


def decode(paths):
    """16-bit PCM of several audio files at 16 kHz, by one ffmpeg."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["ffmpeg", "-nostdin", "-v", "error", "-filter_threads", "1"]
        for path in paths:
            command += ["-threads", "1", "-i", str(path)]
        for index in range(len(paths)):
            command += ["-map", f"{index}:a", "-ac", "1", "-ar", str(RATE), "-f", "s16le", f"{folder}/{index}"]
        subprocess.run(command, check=True)
        return [Path(f"{folder}/{index}").read_bytes() for index in range(len(paths))]


class Aligner:
    """Aligns utterances one by one; a decoder lives as long as its process."""

    def __init__(self):
        from pocketsphinx import Decoder

        self.decoder = Decoder(lm=None, samprate=RATE, loglevel="FATAL")
        for line in WORDS.read_text(encoding="utf-8").splitlines():
            word, phones = line.split(maxsplit=1)
            if not self.decoder.lookup_word(word):
                self.decoder.add_word(word, phones, True)

    def align(self, words, pcm):
        """(start, duration, phone) of every phone, in frames; RuntimeError where the words do not fit the audio."""
        self.decoder.reinit_feat()  # else the cepstral mean of the utterances before this one shifts its phones
        self.decoder.set_align_text(" ".join(words))
        self.decode(pcm)
        self.decoder.set_alignment()
        self.decode(pcm)
        return [(phone.start, phone.duration, phone.name) for word in self.decoder.get_alignment() for phone in word]

    def decode(self, pcm):
        self.decoder.start_utt()
        self.decoder.process_raw(pcm, full_utt=True)
        self.decoder.end_utt()

    def phones(self, text, pcm):
        """(start, seconds, phone) of every phone, or a reason why there are none."""
        words = words_of(text, self.decoder.lookup_word)
        if words is None:
            return "a word is not in the dictionary"
        for pad in (0.0, PAD):
            silence = bytes(2 * round(RATE * pad))
            try:
                return within(self.align(words, silence + pcm + silence), pad, len(pcm) / 2 / RATE)
            except RuntimeError:
                pass
        return "the text cannot be aligned"


def within(phones, pad, seconds):
    """The phones in seconds, without what lies in the padding around the utterance."""
    kept = []
    for start, duration, phone in phones:
        begin = max(start / FRAMES_PER_SECOND - pad, 0)
        end = min((start + duration) / FRAMES_PER_SECOND - pad, seconds)
        if end - begin >= 0.5 / FRAMES_PER_SECOND:
            kept.append((begin, end - begin, phone))
    return kept


def align_all(utterances):
    """What a worker does with its utterances: (id, phones or reason) of each."""
    global aligner
    if "aligner" not in globals():
        aligner = Aligner()
    audio = decode([utterance["path"] for utterance in utterances])
    return [(utterance["id"], aligner.phones(utterance["text"], pcm)) for utterance, pcm in zip(utterances, audio)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="corpus file; utterances must be whole files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="CTM file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()

    lines = [json.loads(line) for line in options.corpus.read_text(encoding="utf-8").splitlines()]
    todo = [{**line, "path": options.corpus.parent / line["path"]} for line in lines if line.get("text")]
    portions = [todo[i:i + FILES_PER_DECODER] for i in range(0, len(todo), FILES_PER_DECODER)]
    reasons = {"there is no text": len(lines) - len(todo)}
    temporary = Path(f"{options.output}.tmp")
    with multiprocessing.Pool(options.jobs) as pool, temporary.open("w", encoding="utf-8") as ctm:
        for aligned in pool.imap(align_all, portions):
            for name, phones in aligned:
                if isinstance(phones, str):
                    reasons[phones] = reasons.get(phones, 0) + 1
                    continue
                ctm.writelines(f"{name} 1 {start:.2f} {seconds:.2f} {phone}\n" for start, seconds, phone in phones)
    os.replace(temporary, options.output)
    left_out = "; ".join(f"{count} because {reason}" for reason, count in reasons.items() if count)
    print(f"align: {len(lines) - sum(reasons.values())} of {len(lines)} utterances aligned; left out: {left_out or 'none'}",
          file=sys.stderr)


if __name__ == "__main__":
    main()
