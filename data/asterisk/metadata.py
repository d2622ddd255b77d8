"""Names, speakers, languages, texts and digits of the Asterisk prompts, from their unpacked Debian packages.

Writes a line of JSON per file (for retort-prepare --metadata) and a list "id<TAB>g722 file" of what to decode.
"""

import argparse
import gzip
import json
import os
import re
from pathlib import Path

LANGUAGES = ("en", "es", "fr", "it", "ru")


def spoken(text):
    """A transcript without its notes about tones and symbols: "dollar [$]" is "dollar", "[beep]" is empty."""
    return " ".join(re.sub(r"\[[^\]]*\]|<[^>]*>|\([^)]*\)", " ", text).split())


def english_texts(packages):
    """Transcripts of the English files: name (such as digits/1) -> what is said."""
    path = packages / "asterisk-core-sounds-en/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    texts = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            name, colon, text = line.partition(":")
            if colon and not line.startswith(";") and spoken(text):
                texts[name.strip()] = spoken(text)
    return texts


def sounds(packages, language):
    """The language's files, sorted: (name, speaker, path). The speaker's folder is the only one that is no link."""
    root = packages / f"asterisk-core-sounds-{language}-g722/usr/share/asterisk/sounds"
    for path in sorted(root.rglob("*.g722")):
        speaker, *name = path.relative_to(root).with_suffix("").parts
        if not (root / speaker).is_symlink():
            yield "/".join(name), speaker, path


def describe(packages):
    """Yields (path, what is known) of every file."""
    texts = english_texts(packages)
    for language in LANGUAGES:
        for name, speaker, path in sounds(packages, language):
            known = {"id": f"{language}-{name.replace('/', '-')}", "speaker": speaker, "lang": language}
            if language == "en" and name in texts:
                known["text"] = texts[name]
            if re.fullmatch(r"digits/\d", name):
                known["digit"] = name[-1]
            yield path, known


def write(path, lines):
    temporary = Path(f"{path}.tmp")
    temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=Path, help="folder with a folder per unpacked package")
    parser.add_argument("-o", "--output", type=Path, required=True, help="metadata, a line of JSON per file")
    parser.add_argument("--files", type=Path, required=True, help="list of ids and files to decode")
    options = parser.parse_args()

    found = list(describe(options.packages))
    ids = [known["id"] for _, known in found]
    repeated = sorted({i for i in ids if ids.count(i) > 1}) if len(set(ids)) < len(ids) else []
    if repeated or not ids:
        raise SystemExit(f"metadata: {'ids repeat: ' + repeated[0] if repeated else 'no files in ' + str(options.packages)}")
    write(options.output, (json.dumps(known, ensure_ascii=False) for _, known in found))
    write(options.files, (f"{known['id']}\t{path}" for path, known in found))


if __name__ == "__main__":
    main()
