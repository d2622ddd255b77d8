"""The probes of some models as a Markdown table: WORK/MODEL/*.json as scripts/recipes/evaluate/run.sh makes them."""

import argparse
import json
from pathlib import Path

# Result, metric, heading, factor, digits.
COLUMNS = (("language", "accuracy", "languages, %", 100, 1), ("slots", "accuracy", "kind and language, %", 100, 1),
           ("folds", "accuracy", "kind, new speaker, %", 100, 1), ("pr", "per", "PR, PER %", 100, 1),
           ("pr", "per_beam", "PR by beam, PER %", 100, 1), ("asr", "cer", "ASR, CER %", 100, 1), ("asr", "wer", "ASR, WER %", 100, 1),
           ("sf", "slot_type_f1", "SF, F1 %", 100, 1), ("sf", "slot_value_cer", "SF, CER %", 100, 1),
           ("asv", "eer", "ASV, EER %", 100, 2), ("sd", "der", "SD, DER %", 100, 1), ("qbe", "mtwv", "QbE, MTWV", 1, 3))


def cell(path, metric, factor, digits):
    """Mean and deviation over seeds, or a dash where there is no such result."""
    if not path.is_file():
        return "-"
    metrics = json.loads(path.read_text())["metrics"]
    text = f"{factor * metrics[metric]:.{digits}f}"
    deviation = metrics.get(f"{metric}_deviation")
    return text if deviation is None else f"{text} +- {factor * deviation:.{digits}f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    print("| model | " + " | ".join(heading for _, _, heading, _, _ in COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for model in options.models:
        cells = (cell(options.work / model / f"{result}.json", metric, factor, digits)
                 for result, metric, _, factor, digits in COLUMNS)
        print(f"| {model} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
