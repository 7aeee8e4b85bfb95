" Syntax of .moe policies. Later items win where two match at the same place, so the order matters: what a word is
" depends on what follows it (`lookahead = 2` is a key, `strategy = lookahead` a word).
if exists("b:current_syntax")
  finish
endif

syn case match
syn match moeVariable "\<\%(prefetch_accuracy\|prefetch_coverage\|eviction_rate\|request_uses\|tokens_per_s\|memory_free\|memory_used\|num_experts\|queue_depth\|cache_fill\|num_layers\|link_gbps\|miss_rate\|predicted\|capacity\|distance\|foretold\|hit_rate\|next_use\|position\|resident\|stall_ms\|entropy\|kv_used\|load_ms\|recency\|cpu_ms\|expert\|tokens\|weight\|batch\|layer\|phase\|score\|top_k\|value\|freq\|idle\|seen\|size\|uses\|age\)\>"
syn match moeWord "\<\%(frequency_threshold\|memory_pressure\|freq_threshold\|cpu_fallback\|dispatches\|trajectory\|as_stored\|lookahead\|w_tinylfu\|accesses\|affinity\|cpu_load\|fallback\|gpu_only\|sequence\|balance\|degrade\|entropy\|f8_e4m3\|history\|learned\|prefill\|s3_fifo\|uniform\|utility\|always\|belady\|decode\|global\|hybrid\|random\|shared\|tokens\|evict\|layer\|never\|score\|sieve\|cache\|auto\|bf16\|disk\|fifo\|gate\|host\|int2\|int4\|int8\|lirs\|load\|miss\|none\|shed\|skip\|warn\|all\|arc\|cpu\|f16\|f32\|gpu\|lfu\|lru\)\>"
syn match moeFunction "\<\%(weight_rate\|avg_over\|max_over\|use_rate\|hottest\|sigmoid\|victim\|clamp\|floor\|least\|table\|trend\|log2\|most\|sqrt\|abs\|exp\|log\|max\|min\|pow\)\>\ze\s*("
syn match moeKeyword "\<\%(rebalance\|cooldown\|explore\|extends\|promote\|trigger\|version\|choose\|demote\|import\|policy\|revert\|signal\|every\|param\|else\|step\|then\|when\|and\|for\|let\|not\|use\|by\|if\|in\|on\|or\)\>"
syn match moeBoolean "\<\%(true\|false\)\>"
syn match moeKey "\<\%(offload_threshold_ms\|affinity_threshold\|rebalance_interval\|prefetch_strategy\|memory_budget_gb\|memory_threshold\|priority_routing\|protect_selected\|frequency_decay\|memory_headroom\|min_probability\|prefetch_budget\|score_ema_alpha\|decay_interval\|entropy_window\|expert_size_gb\|freq_threshold\|history_window\|loads_in_order\|schedule_mode\|cancel_stale\|log_interval\|max_capacity\|min_capacity\|total_budget\|approximate\|freq_window\|side_buffer\|allocation\|capacities\|group_size\|kv_reserve\|one_by_one\|bandwidth\|cpu_setup\|inclusive\|lfu_decay\|load_time\|lookahead\|max_loads\|precision\|capacity\|cpu_time\|deadline\|discount\|eviction\|gpu_time\|location\|strategy\|arrival\|metrics\|overlap\|preload\|profile\|budget\|direct\|freeze\|pinned\|window\|admit\|dtype\|evict\|order\|scope\|store\|drop\|mode\|path\|rate\|shed\|warn\|when\|pin\|top\|ttl\)\>\ze\s*=\%(=\)\@!"
syn match moeKey "\.\s*\zs\<\%(offload_threshold_ms\|affinity_threshold\|rebalance_interval\|prefetch_strategy\|memory_budget_gb\|memory_threshold\|priority_routing\|protect_selected\|frequency_decay\|memory_headroom\|min_probability\|prefetch_budget\|score_ema_alpha\|decay_interval\|entropy_window\|expert_size_gb\|freq_threshold\|history_window\|loads_in_order\|schedule_mode\|cancel_stale\|log_interval\|max_capacity\|min_capacity\|total_budget\|approximate\|freq_window\|side_buffer\|allocation\|capacities\|group_size\|kv_reserve\|one_by_one\|bandwidth\|cpu_setup\|inclusive\|lfu_decay\|load_time\|lookahead\|max_loads\|precision\|capacity\|cpu_time\|deadline\|discount\|eviction\|gpu_time\|location\|strategy\|arrival\|metrics\|overlap\|preload\|profile\|budget\|direct\|freeze\|pinned\|window\|admit\|dtype\|evict\|order\|scope\|store\|drop\|mode\|path\|rate\|shed\|warn\|when\|pin\|top\|ttl\)\>"
syn match moeBlock "\<\%(per_layer\|prefetch\|schedule\|monitor\|layers\|memory\|adapt\|cache\|learn\|phase\|tiers\|tier\|on\)\>\ze\s*{"
syn match moeBlock "\<\%(per_layer\|prefetch\|schedule\|monitor\|memory\|adapt\|cache\|learn\|tiers\)\>\ze\s*\.\s*\h"
syn match moeBlock "\<layers\ze\s\+[A-Za-z0-9_(]"
syn match moeBlock "\<\%(tier\|phase\|on\)\ze\s\+\h\w*\s*{"
syn match moeName "\%(\<\%(policy\|extends\|param\|let\|use\)\s\+\)\@<=\h\w*"
syn match moeNumber "\%(\w\)\@<!\%(\d[0-9_]*\%(\.\.\@!\d*\)\?\|\.\d\+\)\%([eE][+-]\?\d\+\)\?" nextgroup=moeUnit
syn match moeUnit contained "%\|\%(GB\/s\|us\|ms\|s\|KiB\|MiB\|GiB\|KB\|MB\|GB\|B\)\>"
syn match moeOperator "->\|\.\.\|==\|!=\|<=\|>=\|[-+*/%|:<>=]"
syn match moeError +"[^"]*$+
syn match moeString +"[^"]*"+
syn match moeComment "#.*$" contains=@Spell
syn match moeComment "//.*$" contains=@Spell

hi def link moeVariable Identifier
hi def link moeWord Constant
hi def link moeFunction Function
hi def link moeKeyword Statement
hi def link moeBoolean Boolean
hi def link moeKey Type
hi def link moeBlock Structure
hi def link moeName Title
hi def link moeNumber Number
hi def link moeUnit Special
hi def link moeOperator Operator
hi def link moeString String
hi def link moeError Error
hi def link moeComment Comment

let b:current_syntax = "moe"
