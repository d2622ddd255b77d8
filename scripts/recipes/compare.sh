#!/usr/bin/env bash
# Trains a student of about a third of the demo's teacher by every recipe, and prints one table of them. The teacher is the one
# that scripts/demo made; every tenth utterance is kept for validation. A student that is there is not trained again.
# Usage: scripts/recipes/compare.sh [--demo DIR] [--work DIR] [--steps N] [--threads N] [--device cpu|cuda]
set -euo pipefail
cd "$(dirname "$0")/../.."

demo=exp/demo      # of scripts/demo --work
work=exp/compare
steps=2400         # updates of each student, 12 s of audio each
threads=0
device=cpu
while (($#)); do
  case $1 in
    --demo) demo=${2:?--demo needs a folder}; shift 2 ;;
    --work) work=${2:?--work needs a folder}; shift 2 ;;
    --steps) steps=${2:?--steps needs a number}; shift 2 ;;
    --threads) threads=${2:?--threads needs a number}; shift 2 ;;
    --device) device=${2:?--device needs cpu or cuda}; shift 2 ;;
    -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "compare: unknown option $1 (see --help)" >&2; exit 2 ;;
  esac
done
teacher=$demo/run/teacher-1/student
data=exp/data/asterisk
[[ -f $teacher/config.json ]] || { echo "compare: there is no teacher $teacher; run scripts/demo" >&2; exit 1; }

mkdir -p "$work"
for part in train validation; do
  awk -v part="$part" '(NR % 10 == 0) == (part == "validation")' "$data/en.jsonl" |
    sed "s|\"path\":\"|&$(realpath --relative-to="$work" "$data")/|" >"$work/$part.jsonl.tmp"
  mv "$work/$part.jsonl.tmp" "$work/$part.jsonl"
done

# What all students share: a thin conv stack, small batches, a learning rate that a few thousand updates need.
common=(feature_grad_mult=1.0 optimizer.lr=0.002 schedule.warmup_steps=100 report_every=100 validate_every=200 checkpoint_every=400
  batch.seconds=12.0 batch.micro_seconds=12.0 batch.min_seconds=1.0 batch.max_seconds=2.0 batch.pad=false)
thin="student.conv_channels=[48,48,48,48,48,64,64]"
transformer=(student.hidden=96 student.heads=4 student.pos_kernel=64 student.layerdrop=0.0)
layers="student.predicted_layers=[1,2,3]"

# Students of 0.27 to 0.29 M parameters. DistilHuBERT's cannot begin with the teacher's blocks, which are wider than it is.
train() {
  local recipe=$1 options=() value
  shift
  # MFCC and the teacher have the same scores in every folder.
  if [[ -d $work/dicehubert/scores && ! -d $work/$recipe ]]; then
    mkdir -p "$work/$recipe/scores"
    cp -r "$work"/dicehubert/scores/{mfcc,mfcc-probe.json,teacher,teacher-probe.json} "$work/$recipe/scores/"
  fi
  for value in "${common[@]}" "$@"; do options+=(--student-set "$value"); done
  scripts/recipes/"$recipe"/run.sh --teacher "$teacher" --work "$work/$recipe" --alignments "$data/phones.ctm" \
    --corpus "$work/train.jsonl" --validation-corpus "$work/validation.jsonl" --score-corpus "$data/en.jsonl" -k 100 \
    --probe-corpus "$demo/probe.jsonl" --probe-key lang --student-steps "$steps" --threads "$threads" \
    --device "$device" "${options[@]}"
}
train dicehubert "$thin" "${transformer[@]}" student.layers=2 student.ffn=320 student.final_dim=64 loss.unmasked=1.0
train distilhubert "$thin" "${transformer[@]}" student.layers=2 student.ffn=320 "$layers" 'copy_from_teacher=["feature_extractor."]'
train fithubert 'student.conv_channels=[24,48,48,48,48,48,64,64,64]' "${transformer[@]}" student.layers=3 student.ffn=96 "$layers"
train dkd-lstm "$thin" student.layers=2 student.lstm_hidden=76

python3 -B scripts/recipes/common/table.py "$work"/{dicehubert,distilhubert,fithubert,dkd-lstm}/scores >"$work/table.md.tmp"
mv "$work/table.md.tmp" "$work/table.md"
cat "$work/table.md"
