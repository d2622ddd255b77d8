"""Lists the utterances of published data sets by their known layouts, as a Kaldi data directory and lines of metadata.

Every line of metadata has an id, mostly a split (train, dev, test), and what else the corpus tells: speaker, keyword, slots,
emotion.
"""

import argparse
import csv
import hashlib
import json
import re
import wave
from pathlib import Path

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
EMOTIONS = {"neu": "neutral", "hap": "happy", "exc": "happy", "ang": "angry", "sad": "sad"}


def fail(message):
    raise SystemExit(f"layouts: {message}")


def lines_of(path):
    if not path.is_file():
        fail(f"there is no {path}")
    return path.read_text(encoding="utf-8").splitlines()


def tenth(text):
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10


def speech_commands(root):
    """Google's Speech Commands v1: ten words, all others as _unknown_, and seconds of background noise as _silence_."""
    splits = {name: split for split, list_name in (("dev", "validation_list.txt"), ("test", "testing_list.txt"))
              for name in lines_of(root / list_name)}
    for path in sorted(root.glob("*/*.wav")):
        word, stem = path.parent.name, path.stem
        if word == "_background_noise_":
            with wave.open(str(path)) as audio:
                seconds = audio.getnframes() // audio.getframerate()
            for second in range(seconds):
                name = f"silence-{stem}-{second:03d}"
                split = ("train",) * 8 + ("dev", "test")
                yield path, {"id": name, "keyword": "_silence_", "split": split[tenth(name)]}, (second, second + 1)
            continue
        yield path, {"id": f"{word}-{stem}", "keyword": word if word in COMMANDS else "_unknown_",
                     "speaker": stem.split("_")[0], "split": splits.get(f"{word}/{path.name}", "train")}, (0, -1)


def fluent_speech_commands(root):
    """Fluent Speech Commands: action, object and location of each command."""
    for split, name in (("train", "train_data.csv"), ("dev", "valid_data.csv"), ("test", "test_data.csv")):
        for row in csv.DictReader(lines_of(root / "data" / name)):
            path = root / row["path"]
            yield path, {"id": path.stem, "speaker": row["speakerId"], "text": row["transcription"], "action": row["action"],
                         "object": row["object"], "location": row["location"], "split": split}, (0, -1)


def voxceleb_name(path):
    return re.sub(r"\.\w+$", "", path).replace("/", "-")


def voxceleb1_sid(root):
    """VoxCeleb1 for identification: iden_split.txt says train, dev or test of each file."""
    for line in lines_of(root / "iden_split.txt"):
        split, name = line.split()
        yield root / "wav" / name, {"id": voxceleb_name(name), "speaker": name.split("/")[0],
                                    "split": ("train", "dev", "test")[int(split) - 1]}, (0, -1)


def voxceleb1_asv(root):
    """VoxCeleb1 for verification: speakers of veri_test.txt are test, a tenth of the others dev."""
    tested = {name.split("/")[0] for line in lines_of(root / "veri_test.txt") for name in line.split()[1:]}
    for path in sorted((root / "wav").glob("*/*/*.wav")):
        name = str(path.relative_to(root / "wav"))
        speaker = name.split("/")[0]
        split = "test" if speaker in tested else "dev" if tenth(speaker) == 0 else "train"
        yield path, {"id": voxceleb_name(name), "speaker": speaker, "split": split}, (0, -1)


def voxceleb1_trials(root):
    """Pairs of veri_test.txt, with the ids of the corpus."""
    for line in lines_of(root / "veri_test.txt"):
        same, one, other = line.split()
        yield f"{same} {voxceleb_name(one)} {voxceleb_name(other)}"


def iemocap(root):
    """IEMOCAP: four emotions, happy and excited as one; sessions are the folds."""
    for session in range(1, 6):
        for notes in sorted((root / f"Session{session}/dialog/EmoEvaluation").glob("*.txt")):
            for line in lines_of(notes):
                fields = line.split("\t")
                if not line.startswith("[") or len(fields) < 3 or fields[2] not in EMOTIONS:
                    continue
                name = fields[1]
                path = root / f"Session{session}/sentences/wav" / name.rsplit("_", 1)[0] / f"{name}.wav"
                yield path, {"id": name, "emotion": EMOTIONS[fields[2]], "session": f"Session{session}",
                             "speaker": f"Ses{session:02d}{name.rsplit('_', 1)[1][0]}"}, (0, -1)


def slot_tokens(words, slots):
    """Words with B-slot before and E-slot behind each run of a slot; punctuation by itself is left out."""
    tokens = []
    for i, (word, slot) in enumerate(zip(words, slots)):
        if slot != "O" and (i == 0 or slots[i - 1] != slot):
            tokens.append(f"B-{slot}")
        if word not in "?!.,;-":
            tokens.append("AND" if word == "&" else word)
        if slot != "O" and (i + 1 == len(slots) or slots[i + 1] != slot):
            tokens.append(f"E-{slot}")
    return " ".join(tokens)


def snips(root):
    """Audio SNIPS as s3prl's preprocessing leaves it: all.iob.snips.txt and wav files in train, valid and test."""
    for line in sorted(lines_of(root / "all.iob.snips.txt")):
        sentence, tab, slots = line.partition("\t")
        if not tab:
            continue
        name, *words = sentence.split()
        # BOS and EOS stand around the words; the intent stands behind their slots.
        words, slots = words[1:-1], slots.split()[1:-1]
        if len(words) != len(slots):
            fail(f"{root / 'all.iob.snips.txt'}: {name} has {len(words)} words and {len(slots)} slots")
        speaker, folder = name.split("-")[0], name.split("-")[2]
        path = root / folder / f"{name}.wav"
        if path.is_file():
            yield path, {"id": name, "speaker": speaker, "text": slot_tokens(words, slots),
                         "split": "dev" if folder == "valid" else folder}, (0, -1)


def librimix(root):
    """Libri2Mix as s3prl's diarization reads it: Kaldi directories train, dev and test."""
    for split in ("train", "dev", "test"):
        for line in lines_of(root / split / "wav.scp"):
            name, path = line.split(maxsplit=1)
            yield Path(path), {"id": name, "split": split}, (0, -1)


def librimix_turns(root):
    """RTTM of the segments, each of the speaker of its utterance."""
    for split in ("train", "dev", "test"):
        speakers = dict(line.split() for line in lines_of(root / split / "utt2spk"))
        for line in lines_of(root / split / "segments"):
            utterance, recording, start, end = line.split()
            if utterance not in speakers:
                fail(f"{root / split}: {utterance} is in segments but not in utt2spk")
            yield (f"SPEAKER {recording} 1 {float(start):.3f} {float(end) - float(start):.3f} <NA> <NA> "
                   f"{speakers[utterance]} <NA> <NA>")


def quesst14_list(root, name):
    """English files of a list, as SUPERB takes them."""
    for line in lines_of(root / "scoring" / f"language_key_{name}.lst"):
        path, language = line.split()
        if language == "nnenglish":
            yield root / path.partition("/")[2]  # the first folder is the data set's own


def quesst14_documents(root):
    """QUESST 2014: the recordings that are searched."""
    for path in quesst14_list(root, "utterances"):
        yield path, {"id": path.stem}, (0, -1)


def quesst14_queries(root):
    """QUESST 2014: spoken queries of dev and eval (here test), each with the recordings in which it occurs."""
    documents = {path.stem for path in quesst14_list(root, "utterances")}
    for split, name in (("dev", "dev"), ("test", "eval")):
        found = {}
        for line in lines_of(root / f"scoring/groundtruth_quesst14_{name}/quesst14_{name}.rttm"):
            fields = line.split()
            if len(fields) > 5 and fields[0] == "LEXEME" and fields[1] in documents:
                found.setdefault(fields[5], set()).add(fields[1])
        for path in quesst14_list(root, name):
            yield path, {"id": path.stem, "split": split, "documents": sorted(found.get(path.stem, ()))}, (0, -1)


LAYOUTS = {"speech-commands": speech_commands, "fluent-speech-commands": fluent_speech_commands,
           "voxceleb1-sid": voxceleb1_sid, "voxceleb1-asv": voxceleb1_asv, "iemocap": iemocap,
           "snips": snips, "librimix": librimix, "quesst14-documents": quesst14_documents, "quesst14-queries": quesst14_queries}
# What a layout tells besides its utterances: a file and its lines.
EXTRAS = {"voxceleb1-asv": ("trials.txt", voxceleb1_trials), "librimix": ("turns.rttm", librimix_turns)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("-o", "--output", type=Path, required=True,
                        help="folder for wav.scp, segments, metadata.jsonl, and extra/ with what else there is")
    options = parser.parse_args()
    recordings, segments, metadata = {}, [], []
    for path, known, (start, end) in LAYOUTS[options.layout](options.root.resolve()):
        if " " in known["id"] or " " in str(path):
            fail(f"{path}: a name with a blank, which Kaldi's files cannot hold")
        recording = known["id"] if end == -1 else path.stem
        recordings[recording] = path
        segments.append(f"{known['id']} {recording} {start} {end}")
        metadata.append(json.dumps(known, ensure_ascii=False))
    if not segments:
        fail(f"{options.root} holds no {options.layout}")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "wav.scp").write_text("".join(f"{name} {path}\n" for name, path in sorted(recordings.items())))
    (options.output / "segments").write_text("".join(f"{line}\n" for line in sorted(segments)))
    (options.output / "metadata.jsonl").write_text("".join(f"{line}\n" for line in metadata), encoding="utf-8")
    (options.output / "extra").mkdir(exist_ok=True)
    if options.layout in EXTRAS:
        name, lines = EXTRAS[options.layout]
        (options.output / "extra" / name).write_text("".join(f"{line}\n" for line in lines(options.root.resolve())))


if __name__ == "__main__":
    main()
