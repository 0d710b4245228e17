#!/usr/bin/env bash
# What the scripts share: the stack that is meant, the cluster that it stands on, and the ways to reach it. Runs in the
# bash 3.2 that macOS has.

STACK=${STACK:-dev}
STACK_FILE=Pulumi.$STACK.yaml
SHOP=shop
# shellcheck disable=SC2034 # used by those who read this file
DATA=shop-data

say() { printf '%s\n' "$*"; }
step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
warn() { printf 'WARNING: %s\n' "$*" >&2; }
die() {
  printf 'ERROR: %s\n' "$*" >&2
  exit 1
}

check_stack() {
  local name known=""
  if [ -f "$STACK_FILE" ]; then return; fi
  for name in Pulumi.*.yaml; do
    name=${name#Pulumi.}
    known="$known ${name%.yaml}"
  done
  die "there is no stack \"$STACK\", since there is no $STACK_FILE. There are:$known. Set one with STACK=…"
}

# setting KEY and setting SECTION KEY print what the stack's file sets; nothing when it sets nothing.
setting() {
  if [ $# = 1 ]; then
    awk -v key="shopstream:$1:" '$1 == key { gsub(/"/, "", $2); print $2; exit }' "$STACK_FILE"
    return
  fi
  awk -v section="shopstream:$1:" -v key="$2:" '
    $1 == section { inside = 1; next }
    $1 ~ /^shopstream:/ || /^[^ #]/ { inside = 0 }
    inside && $1 == key { gsub(/"/, "", $2); print $2; exit }' "$STACK_FILE"
}

profile() {
  local set
  set=$(setting profile)
  say "${set:-default}"
}

# find_context sets CONTEXT, the kubeconfig context that everything below talks to: the stack's, else the current one.
find_context() {
  CONTEXT=$(setting cluster context)
  if [ -z "$CONTEXT" ] && command -v kubectl >/dev/null; then
    CONTEXT=$(kubectl config current-context 2>/dev/null || true)
  fi
}

kube() { kubectl --context "$CONTEXT" "$@"; }

cluster_answers() {
  [ -n "$CONTEXT" ] && command -v kubectl >/dev/null && kube --request-timeout=10s get --raw /readyz >/dev/null 2>&1
}

need_cluster() {
  command -v kubectl >/dev/null || die "kubectl is not installed: $(install_hint kubectl)"
  [ -n "$CONTEXT" ] || die "no cluster is named: set cluster.context in $STACK_FILE, or choose one with kubectl config use-context"
  cluster_answers || die "no cluster answers at the context \"$CONTEXT\". Run make up, or see kubectl --context $CONTEXT cluster-info"
}

install_hint() {
  local mac=0
  if [ "$(uname)" = Darwin ]; then mac=1; fi
  case $1-$mac in
    docker-1) say "brew install --cask docker, then start Docker" ;;
    docker-*) say "https://docs.docker.com/engine/install" ;;
    minikube-1) say "brew install minikube" ;;
    minikube-*) say "https://minikube.sigs.k8s.io/docs/start" ;;
    pulumi-1) say "brew install pulumi/tap/pulumi" ;;
    pulumi-*) say "curl -fsSL https://get.pulumi.com | sh" ;;
    kubectl-1) say "brew install kubectl" ;;
    kubectl-*) say "https://kubernetes.io/docs/tasks/tools" ;;
    go-1) say "brew install go" ;;
    go-*) say "https://go.dev/dl" ;;
    curl-*) say "your package manager has it" ;;
  esac
}

# need TOOL… lists all that are missing at once, and how to install them.
need() {
  local tool missing=""
  for tool in "$@"; do
    command -v "$tool" >/dev/null || missing="$missing
  $tool: $(install_hint "$tool")"
  done
  [ -z "$missing" ] || die "these tools are missing; install them and run this again:$missing"
}

# open_scratch makes a folder for passing files; it goes away at the end, and every port-forward with it.
open_scratch() {
  SCRATCH=$(mktemp -d)
  FORWARDS=""
  trap close_scratch EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

close_scratch() {
  local pid
  for pid in $FORWARDS; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$SCRATCH"
}

# forward NAMESPACE TARGET PORT opens a port-forward; FORWARDED is then its port on this machine.
forward() {
  local log pid tries=0
  log=$(mktemp "$SCRATCH/forward.XXXXXX")
  kubectl --context "$CONTEXT" -n "$1" port-forward --address 127.0.0.1 "$2" ":$3" >"$log" 2>&1 &
  pid=$!
  FORWARDS="$FORWARDS $pid"
  while [ $tries -lt 60 ] && kill -0 "$pid" 2>/dev/null; do
    FORWARDED=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log" | head -n 1)
    if [ -n "$FORWARDED" ]; then return; fi
    tries=$((tries + 1))
    sleep 0.5
  done
  die "no port-forward to $2 in $1: $(cat "$log")"
}

# api_credentials writes what the api asks for into a file for curl, so that the token is in no command line.
api_credentials() {
  local token
  : >"$SCRATCH/credentials"
  chmod 600 "$SCRATCH/credentials"
  token=$(kube -n "$SHOP" get secret api-token -o 'go-template={{.data.token | base64decode}}' 2>/dev/null || true)
  if [ -n "$token" ]; then
    printf 'header = "Authorization: Bearer %s"\n' "$token" >"$SCRATCH/credentials"
  fi
}

# ingress_service prints "NAMESPACE/NAME TYPE" of the ingress controller's service, where the stack installs one.
ingress_service() {
  local namespace
  namespace=$(setting ingress namespace)
  kube -n "${namespace:-ingress-nginx}" get service \
    -l app.kubernetes.io/name=ingress-nginx,app.kubernetes.io/component=controller --no-headers \
    -o custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name,TYPE:.spec.type 2>/dev/null |
    awk '$2 !~ /admission$/ && !done { print $1 "/" $2, $3; done = 1 }' || true
}

ingress_host() { kube -n "$SHOP" get ingress shopstream -o 'jsonpath={.spec.rules[0].host}' 2>/dev/null || true; }
ingress_tls() { kube -n "$SHOP" get ingress shopstream -o 'jsonpath={.spec.tls[0].secretName}' 2>/dev/null || true; }
