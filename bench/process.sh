#!/usr/bin/env bash
# The headline job as a user runs it: the whole process of `tocsin run` over a file of alerts (in the page cache), with
# reading, finding the lines, and writing the results. Wall and CPU time.
set -euo pipefail
. "$(dirname "$0")/../scripts/env.sh"

EVENTS=${EVENTS:-8000000}
ROUNDS=${ROUNDS:-5}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# pipeline STRICT SOURCE STAGES SINKS
pipeline() {
    cat <<YAML
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: headline}
spec:
  sources:
  - {name: alerts, $2, format: {strict: $1}, eventTime: {field: ts, unit: Milliseconds, maxOutOfOrderness: 5s}}
  stages:$3
  sinks:$4
YAML
}
job="
  - {name: critical, from: alerts, filter: \"severity = 'CRITICAL'\"}
  - {name: counts, from: critical, aggregate: {by: [service], window: {tumbling: 1m}, select: {total: count(*)}}}
  - {name: escalated, from: critical, escalate: {by: [service], count: 3, within: 1m}}"
outputs="
  - {name: counts, from: counts, file: {path: $folder/counts.jsonl}}
  - {name: escalated, from: escalated, file: {path: $folder/escalated.jsonl}}"
pipeline true "generator: {count: $EVENTS}" "
  - {name: all, from: alerts, filter: 'true'}" "
  - {name: out, from: all, file: {path: $folder/alerts.jsonl}}" >"$folder/generate.yaml"
pipeline true "file: {path: alerts.jsonl}" "$job" "$outputs" >"$folder/strict.yaml"
pipeline false "file: {path: alerts.jsonl}" "$job" "$outputs" >"$folder/not_strict.yaml"
"$TOCSIN_BIN" run "$folder/generate.yaml" --no-page >&2

# measure PIPELINE: prints wall, user and system seconds
measure() {
    local TIMEFORMAT='%R %U %S'
    { time "$TOCSIN_BIN" run "$folder/$1.yaml" --no-page 2>"$folder/said"; } 2>&1 || {
        cat "$folder/said" >&2
        exit 1
    }
}

for _ in $(seq "$ROUNDS"); do
    for case in strict not_strict; do
        measure $case >>"$folder/$case.times"
    done
done

# figure CASE NAME UNIT FIELDS: median, lowest and highest of EVENTS over the sum of those fields
figure() {
    awk -v fields="$4" -v events="$EVENTS" '
        { n = split(fields, f, "+"); s = 0; for (i = 1; i <= n; i++) s += $f[i]; printf "%.0f\n", events / s }' \
        "$folder/$1.times" | sort -n | awk -v name="$2" -v unit="$3" -v note="$EVENTS events of a file, one process" '
        { v[NR] = $1 }
        END { printf "{\"name\":\"%s\",\"value\":%s,\"unit\":\"%s\",\"low\":%s,\"high\":%s,\"note\":\"%s\"}\n",
              name, v[int((NR + 1) / 2)], unit, v[1], v[NR], note }'
}
for case in strict not_strict; do
    figure $case "tocsin run, ${case/_/ }, wall" "events/s" 1
    figure $case "tocsin run, ${case/_/ }, CPU" "events/CPU-s" 2+3
done
