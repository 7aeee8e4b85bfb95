#!/usr/bin/env bash
# moec as a user meets it: exit codes, what goes to stdout and what to stderr, every stage, and what it says when things are wrong.
#   cli_test.sh MOEC ROOT
set -uo pipefail
moec=$1
root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect EXIT-CODE PATTERN command...: PATTERN (extended regex) must be found in stdout and stderr together
expect() {
  local code=$1 pattern=$2 output actual
  shift 2
  output=$("$@" 2>&1 < /dev/null)
  actual=$?
  if [[ $actual != "$code" ]] || ! grep -qE -- "$pattern" <<< "$output"; then
    printf 'FAILED: %s\n  exit code %s, expected %s; expected to find: %s\n%s\n' "$*" "$actual" "$code" "$pattern" "$output"
    ((++failures))
  fi
}

cat > "$work/good.moe" << 'POLICY'
policy half { cache { capacity = 50% eviction = lfu scope = layer } }
POLICY
cat > "$work/two.moe" << 'POLICY'
policy one { cache { capacity = 4 scope = layer } }
policy two { cache { capacity = 9 scope = layer eviction = score } }
POLICY
cat > "$work/bad.moe" << 'POLICY'
policy p {
  cahce { capacity = 8 }
  cache { capacity = 8 eviction = lur }
}
POLICY
echo 'policy p { cache { capacity = 8 scope = layer pin = [99] } }' > "$work/pinned.moe"
echo 'import "lib.moe" policy p extends a { cache { ttl = 9 } }' > "$work/importing.moe"
echo 'policy a { cache { capcity = 8 } }' > "$work/lib.moe"
printf '{"l":0,"e":[1,2],"s":[0.5,0.5]}\n{"l":1,"e":[0,3],"s":[0.9,0.1]}\n{"l":0,"e":[2,1],"s":[0.5,0.5]}\n{"l":1,"e":[3,1],"s":[0.5,0.5]}\n' > "$work/trace.jsonl"
cd "$work" || exit 3

# usage
expect 2 'subcommand is required' "$moec"
expect 0 'validate' "$moec" --help
expect 0 '^moec [0-9]+\.[0-9]+\.[0-9]+$' "$moec" --version
expect 2 'no subcommand `nosuch`' "$moec" nosuch
expect 2 'did you mean `replay`' "$moec" repaly
expect 2 'did you mean `run`' "$moec" runn
mkdir alone && ln "$moec" alone/moec 2> /dev/null || cp "$moec" alone/moec
expect 3 '`run` is the program moec-run, which is neither' env PATH=/usr/bin:/bin alone/moec run
expect 2 'FILE' "$moec" validate
expect 2 'format' "$moec" validate good.moe --format xml

# quantize
tiny=$root/examples/models/qwen-moe-tiny
expect 0 '^quantized: 220 modules in qint8' "$moec" quantize "$tiny" -o quantized --weights qint8
expect 0 '^[0-9.]+ MB of 6.77 MB; relative RMS error' "$moec" quantize "$tiny" -o quantized4
expect 2 '`quantized` is there already' "$moec" quantize "$tiny" -o quantized
expect 1 'is quantized already' "$moec" quantize quantized -o again
expect 2 'none of qint8, qint4' "$moec" quantize "$tiny" -o again --weights qint5
expect 2 'neither `none` nor a multiple of 8' "$moec" quantize "$tiny" -o again --group 12
expect 2 'are for qint4 and qint2' "$moec" quantize "$tiny" -o again --weights qint8 --group 32
expect 2 '-o is required' "$moec" quantize "$tiny"
expect 3 'neither model.safetensors nor' "$moec" quantize . -o again
expect 0 '"modules":192.*"map":"moe_qmap.json"' \
  "$moec" quantize "$tiny" -o rotated --weights hadamard4 --experts-only --format json
expect 0 'optimum-quanto cannot read this' "$moec" quantize "$tiny" -o grouped --group 64
mkdir broken && head -c 5000000 "$tiny/model.safetensors" > broken/model.safetensors
expect 1 'model.safetensors: tensor .* go beyond' "$moec" quantize broken -o again
[[ -e again || -n $(compgen -G 'again.partial*') ]] && echo "FAILED: quantize left something behind" && ((++failures))

# fmt
printf 'policy p{cache{capacity=8  # eight\n eviction=lru}}\n' > messy.moe
printf 'policy p {\n  cache {\n    capacity = 8  # eight\n    eviction = lru\n  }\n}\n' > tidy.moe
cp messy.moe file.moe && chmod 640 file.moe && ln -s file.moe link.moe
expect 1 '^messy.moe$' "$moec" fmt --check messy.moe tidy.moe
expect 1 '^<stdin>$' bash -c '"$1" fmt --check - < messy.moe' _ "$moec"
expect 0 '^  cache \{$' bash -c '"$1" fmt - < messy.moe' _ "$moec"
expect 0 '' "$moec" fmt link.moe tidy.moe
expect 0 '' cmp file.moe tidy.moe
expect 0 '^640$' stat -c %a file.moe
expect 0 '' test -L link.moe
expect 0 '' "$moec" fmt --check file.moe tidy.moe
inode=$(stat -c %i-%Y file.moe)
expect 0 '' "$moec" fmt file.moe
expect 0 "^$inode\$" stat -c %i-%Y file.moe  # nothing to change: not written
printf 'policy p{cache{capacity:8}}' > wrong.moe
expect 1 'wrong.moe:1:24?: error\[MOE1022\]' "$moec" fmt wrong.moe file.moe
expect 0 '^policy p\{cache\{capacity:8\}\}$' cat wrong.moe
expect 3 'cannot open `missing.moe`' "$moec" fmt missing.moe

# explain
expect 0 '^# MOE2103: ' "$moec" explain MOE2103
expect 0 '^# MOE2103: ' "$moec" explain moe2103
expect 0 '^# MOE2103: ' "$moec" explain 2103
expect 0 '"code": "MOE2103"' "$moec" explain 2103 --format json
expect 2 'did you mean `MOE2103`' "$moec" explain MOE2193
expect 2 'codes look like `MOE2103`' "$moec" explain nosuch
expect 0 '^  Each layer has a cache of its own, which holds 50 % of its layer' "$moec" explain good.moe
expect 0 '^  The cache has 32 slots, 8 in each layer' "$moec" explain good.moe --model 4x16x4:1000
expect 0 '^  Native code keeps [0-9.]* KB in all' "$moec" explain good.moe --model 4x16x4:1000
expect 0 '^policy `two`$' "$moec" explain two.moe
expect 0 '^policy `two`$' "$moec" explain two.moe --policy two --model 4x16x4
expect 0 '^  two.moe:1:33: a capacity of 4 is below the 6 experts .*\(MOE2208\); raise `capacity` to at least 6$' \
  "$moec" explain two.moe --policy one --model 4x16x6
expect 0 '^      "exactness": "exact",$' "$moec" explain two.moe --format json
expect 0 '^policy `half`$' bash -c '"$1" explain - < good.moe' _ "$moec"
expect 1 'bad.moe:2:3: error\[MOE2001\]' "$moec" explain bad.moe
expect 1 'error\[MOE2802\]: the file has no policy called `three`' "$moec" explain two.moe --policy three
expect 3 'cannot open `missing.moe`' "$moec" explain missing.moe
echo 'policy small { cache { capacity = 2  eviction = lru } }' > small.moe
printf '{"l":0,"e":[0]}\n{"l":0,"e":[1]}\n{"l":0,"e":[2]}\n{"l":0,"e":[0]}\n' > four.jsonl
expect 0 '^  \[0,0\] left: to make place for \[0,2\], a miss: the least recently used expert leaves' \
  "$moec" explain small.moe --trace four.jsonl --decision 2
expect 0 '^      \[0,1\] last used 1 access ago$' "$moec" explain small.moe --trace four.jsonl --decision 2
expect 0 '^      "cause": "demand",$' "$moec" explain small.moe --trace four.jsonl --decision 2 --format json
expect 0 '^Dispatch 3: ' "$moec" explain small.moe --trace four.jsonl --decision 3 --layer 0 --expert 1
expect 2 'there is no dispatch 4; the last is 3' "$moec" explain small.moe --trace four.jsonl --decision 4
expect 2 'is not \[L,\]E within 1 layers of 3 experts' "$moec" explain small.moe --trace four.jsonl --decision 2 --expert 3
expect 2 'name the dispatch: --decision N' "$moec" explain small.moe --trace four.jsonl
expect 2 'needs what was dispatched' "$moec" explain small.moe --decision 2
expect 2 'FILE\|CODE' "$moec" explain
echo 'policy logged { cache { capacity = 25%  scope = layer  eviction = least(freq - 0.1 * recency) } }' > logged.moe
run() { "$moec" run "$root/examples/models/qwen-moe-tiny" --policy "$1" --prompt-ids 1,2,3,4 --tokens 40 "${@:2}"; }
expect 0 '' run logged.moe --log run.moelog
rm logged.moe  # the log has it
expect 0 'In force: policy `logged`' "$moec" explain --log run.moelog --decision 100
expect 2 'cannot be explained: the log explains dispatches 0 to ' "$moec" explain --log run.moelog --decision 100000
expect 1 'decides dispatch .* otherwise than the engine did' "$moec" explain small.moe --log run.moelog --decision 100
expect 1 'run.cut: decision log, offset ' bash -c 'head -c 5000 run.moelog > run.cut; "$1" explain --log run.cut --decision 1' _ "$moec"
expect 1 'not a decision log' "$moec" explain --log small.moe --decision 1
expect 3 'cannot open `missing.moelog`' "$moec" explain --log missing.moelog --decision 1
expect 0 '' run none --log none.moelog
expect 2 'has no text of the policy' "$moec" explain --log none.moelog --decision 1
cp good.moe 2103 && expect 0 '^# MOE2103: ' "$moec" explain 2103 && expect 0 '^policy `half`$' "$moec" explain ./2103

# pack, unpack
model=$root/examples/models/qwen-moe-tiny
expect 0 '^store: 64 extents, [0-9]+ bytes$' "$moec" pack "$model" -o store
expect 0 'was there and is undamaged$' "$moec" pack "$model" -o store/
expect 0 '' "$moec" unpack store -o again
expect 0 '' cmp again/tokenizer.json "$model/tokenizer.json"
expect 0 '' bash -c 'cd "$1"; ids() { grep -o "\"token_ids\": *\[[^]]*\]" <<< "$1"; }
  one=$("$2" run "$3" --policy good.moe --prompt-ids 1,2,3,4 --tokens 12 --format json) || exit
  two=$("$2" run store --policy good.moe --prompt-ids 1,2,3,4 --tokens 12 --format json) || exit
  [[ -n $(ids "$one") && $(ids "$one") == "$(ids "$two")" ]]' _ "$work" "$moec" "$model"
expect 2 'there already; choose another name' "$moec" unpack store -o again
expect 2 'is there and is no store' "$moec" pack "$model" -o again
expect 2 'is a store already' "$moec" pack store -o other
expect 2 '`--precision int3` is none of native, qint8' "$moec" pack "$model" -o other --precision qint8,int3
expect 0 '^copies: 192 extents' "$moec" pack "$model" -o copies --precision native,int8,qint4 --precision qint8
expect 0 '"name":"qint4"' cat copies/moe_store.json
expect 2 'is not a size' "$moec" pack "$model" -o other --trace four.jsonl --cluster-bytes many
expect 2 'the model has 4 of 16' "$moec" pack "$model" -o other --trace four.jsonl
expect 3 'has neither model.safetensors' "$moec" pack "$work" -o other
expect 1 'is no store' "$moec" unpack "$model" -o other
expect 1 'its checksum is not the index.s, read twice' bash -c \
  'printf x | dd of=store/experts-00000.bin bs=1 seek=100 conv=notrunc 2> /dev/null; "$1" unpack store -o other' _ "$moec"
for i in {1..40}; do printf '{"l":%d,"e":[%d,%d,%d,%d]}\n' $((i % 4)) $((i % 2)) $((i % 2 + 2)) $((i % 2 + 4)) $((15 - i % 3 * 4)); done > sixteen.jsonl
expect 0 '^ordered: 64 extents' "$moec" pack "$model" -o ordered --trace sixteen.jsonl --cluster-bytes 400KiB --seed 3
expect 0 '"method":"co-activation"' grep -h order ordered/moe_store.json
expect 2 'cannot hold an expert' "$moec" pack "$model" -o ordered --trace sixteen.jsonl --cluster-bytes 1KiB

# doctor: speeds are the machine's; here only that it measures, says what is wrong, and leaves nothing behind
mkdir disk
expect 0 '^  an expert           20 MiB +[0-9.]+ GB/s +[0-9.]+ GB/s$' "$moec" doctor --storage disk --expert 20MiB --name "a machine" -o machine.json
expect 0 '^machine         a machine, 20[0-9]{2}-' "$moec" doctor --show machine.json
expect 0 '^devices         none \(CUDA devices are not measured\)$' "$moec" doctor --show machine.json
expect 0 '^(nothing found wrong|found:)$' "$moec" doctor --show machine.json
expect 0 '' bash -c '"$1" doctor --show machine.json --json | cmp - machine.json' _ "$moec"
expect 0 '' bash -c '"$1" doctor --show machine.json --format json | cmp - machine.json' _ "$moec"
expect 0 '"format": "moe-device-profile"' bash -c 'cd disk && "$1" doctor --json' _ "$moec"
expect 130 '' bash -c 'env --default-signal=INT "$1" doctor --storage disk -o killed.json & sleep 0.7; kill -INT $!; wait $!' _ "$moec"
expect 1 '' test -e killed.json
expect 0 '^$' ls -A disk
sed 's/"lock_limit_bytes": .*/"lock_limit_bytes": 65536/' machine.json > limit.json
expect 0 'limited to 64 KiB' "$moec" doctor --show limit.json
expect 0 'ulimit -l unlimited' "$moec" doctor --show limit.json
expect 3 'cannot use `no/folder`: No such file or directory; name a folder' "$moec" doctor --storage no/folder
expect 3 'cannot make a file in `/proc`' "$moec" doctor --storage /proc -o none.json
expect 1 '' test -e none.json
expect 3 'cannot open `missing.json`' "$moec" doctor --show missing.json
expect 3 'cannot write `no/folder/x.json`' "$moec" doctor --show machine.json -o no/folder/x.json
sed 's/"cores": .*,/"cores": -1,/' machine.json > wrong.json
expect 1 'error: wrong.json: `cpu.cores`: not a whole number from 1' "$moec" doctor --show wrong.json
expect 1 'good.moe: not JSON at byte' "$moec" doctor --show good.moe
expect 2 '`--expert many` is not a size' "$moec" doctor --expert many
expect 2 'an expert of 4 KiB to 1 GiB is measured' "$moec" doctor --storage disk --expert 1KiB
expect 2 'excludes' "$moec" doctor --show machine.json --storage disk

# validate
expect 0 'good.moe: ok, 1 policy: half \(exact\)' "$moec" validate good.moe
expect 1 'bad.moe:2:3: error\[MOE2001\]' "$moec" validate bad.moe
expect 1 'did you mean `cache`' "$moec" validate bad.moe
expect 1 'did you mean `lru`' "$moec" validate bad.moe
expect 1 '"code": "MOE2001"' "$moec" validate bad.moe --format json
expect 0 '^\[\]$' "$moec" validate good.moe --format json
expect 1 '"ruleId": "MOE2001"' "$moec" validate bad.moe good.moe --format sarif
expect 0 '"results": \[\]' "$moec" validate good.moe --format sarif
expect 1 '^lib.moe:1:20: error\[MOE2002\]' "$moec" validate importing.moe
expect 1 '"uri": "lib.moe"' "$moec" validate importing.moe --format sarif
expect 3 '"executionSuccessful": false' "$moec" validate missing.moe --format sarif
expect 3 'cannot open `missing.moe`' "$moec" validate missing.moe
expect 3 'is a directory' "$moec" validate .
expect 0 '<stdin>: ok' bash -c '"$1" validate - < good.moe' _ "$moec"
expect 2 'a token selects' "$moec" validate good.moe --model 4x16x20
expect 1 'pinned.moe:1:.*error' "$moec" validate pinned.moe --model 4x16x2
expect 0 'pinned.moe: ok' "$moec" validate pinned.moe
[[ -z $("$moec" validate bad.moe 2> /dev/null) ]] || { echo "FAILED: diagnostics on stdout"; ((++failures)); }
[[ $("$moec" validate bad.moe 2>&1 | grep -c $'\033') == 0 ]] || { echo "FAILED: colour without a terminal"; ((++failures)); }
expect 1 $'\033' "$moec" --color always validate bad.moe

# the README's policy, and the policies that we ship, on the shipped model
awk '/^```/ && inside { exit } /^```$/ { inside = 1; next } inside' "$root/README.md" > readme.moe
expect 0 'readme.moe: ok, 1 policy: gate' "$moec" validate readme.moe
# What no kernel can carry out yet is said so, and replayed by the interpreter; what ranks by a profile needs one.
model=$root/examples/models/qwen-moe-tiny
for policy in "$root"/stdlib-policies/*.moe; do
  if grep -q 'hottest(' "$policy"; then
    expect 0 ': ok, ' "$moec" validate --Werror "$policy"
    expect 1 'error\[MOE2221\]' "$moec" validate "$policy" --model "$model"
    continue
  fi
  expect 0 ': ok, ' "$moec" validate --Werror "$policy" --model "$model"
  "$moec" compile "$policy" --model "$model" -o p.so > /dev/null 2>&1 && continue
  expect 1 'no native code is made for `' "$moec" compile "$policy" --model "$model" -o p.so
  expect 0 '"dispatches"' "$moec" replay "$policy" --trace trace.jsonl --engine interp --format json --model 2x4x2:1000 --slots 4
done
for name in lru lfu fifo s3_fifo score freq_threshold lookahead cpu_fallback; do
  expect 0 '' "$moec" compile "$root/stdlib-policies/$name.moe" --model "$model" -o p.so
done

# compile: every stage, by option and by ending
expect 0 'policy half' "$moec" compile good.moe --emit ast
expect 0 'frequency_decay = 0.95' "$moec" compile good.moe --emit ir
expect 0 '"capacity": 8' "$moec" compile good.moe --emit ir --model 4x16x4
expect 0 'define internal' "$moec" compile good.moe --emit llvm --model 4x16x4
expect 0 'moe_policy_half' "$moec" compile good.moe --emit asm --model 4x16x4
expect 0 'optimize' "$moec" compile good.moe --model 4x16x4 -o p.o --time-passes
expect 0 '@moe_policy_half' "$moec" compile good.moe --model 4x16x4 -o p.o --print-after emit-policy
expect 0 '' "$moec" compile good.moe --model 4x16x4 -o p.so
expect 0 'moe_policy_half' grep -a --only-matching moe_policy_half p.so
expect 0 '' "$moec" compile good.moe -o p.json
expect 0 '"eviction"' cat p.json
expect 0 '' "$moec" compile good.moe -o p.moeir
expect 0 '' "$moec" compile p.moeir -o again.moeir
expect 0 '' cmp p.moeir again.moeir
expect 2 'add --model' "$moec" compile good.moe --emit so
expect 2 'says nothing' "$moec" compile good.moe -o p.xyz
expect 2 'pentium' "$moec" compile good.moe --model 4x16x4 --cpu pentium-9000 -o p.o
expect 1 'none was chosen' "$moec" compile two.moe --model 4x16x4 -o p.so
expect 1 'no policy called `tow`' "$moec" compile two.moe --policy tow --model 4x16x4 -o p.so
expect 0 '' "$moec" compile two.moe --policy two --model 4x16x4 -o p.so
expect 3 'cannot write' "$moec" compile good.moe --model 4x16x4 -o no/such/folder/p.so
expect 2 'model|shape' "$moec" compile good.moe --model 4x16 -o p.so
expect 1 'error' "$moec" compile bad.moe --model 4x16x4 -o p.so

# replay
for engine in jit interp; do
  expect 0 '"hits": ?3' "$moec" replay good.moe --trace trace.jsonl --engine $engine --format json --slots 4
  expect 0 '"d":2,"t":1,"l":0,"e":\[2,1\],"hit":\[1,1\],"act":\["hit","hit"\],"evict":\[\],"pre":\[\]' \
    "$moec" replay good.moe --trace trace.jsonl --engine $engine --decisions - --slots 4
done
"$moec" replay good.moe --trace trace.jsonl --engine jit --decisions jit.jsonl > /dev/null
"$moec" replay good.moe --trace trace.jsonl --engine interp --decisions interp.jsonl > /dev/null
expect 0 '' cmp jit.jsonl interp.jsonl
expect 3 'missing.npz' "$moec" replay good.moe --trace missing.npz
expect 1 'trace|good.moe' "$moec" replay good.moe --trace good.moe
expect 2 'add --trace|--trace is required' "$moec" replay good.moe
expect 1 'the trace is of a model of' "$moec" replay good.moe --trace trace.jsonl --model 9x9x2
expect 2 'NAME=VALUE' "$moec" replay good.moe --trace trace.jsonl --set nonsense

((failures == 0)) || { echo "$failures checks failed"; exit 1; }
