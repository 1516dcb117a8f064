#!/usr/bin/env bash
# Check the files of a deployment with the tools of those who read them: the compose file with the
# parser of Docker Compose, the Dockerfiles with hadolint, and their build stage by running it; the chart
# with Helm, the schemas of the APIs of Kubernetes and of the Prometheus Operator, and kube-score. No
# container engine and no cluster is needed. Needs Go and Python's package index.
set -euo pipefail
cd "$(dirname "$0")/.."

CACHE=${CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/agent-orchestration-ci}/deploy
BIN=$PWD/.venv/bin
export GOCACHE=$CACHE/go-build GOMODCACHE=$CACHE/go-modules GOFLAGS=-modcacherw

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$CACHE"

echo "compose: docker-compose.dev.yml with .env.example"
(cd .ci/compose && go build -mod=readonly -o "$work/compose" .)
cp docker-compose.dev.yml .env.example "$work"
if "$work/compose" "$work/docker-compose.dev.yml" "$work/.env.example" >/dev/null 2>"$work/said"; then
  echo "it must not start without a password"
  exit 1
fi
grep -q "NEO4J_PASSWORD is missing a value" "$work/said"
sed 's/^NEO4J_PASSWORD=$/NEO4J_PASSWORD=only-for-tests/' .env.example >"$work/env"
"$work/compose" "$work/docker-compose.dev.yml" "$work/env" >"$work/project.json"
"$BIN/python" -c 'import json, sys; print("  services:", *json.load(sys.stdin)["services"])' <"$work/project.json"

echo "hadolint: dockerfiles"
"$BIN/uv" pip install --quiet --target "$CACHE/hadolint" --require-hashes -r .ci/hadolint.txt
"$CACHE/hadolint/bin/hadolint" --failure-threshold info dockerfiles/*.Dockerfile

echo "build stage: dockerfiles"
"$BIN/python" -m tests.deploy.build_stage

echo "chart: helm/agent-orchestration"
KUBERNETES=v1.36.3
OPERATOR=v0.85.0
schemas=$CACHE/schemas-$KUBERNETES-$OPERATOR
module() {
  (cd "$work" && go mod download -json "$1" | "$BIN/python" -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
}
if [ ! -d "$schemas" ]; then
  kubernetes=$(module "k8s.io/kubernetes@$KUBERNETES")
  operator=$(module "github.com/prometheus-operator/prometheus-operator@$OPERATOR")
  "$BIN/python" .ci/api_schemas.py "$kubernetes/api/openapi-spec/swagger.json" \
    "$operator/example/prometheus-operator-crd" "$work/schemas"
  mv "$work/schemas" "$schemas"
fi
mkdir "$work/chart"
"$BIN/python" -m tests.deploy.render_chart "$work/chart"
# Kinds of KEDA are not in Kubernetes' API.
"$("$BIN/python" -m tests.services.go kubeconform)" -strict -summary \
  -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" \
  -skip ScaledObject,TriggerAuthentication "$work"/chart/*.yaml
for rendered in "$work"/chart/*.yaml; do
  echo "kube-score: $(basename "$rendered")"
  "$("$BIN/python" -m tests.services.go kube-score)" score --kubernetes-version "${KUBERNETES%.*}" \
    --output-format ci "$rendered" >"$work/score" || { grep -F '[CRITICAL]' "$work/score"; exit 1; }
done
