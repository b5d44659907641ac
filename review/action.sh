#!/usr/bin/env bash
# The step of action.yml: install this package into an environment of its own, review the plan, publish the review.
# Inputs are environment variables, never part of a command line that a shell parses.
set -euo pipefail

environment="$RUNNER_TEMP/plan-review"
markdown="$RUNNER_TEMP/plan-review.md"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "::error::The plan review needs Python 3.11 or newer: add actions/setup-python before this step." >&2; exit 1; }
python3 -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$GITHUB_ACTION_PATH"

arguments=("--unexamined=$UNEXAMINED")
[ -z "$NAME" ] || arguments+=("--name=$NAME")
[ -z "$RULES" ] || arguments+=("--rules=$RULES")
[ "$GATE" = false ] || arguments+=(--gate)
read -ra acknowledged <<< "$ACKNOWLEDGED"
for each in "${acknowledged[@]}"; do arguments+=("--acknowledged=$each"); done

status=0
"$environment/bin/plan-review" "${arguments[@]}" -- "$PLAN" > "$markdown" || status=$?
cat "$markdown" >> "$GITHUB_STEP_SUMMARY"
printf 'markdown=%s\nstatus=%s\n' "$markdown" "$status" >> "$GITHUB_OUTPUT"
if [ -n "$PULL_REQUEST" ]; then
    gh pr comment "$PULL_REQUEST" --repo "$GITHUB_REPOSITORY" --edit-last --create-if-none --body-file "$markdown"
fi
exit "$status"
