#!/usr/bin/env bash
# A recipe from a corpus file to a table of scores, in numbered stages. A stage that is done is not done again; one that
# was killed goes on where it was. The same flags must be given every time; another --work folder starts anew.
#
#   1  first labels   MFCC, k-means, labels                                 (skipped with --teacher)
#   2  teacher        a HuBERT trained on them (recipe hubert)              (skipped with --teacher)
#   3  teacher layers k-means and labels of the candidate layers; the best one by PNMI is chosen
#   4  teacher again  from its own labels, --iterations times in all        (skipped with --teacher)
#   5  student        by --recipe: on the labels of the teacher's layer, or on the teacher itself
#   6  random init    the student as it was before its first update
#   7  units          PNMI and purities of every model                      (only with --alignments)
#   8  probe          utterance classes from frozen features                (only with --probe-key)
#   9  table          parameters, speed and all scores: WORK/table.md
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

recipe=                                  # --recipe NAME: how the student learns
corpus=$root/exp/data/asterisk/en.jsonl  # --corpus FILE: trained and scored on
work=                                    # --work DIR: everything that is made; empty: exp/NAME
bin=${RETORT_BIN:-$root/build/bin}       # folder of the programs
stage=1                                  # --stage N: begin here
stop_stage=9                             # --stop-stage N: end after this one
teacher=                                 # --teacher MODEL: use this one; empty: train one
iterations=1                             # --iterations N: teachers in a row, each on the labels of the one before
k=500                                    # -k N: clusters of the student's labels and of all scores
first_k=                                 # --first-k N: clusters of the first teacher's MFCC labels; empty: as -k
layers=                                  # --layers LIST: teacher layers that may give the labels (enc6,enc9);
                                         #   empty: all of a small model, else those at 1/2, 3/4 and all of its depth
alignments=                              # --alignments CTM: phones, for choosing the layer and for the units' scores
validation_corpus=                       # --validation-corpus FILE: students report their loss on it while they train
score_corpus=                            # --score-corpus FILE: what units are scored on; empty: --corpus
probe_corpus=                            # --probe-corpus FILE; empty: --score-corpus
probe_key=                               # --probe-key KEY: what the probe tells apart (speaker, lang); empty: no probe
probe_split_by=                          # --probe-split-by KEY: values that stay together in train, dev or test
teacher_set=()                           # --teacher-set KEY=VALUE (repeatable): recipe values of the teacher
student_set=()                           # --student-set KEY=VALUE (repeatable): recipe values of the student
teacher_steps=-1                         # --teacher-steps N: updates; -1: as the recipe says
student_steps=-1                         # --student-steps N
points=0                                 # --points-per-centroid N: frames per cluster that k-means sees; 0: all
seed=0                                   # --seed N
threads=0                                # --threads N: 0: all
device=cpu                               # --device cpu|cuda[:i]
backend=local                            # --backend local|slurm: where the programs run (scripts/cluster/submit)
tasks=1                                  # --tasks N: parts, and array tasks, of every store of features or labels
processes=1                              # --processes N: that train one model together
sbatch=()                                # --sbatch OPTION (repeatable): for SLURM, such as --sbatch --partition=gpu

fail() { echo "${recipe:-recipe}: $1" >&2; exit "${2:-1}"; }

while (($#)); do
  case $1 in
    -h | --help)
      sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "$0"
      sed -n '/^recipe=/,/^sbatch=/{s/^[a-z_]*=[^ ]* *# /  /p;s/^  *# / /p}' "$0"
      exit 0 ;;
    -*) (($# > 1)) || fail "$1 needs a value, or is unknown (see --help)" 2 ;;&
    --recipe) recipe=$2 ;;
    --corpus) corpus=$2 ;;
    --work) work=$2 ;;
    --stage) stage=$2 ;;
    --stop-stage) stop_stage=$2 ;;
    --teacher) teacher=$2 ;;
    --iterations) iterations=$2 ;;
    -k) k=$2 ;;
    --first-k) first_k=$2 ;;
    --layers) layers=$2 ;;
    --alignments) alignments=$2 ;;
    --validation-corpus) validation_corpus=$2 ;;
    --score-corpus) score_corpus=$2 ;;
    --probe-corpus) probe_corpus=$2 ;;
    --probe-key) probe_key=$2 ;;
    --probe-split-by) probe_split_by=$2 ;;
    --teacher-set) teacher_set+=(--set "$2") ;;
    --student-set) student_set+=(--set "$2") ;;
    --teacher-steps) teacher_steps=$2 ;;
    --student-steps) student_steps=$2 ;;
    --points-per-centroid) points=$2 ;;
    --seed) seed=$2 ;;
    --threads) threads=$2 ;;
    --device) device=$2 ;;
    --backend) backend=$2 ;;
    --tasks) tasks=$2 ;;
    --processes) processes=$2 ;;
    --sbatch) sbatch+=("--sbatch=$2") ;;
    *) fail "unknown option $1 (see --help)" 2 ;;
  esac
  shift 2
done
[[ $recipe =~ ^(dicehubert|distilhubert|fithubert|dkd-lstm)$ ]] ||
  fail "--recipe should be dicehubert, distilhubert, fithubert or dkd-lstm" 2
[[ $backend =~ ^(local|slurm)$ ]] || fail "--backend should be local or slurm" 2
[[ $tasks =~ ^[1-9][0-9]*$ && $processes =~ ^[1-9][0-9]*$ ]] || fail "--tasks and --processes are numbers from 1" 2
work=${work:-$root/exp/$recipe}
first_k=${first_k:-$k}
score_corpus=${score_corpus:-$corpus}
probe_corpus=${probe_corpus:-$score_corpus}
[[ -f $corpus ]] || fail "there is no corpus $corpus (data/*/prepare makes one)"
[[ -z $alignments || -f $alignments ]] || fail "there are no alignments $alignments"
[[ -n $alignments || -n $layers ]] || layers=depth   # nothing to choose by: one layer at 3/4 of the depth
[[ -n $alignments || $layers != *,* ]] || fail "--layers $layers: choosing one of several needs --alignments" 2
[[ -z $teacher ]] || iterations=1
mkdir -p "$work"

# What shapes the models and scores; a folder made with other values is left alone.
shaping=(recipe corpus validation_corpus score_corpus teacher iterations k first_k layers alignments teacher_set student_set teacher_steps
  student_steps points seed)
flags=$(declare -p "${shaping[@]}")
if [[ -f $work/flags ]]; then
  different=$(diff <(echo "$flags") "$work/flags" | sed -n 's/^< declare -[-a] \([a-z_]*\)=.*/\1/p' | tr '\n' ' ') || true
  [[ -z $different ]] || fail "$work was made with other values of: ${different% }; take another --work"
else
  echo "$flags" >"$work/flags"
fi

# Says a command, then runs it; what it prints as its result goes to a log.
run() {
  { printf '+'; printf ' %q' "$@"; echo; } >&2
  "$@" >>"$work/results.log"
}

# The value of -o among a program's arguments.
output_of() {
  while (($# > 1)); do
    if [[ $1 == -o ]]; then echo "$2"; return; fi
    shift
  done
}

# A program, as a job where it is one: in --tasks parts if it writes a store, in --processes if it trains.
job() {
  local name=$1 output options=()
  shift
  case $name in
    extract | label) if ((tasks > 1)); then options=(--tasks "$tasks"); fi ;;
    distill) if ((processes > 1)); then options=(--processes "$processes"); fi ;;
  esac
  if [[ $backend == local ]] && ((${#options[@]} == 0)); then
    run "$bin/retort-$name" "$@"
    return
  fi
  output=$(output_of "$@")
  output=${output#"$work"/}
  run "$root/scripts/cluster/submit" --backend "$backend" "${options[@]}" "${sbatch[@]}" --name "retort-$name" \
    --logs "$work/logs/$name-${output//\//-}" -- "$bin/retort-$name" "$@"
}
tool() { job "$@" --threads "$threads"; }

# Whether stage N is to be done; says so.
begin_stage() {
  local number=$1 what=$2
  ((stage <= number && number <= stop_stage)) || return 1
  echo "$recipe: [$(printf '%4d' "$SECONDS") s] stage $number: $what" >&2
}

depth_of() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["num_hidden_layers"])' "$1/config.json"; }

# Layers of a model that are looked at: a list with commas. FitHuBERT's are its heads, which have the teacher's frame rate.
candidates() {
  local model=$1 wanted=$2 n
  if grep -q '"kind": "upsampled"' "$model/retort.json" 2>/dev/null; then
    python3 -c 'import json, sys; print(*(f"head{n}" for n in json.load(open(sys.argv[1]))["prediction_heads"]["layers"]), sep=",")' \
      "$model/retort.json"
    return
  fi
  n=$(depth_of "$model")
  case $wanted in
    depth) echo "enc$(((3 * n + 2) / 4))" ;;
    '') if ((n <= 4)); then seq -s, -f 'enc%g' 1 "$n"; else echo "enc$((n / 2)),enc$((3 * n / 4)),enc$n"; fi ;;
    *) echo "$wanted" ;;
  esac
}

# K-means and labels of some layers of a model on a corpus, below OUT/LAYER; several layers share one pass over the audio.
label_layers() {
  local model=$1 list=$2 data=$3 out=$4 layer source
  mkdir -p "$out"
  if [[ $list == *,* ]]; then
    tool extract --model "$model" --layer "$list" "$data" -o "$out/features" --device "$device"
  fi
  for layer in ${list//,/ }; do
    source=("$data" --model "$model" --layer "$layer")
    if [[ $list == *,* ]]; then source=("$out/features/$layer"); fi
    cluster_and_label "$k" "$out/$layer" "${source[@]}"
  done
}

cluster_and_label() {
  local clusters=$1 out=$2
  shift 2
  mkdir -p "$out"
  tool cluster -k "$clusters" "$@" -o "$out/codebook" --seed "$seed" --points-per-centroid "$points" --device "$device"
  tool label --codebook "$out/codebook" "$@" -o "$out/labels" --device "$device"
}

# Scores labels against the phones, on the frame grid of the models (20 ms).
score() {
  job evaluate units --labels "$1/labels" --corpus "$score_corpus" --alignments "$alignments" --hop 320 \
    -o "$1/units.json"
}

# Labels and scores layers on the corpus for scores, and notes the best one in OUT/best. The features go when that is done.
score_layers() {
  local model=$1 list=$2 out=$3 layer
  if [[ ! -f $out/best ]]; then
    label_layers "$model" "$list" "$score_corpus" "$out"
    for layer in ${list//,/ }; do score "$out/$layer"; done
    python3 -B "$here/best_layer.py" "$out" "${list//,/ }" >"$out/best.tmp"
    mv "$out/best.tmp" "$out/best"
    rm -rf "$out/features"
  fi
  echo "$recipe: best layer of $model: $(<"$out/best")" >&2
}

# The I-th teacher's model, scores and labels of the training corpus.
teacher_model() { if [[ -n $teacher ]]; then echo "$teacher"; else echo "$work/teacher-$1/student"; fi; }
teacher_scores() { if (($1 == iterations)); then echo "$work/scores/teacher"; else echo "$work/scores/teacher-$1"; fi; }
teacher_labels() {
  local scores
  scores=$(teacher_scores "$1")
  if [[ -n $alignments && $corpus == "$score_corpus" ]]; then
    echo "$scores/$(<"$scores/best")/labels"  # made when the layers were scored
  else
    echo "$work/labels-$1/labels"
  fi
}

# Chooses the layer of the I-th teacher and labels the training corpus with it.
label_by_teacher() {
  local model list scores layer
  model=$(teacher_model "$1") scores=$(teacher_scores "$1")
  list=$(candidates "$model" "$layers")
  layer=$list
  if [[ -n $alignments ]]; then
    score_layers "$model" "$list" "$scores"
    layer=$(<"$scores/best")
  fi
  # The next teacher and some recipes train on them.
  if (($1 < iterations)) || [[ $recipe == dicehubert || $recipe == dkd-lstm ]]; then
    label_training_corpus "$1" "$model" "$layer"
  fi
}

label_training_corpus() {
  if [[ $(teacher_labels "$1") == "$work/labels-$1/labels" ]]; then
    cluster_and_label "$k" "$work/labels-$1" "$corpus" --model "$2" --layer "$3"
  fi
}

train_teacher() {
  local labels=$1 out=$2
  tool distill --recipe hubert --labels "$labels" "$corpus" -o "$out" --steps "$teacher_steps" --seed "$seed" \
    --device "$device" "${teacher_set[@]}"
}

if [[ -z $teacher ]] && begin_stage 1 "first labels"; then
  cluster_and_label "$first_k" "$work/mfcc" "$corpus" --model mfcc
fi
if [[ -z $teacher ]] && begin_stage 2 "teacher"; then train_teacher "$work/mfcc/labels" "$work/teacher-1"; fi
if begin_stage 3 "layers of the teacher"; then label_by_teacher 1; fi
if ((iterations > 1)) && begin_stage 4 "teacher again"; then
  for ((i = 2; i <= iterations; i++)); do
    train_teacher "$(teacher_labels "$((i - 1))")" "$work/teacher-$i"
    label_by_teacher "$i"
  done
fi

# The student and its untrained twin, of the last teacher. What a recipe learns from besides the teacher is labels of its
# layer, or the codebook that stands for a class head it lacks.
train_student() {
  local model labels codebook targets=() validation=()
  model=$(teacher_model "$iterations") labels=$(teacher_labels "$iterations") codebook=${labels%/labels}/codebook
  case $recipe in
    dicehubert) targets=(--labels "$labels") ;;
    dkd-lstm) grep -q '"classes": [1-9]' "$model/retort.json" 2>/dev/null || targets=(--codebook "$codebook") ;;
  esac
  if [[ -n $validation_corpus ]] && (($1 != 0)); then
    validation=(--validation "$validation_corpus")
    if [[ $recipe == dicehubert ]]; then
      tool label --codebook "$codebook" --model "$model" "$validation_corpus" -o "$work/validation-labels" --device "$device"
      validation+=(--validation-labels "$work/validation-labels")
    fi
  fi
  tool distill --recipe "$recipe" --teacher "$model" "${targets[@]}" "$corpus" -o "$2" --steps "$1" --seed "$seed" \
    --device "$device" "${validation[@]}" "${student_set[@]}"
}
if begin_stage 5 "student"; then train_student "$student_steps" "$work/student"; fi
if begin_stage 6 "random init"; then train_student 0 "$work/random"; fi

declare -A models=([mfcc]=mfcc [random]=$work/random/student [teacher]=$(teacher_model "$iterations")
  [student]=$work/student/student)
if [[ -n $alignments ]] && begin_stage 7 "units"; then
  cluster_and_label "$k" "$work/scores/mfcc" "$score_corpus" --model mfcc
  score "$work/scores/mfcc"
  for name in random student; do
    score_layers "${models[$name]}" "$(candidates "${models[$name]}" "")" "$work/scores/$name"
  done
fi
if [[ -n $probe_key ]] && begin_stage 8 "probe"; then
  for name in mfcc random teacher student; do
    tool evaluate probe --model "${models[$name]}" --corpus "$probe_corpus" --label-key "$probe_key" \
      ${probe_split_by:+--split-by "$probe_split_by"} --device "$device" \
      -o "$work/scores/$name-probe.json"
  done
fi
if begin_stage 9 "table"; then
  mkdir -p "$work/scores"
  tool evaluate profile --model "${models[teacher]}" --model "${models[student]}" -o "$work/scores/profile.json"
  python3 -B "$here/table.py" "$work/scores" >"$work/table.md.tmp"
  mv "$work/table.md.tmp" "$work/table.md"
  cat "$work/table.md"
fi
