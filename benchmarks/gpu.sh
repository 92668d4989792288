#!/usr/bin/env bash
# What a GPU makes of this project (made to take less than 8 minutes): a table, and out/gpu/gpu.json. --dry: tiny, on the CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python -m benchmarks.gpu "$@"
