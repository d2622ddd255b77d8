"""Prints the results below a folder as a table in Markdown: table.py WORK/scores; with several folders of one teacher, all students."""

import json
import sys
from pathlib import Path

ROWS = ("random", "mfcc", "teacher", "student")
NAMES = {"random": "random init", "mfcc": "MFCC"}
MISSING = "-"


def read(path):
    return json.loads(path.read_text()) if path.is_file() else {}


def units_of(scores, name):
    """(layer, metrics) of a model's best layer."""
    if name == "mfcc":
        return MISSING, read(scores / "mfcc/units.json").get("metrics", {})
    best = scores / name / "best"
    layer = best.read_text().strip() if best.is_file() else MISSING
    return layer, read(scores / name / layer / "units.json").get("metrics", {})


def profiles(scores):
    """Profile rows of teacher and student, in the order in which they were given; random init is a student's twin."""
    rows = dict(zip(("teacher", "student"), read(scores / "profile.json").get("metrics", [])))
    if "student" in rows:
        rows["random"] = rows["student"]
    return rows


def number(value, form):
    return MISSING if value is None else format(value, form)


def row_of(scores, name, profile, title=None):
    layer, units = units_of(scores, name)
    probe = read(scores / f"{name}-probe.json").get("metrics", {})
    parameters = profile.get("parameters", {}).get("backbone")
    speeds = [speed["times_real_time"] for speed in profile.get("speed", []) if speed.get("batch", 1) == 1]
    accuracy = MISSING
    if probe:
        accuracy = f"{100 * probe['accuracy']:.1f} +- {100 * probe['accuracy_deviation']:.1f}"
    return [title or NAMES.get(name, name), number(parameters and parameters / 1e6, ".2f"), layer,
            number(units.get("pnmi"), ".3f"), number(units.get("phone_purity"), ".3f"),
            number(units.get("cluster_purity"), ".3f"), accuracy, number(max(speeds, default=None), ".0f")]


def notes(scores):
    """What the numbers are relative to."""
    random, teacher, student = (units_of(scores, name)[1].get("pnmi") for name in ("random", "teacher", "student"))
    if random and teacher and student:
        yield (f"PNMI: the student keeps {100 * student / teacher:.1f} % of its teacher's; teacher {teacher / random:.2f} "
               f"and student {student / random:.2f} times random init.")
    rows = profiles(scores)
    if rows:
        sizes = {name: rows[name]["parameters"]["backbone"] for name in ("teacher", "student")}
        yield f"Parameters: the student has {100 * sizes['student'] / sizes['teacher']:.1f} % of its teacher's."
    probe = read(scores / "student-probe.json").get("metrics", {})
    if probe:
        yield f"Probe: chance {100 * probe['chance']:.1f} %, largest class {100 * probe['majority']:.1f} %."


def comparison(folders):
    """Rows of MFCC, the teacher that all share, and each folder's student; then what each student keeps."""
    first = folders[0]
    yield row_of(first, "mfcc", {})
    yield row_of(first, "teacher", profiles(first).get("teacher", {}))
    for scores in folders:
        recipe = scores.parent.name
        yield row_of(scores, "random", profiles(scores).get("random", {}), f"{recipe}, random init")
        yield row_of(scores, "student", profiles(scores).get("student", {}), recipe)


def kept(scores):
    recipe = scores.parent.name
    teacher, student = (units_of(scores, name)[1].get("pnmi") for name in ("teacher", "student"))
    sizes = {name: row["parameters"]["backbone"] for name, row in profiles(scores).items()}
    accuracy = {name: read(scores / f"{name}-probe.json").get("metrics", {}).get("accuracy") for name in ("teacher", "student")}
    text = f"{recipe}: {100 * sizes['student'] / sizes['teacher']:.1f} % of the teacher's parameters"
    if teacher and student:
        text += f", {100 * student / teacher:.1f} % of its PNMI"
    if all(accuracy.values()):
        text += f", {100 * accuracy['student'] / accuracy['teacher']:.1f} % of its probe accuracy"
    return text + "."


def main():
    folders = [Path(argument) for argument in sys.argv[1:]]
    scores = folders[0]
    rows = profiles(scores)
    print("| model | M parameters | layer | PNMI | phone purity | cluster purity | probe accuracy % | x real time |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    several = len(folders) > 1
    for row in comparison(folders) if several else (row_of(scores, name, rows.get(name, {})) for name in ROWS):
        print("| " + " | ".join(row) + " |")
    print()
    for note in map(kept, folders) if several else notes(scores):
        print(f"- {note}")


if __name__ == "__main__":
    main()
