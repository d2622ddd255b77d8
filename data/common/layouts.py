"""Lists the utterances of published data sets by their known layouts, as a Kaldi data directory and lines of metadata.

Every line of metadata has id and split (train, dev, test), besides what the corpus tells: speaker, keyword, slots, emotion.
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


LAYOUTS = {"speech-commands": speech_commands, "fluent-speech-commands": fluent_speech_commands,
           "voxceleb1-sid": voxceleb1_sid, "voxceleb1-asv": voxceleb1_asv, "iemocap": iemocap}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for wav.scp, segments and metadata.jsonl")
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


if __name__ == "__main__":
    main()
