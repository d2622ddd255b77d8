#!/usr/bin/env bash
# Scores MFCC, a teacher and students on all kinds of probe and the intrinsic set, in numbered stages: a result for each model
# and task below WORK/NAME/, a table and a page. What is scored is not scored again. Each result repeats itself with
# retort-evaluate rerun.
#
#   1  data           two-voice mixtures; queries and recordings; kinds of prompts; slots; triphones
#   2  classification languages of held-out prompts; kind and language of a prompt, both right; kinds with each language (and thus
#                     speaker) tested once                   (probe)
#   3  ctc            phones, characters and slots           (asterisk-pr, asterisk-asr, asterisk-sf)
#   4  asv            speakers                               (asterisk-asv)
#   5  sd             who speaks when                        (asterisk-sd)
#   6  qbe            spoken queries                         (asterisk-qbe)
#   7  intrinsic      what needs no training: units, phones, ABX, likeness to the teacher; what models cost
#   8  table          WORK/table.md and WORK/report.html
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)

data=$root/exp/data/asterisk             # --data DIR: made by data/asterisk/prepare
demo=$root/exp/demo                      # --demo DIR: of scripts/demo; its teacher and its held-out prompts
compare=$root/exp/compare                # --compare DIR: of scripts/recipes/compare.sh; its students
work=$root/exp/evaluate                  # --work DIR: everything that is made
bin=${RETORT_BIN:-$root/build/bin}       # folder of the programs
models=()                                # --model NAME=PATH (repeatable); none: mfcc, the teacher, all students
mixtures=100                             # --mixtures N: recordings of two voices
stage=1                                  # --stage N: begin here
stop_stage=8                             # --stop-stage N: end after this one
threads=1                                # --threads N: 1 is fastest for probes as small as these
settings=()                              # --set KEY=VALUE (repeatable): of every protocol that trains

fail() { echo "evaluate: $1" >&2; exit "${2:-1}"; }

while (($#)); do
  case $1 in
    -h | --help)
      sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "$0"
      sed -n '/^data=/,/^settings=/{s/^[a-z_]*=[^ ]* *# /  /p}' "$0"
      exit 0 ;;
    -*) (($# > 1)) || fail "$1 needs a value, or is unknown (see --help)" 2 ;;&
    --data) data=$2 ;;
    --demo) demo=$2 ;;
    --compare) compare=$2 ;;
    --work) work=$2 ;;
    --model) [[ $2 == *=* ]] || fail "--model $2: should be NAME=PATH" 2; models+=("$2") ;;
    --mixtures) mixtures=$2 ;;
    --stage) stage=$2 ;;
    --stop-stage) stop_stage=$2 ;;
    --threads) threads=$2 ;;
    --set) settings+=(--set "$2") ;;
    *) fail "unknown option $1 (see --help)" 2 ;;
  esac
  shift 2
done
[[ -f $data/en.jsonl ]] || fail "there is no $data/en.jsonl (data/asterisk/prepare makes it)"
if ((${#models[@]} == 0)); then
  models=(mfcc=mfcc "teacher=$demo/run/teacher-1/student")
  for student in "$compare"/*/student/student; do
    [[ -f $student/config.json ]] || continue
    name=${student#"$compare"/}
    models+=("${name%%/*}=$student")
  done
fi
mkdir -p "$work"

run() {
  { printf '+'; printf ' %q' "$@"; echo; } >&2
  "$@" >>"$work/results.log"
}

# Whether stage N is to be done; says so.
begin_stage() {
  ((stage <= $1 && $1 <= stop_stage)) || return 1
  echo "evaluate: [$(printf '%4d' "$SECONDS") s] stage $1: $2" >&2
}

# evaluate TASK RESULT ARGUMENT...: the task for every model.
evaluate() {
  local task=$1 result=$2 model
  shift 2
  for model in "${models[@]}"; do
    mkdir -p "$work/${model%%=*}"
    run "$bin/retort-evaluate" "$task" --model "${model#*=}" "$@" --threads "$threads" -o "$work/${model%%=*}/$result.json"
  done
}

if begin_stage 1 data; then
  [[ -f $work/mixtures/corpus.jsonl ]] ||
    run "$root/data/mixtures/prepare" "$data/corpus.jsonl" -o "$work/mixtures" --count "$mixtures"
  [[ -f $work/corpora/queries.jsonl ]] ||
    run python3 -B "$root/scripts/recipes/evaluate/corpora.py" "$data" -o "$work/corpora"
  [[ -f $work/corpora/triphone.item ]] ||
    run python3 -B "$root/data/common/items.py" --alignments "$data/phones.ctm" --corpus "$data/en.jsonl" -o "$work/corpora/triphone.item"
fi
if begin_stage 2 classification; then
  evaluate probe language --corpus "$demo/probe.jsonl" --label-key lang "${settings[@]}"
  evaluate probe slots --corpus "$work/corpora/kinds.jsonl" --label-key kind,lang "${settings[@]}"
  evaluate probe folds --corpus "$work/corpora/kinds.jsonl" --label-key kind --folds-by lang "${settings[@]}"
fi
if begin_stage 3 ctc; then
  evaluate ctc pr --protocol asterisk-pr --corpus "$data/en.jsonl" --alignments "$data/phones.ctm" "${settings[@]}"
  evaluate ctc asr --protocol asterisk-asr --corpus "$data/en.jsonl" "${settings[@]}"
  evaluate ctc sf --protocol asterisk-sf --corpus "$work/corpora/slots.jsonl" "${settings[@]}"
fi
if begin_stage 4 asv; then evaluate asv asv --protocol asterisk-asv --corpus "$demo/probe.jsonl" "${settings[@]}"; fi
if begin_stage 5 sd; then
  evaluate sd sd --protocol asterisk-sd --corpus "$work/mixtures/corpus.jsonl" --rttm "$work/mixtures/turns.rttm" "${settings[@]}"
fi
if begin_stage 6 qbe; then
  evaluate qbe qbe --protocol asterisk-qbe --corpus "$work/corpora/recordings.jsonl" --queries "$work/corpora/queries.jsonl"
fi
if begin_stage 7 intrinsic; then
  for model in "${models[@]}"; do
    name=${model%%=*} teacher=() layer=()
    if [[ ${model#*=} != mfcc ]]; then
      layer=(--layer "$(python3 -c 'import json, sys; print("enc%d" % json.load(open(sys.argv[1]))["num_hidden_layers"])' \
        "${model#*=}/config.json")")
    fi
    if [[ $name != mfcc && $name != teacher && -f $demo/run/teacher-1/student/config.json ]]; then
      teacher=(--teacher "$demo/run/teacher-1/student")
    fi
    mkdir -p "$work/$name"
    run "$bin/retort-evaluate" intrinsic --model "${model#*=}" "${layer[@]}" "${teacher[@]}" --corpus "$data/en.jsonl" \
      --alignments "$data/phones.ctm" --items "$work/corpora/triphone.item" -k 100 --threads "$threads" -o "$work/$name/intrinsic.json"
  done
  costs=()
  for model in "${models[@]}"; do [[ ${model#*=} == mfcc ]] || costs+=(--model "${model#*=}"); done
  ((${#costs[@]} == 0)) || run "$bin/retort-evaluate" profile "${costs[@]}" -o "$work/profile.json"
fi
if begin_stage 8 table; then
  python3 -B "$root/scripts/recipes/evaluate/table.py" "$work" "${models[@]%%=*}" >"$work/table.md.tmp"
  mv "$work/table.md.tmp" "$work/table.md"
  cat "$work/table.md"
  runs=()  # of the models, so that the page calls them by name and shows how they were trained
  for model in "${models[@]}"; do
    run=${model#*=}
    run=${run%/student}
    if [[ -f $run/log.jsonl && -f $run/config.json ]]; then runs+=("$run"); fi
  done
  "$bin/retort-report" "$work" "${runs[@]}" -o "$work/report.html" --overwrite
fi
