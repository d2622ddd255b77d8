"""Prints the layer whose units have the highest PNMI: best_layer.py FOLDER LAYER..., scores in FOLDER/LAYER/units.json."""

import json
import sys
from pathlib import Path

folder, layers = Path(sys.argv[1]), " ".join(sys.argv[2:]).split()
print(max(layers, key=lambda layer: json.loads((folder / layer / "units.json").read_text())["metrics"]["pnmi"]))
