"""Some models' probes and intrinsic measures as Markdown tables: WORK/MODEL/*.json as scripts/recipes/evaluate/run.sh makes them."""

import argparse
import json
from pathlib import Path

# Result, metric, heading, factor, digits.
COLUMNS = (("language", "accuracy", "languages, %", 100, 1), ("slots", "accuracy", "kind and language, %", 100, 1),
           ("folds", "accuracy", "kind, new speaker, %", 100, 1), ("pr", "per", "PR, PER %", 100, 1),
           ("pr", "per_beam", "PR by beam, PER %", 100, 1), ("asr", "cer", "ASR, CER %", 100, 1), ("asr", "wer", "ASR, WER %", 100, 1),
           ("sf", "slot_type_f1", "SF, F1 %", 100, 1), ("sf", "slot_value_cer", "SF, CER %", 100, 1),
           ("asv", "eer", "ASV, EER %", 100, 2), ("sd", "der", "SD, DER %", 100, 1), ("qbe", "mtwv", "QbE, MTWV", 1, 3))

# The same of a layer in intrinsic.json: part, measure, heading, factor, digits.
LAYER_COLUMNS = (("units", "pnmi", "PNMI", 1, 3), ("units", "phone_purity", "phone purity", 1, 3),
                 ("units", "cluster_purity", "cluster purity", 1, 3), ("units", "units_used", "units used", 1, 0),
                 ("phone_probe", "accuracy", "phone probe, %", 100, 1), ("abx", "within", "ABX within, %", 100, 1))


def print_table(headings, rows):
    print("| " + " | ".join(headings) + " |\n|---|" + "---:|" * (len(headings) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def cell(path, metric, factor, digits):
    """Mean and deviation over seeds, or a dash where there is no such result."""
    if not path.is_file():
        return "-"
    metrics = json.loads(path.read_text())["metrics"]
    text = f"{factor * metrics[metric]:.{digits}f}"
    deviation = metrics.get(f"{metric}_deviation")
    return text if deviation is None else f"{text} +- {factor * deviation:.{digits}f}"


def intrinsic_row(model, result):
    """The model's own layer, and how its units agree with those of the teacher's."""
    metrics = result["metrics"]
    layer = next(layer for layer in metrics["layers"] if layer["of"] == "model")
    cells = [f"{factor * layer[part][measure]:.{digits}f}" for part, measure, _, factor, digits in LAYER_COLUMNS]
    agreement = metrics.get("agreement", [{}])[0].get("normalised_information")
    return [model, layer["layer"], *cells, "-" if agreement is None else f"{agreement:.3f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    print_table(["model", *(heading for _, _, heading, _, _ in COLUMNS)],
                ([model, *(cell(options.work / model / f"{result}.json", metric, factor, digits)
                           for result, metric, _, factor, digits in COLUMNS)] for model in options.models))
    results = {model: options.work / model / "intrinsic.json" for model in options.models}
    if any(path.is_file() for path in results.values()):
        print()
        print_table(["model", "layer", *(heading for _, _, heading, _, _ in LAYER_COLUMNS), "information of the teacher's units"],
                    (intrinsic_row(model, json.loads(path.read_text())) for model, path in results.items() if path.is_file()))


if __name__ == "__main__":
    main()
