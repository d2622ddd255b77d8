#!/usr/bin/env bash
# Decoupled knowledge distillation: an LSTM student on its teacher's class logits, from a corpus file to a table of scores.
# Flags and stages: scripts/recipes/common/run.sh --help.
set -euo pipefail
exec "$(dirname "$0")/../common/run.sh" --recipe dkd-lstm "$@"
