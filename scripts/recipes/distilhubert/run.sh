#!/usr/bin/env bash
# DistilHuBERT: a student that predicts layers of its teacher, from a corpus file to a table of scores.
# Flags and stages: scripts/recipes/common/run.sh --help.
set -euo pipefail
exec "$(dirname "$0")/../common/run.sh" --recipe distilhubert "$@"
