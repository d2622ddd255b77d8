#!/usr/bin/env bash
# DiceHuBERT: a student on the labels of its teacher's best layer, from a corpus file to a table of scores.
# Flags and stages: scripts/recipes/common/run.sh --help.
set -euo pipefail
exec "$(dirname "$0")/../common/run.sh" --recipe dicehubert "$@"
