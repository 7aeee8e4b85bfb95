// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/experts.h"

#include <fmt/core.h>

#include <algorithm>

#include "examples/engine/convert.h"
#include "examples/engine/ops.h"
#include "examples/engine/runtime.h"

namespace engine {
namespace {

/// A plan that is released on every way out.
class ScopedPlan {
 public:
  /// `stream`: what computes with the experts; nullptr: this thread.
  ScopedPlan(moe_runtime* runtime, const moe_dispatch_args& args, void* stream, const std::string& what)
      : runtime_(runtime), stream_(stream), what_(what) {
    check(moe_dispatch(runtime_, &args, &plan_), what_);
  }
  ~ScopedPlan() { moe_plan_release(runtime_, &plan_, stream_); }
  ScopedPlan(const ScopedPlan&) = delete;
  ScopedPlan& operator=(const ScopedPlan&) = delete;

  uint32_t num_entries() const { return plan_.num_entries; }
  const uint32_t* selections() const { return plan_.selections; }

  /// The entry, once its weights may be read.
  const moe_plan_entry& wait(uint32_t index) {
    check(moe_plan_wait(runtime_, &plan_, index, stream_), what_);
    return entry(index);
  }
  /// The engine has read the entry for the last time: its slot may be filled anew.
  void done(uint32_t index) { check(moe_plan_done(runtime_, &plan_, index, stream_), what_); }

 private:
  // The library may know a longer entry than this program: its own struct_size says how far apart they are.
  const moe_plan_entry& entry(uint32_t index) const {
    const auto* bytes = reinterpret_cast<const char*>(plan_.entries);
    return *reinterpret_cast<const moe_plan_entry*>(bytes + size_t{index} * plan_.entries->struct_size);
  }

  moe_runtime* runtime_;
  void* stream_;
  const std::string& what_;
  moe_plan plan_ = sized<moe_plan>();
};

void widen_part(const ExpertLayout::Part& part, const void* expert, Matrix& target) {
  const auto* bytes = static_cast<const char*>(expert);
  widen(part.dtype, bytes + part.offset, part.rows * part.cols, target.values.data());
}

}  // namespace

Experts::Experts(moe_runtime* runtime, const ExpertLayout& layout, const Options& options)
    : runtime_(runtime),
      layout_(layout),
      options_(options),
      scratch_{Matrix(layout.gate.rows, layout.gate.cols), Matrix(layout.up.rows, layout.up.cols),
               Matrix(layout.down.rows, layout.down.cols)} {}

/// nullptr: experts are computed here. Made when the runtime has its policy, and so its device memory.
DeviceFfn* Experts::device() {
  if (options_.on_device && !device_) {
    device_ = std::make_unique<DeviceFfn>(runtime_, layout_, options_.max_batch, options_.top_k);
  }
  return device_.get();
}

Matrix Experts::run(uint32_t layer, moe_phase phase, const Matrix& x, const Routing& routing, const Matrix* stand_in) {
  auto args = sized<moe_dispatch_args>();
  args.layer = layer;
  args.num_tokens = static_cast<uint32_t>(x.rows);
  args.top_k = static_cast<uint32_t>(routing.top_k);
  args.ids = routing.ids.data();
  args.weights = routing.weights.data();
  args.phase = phase;
  args.probabilities = routing.probabilities.values.data();
  const std::string what = fmt::format("MoE layer {}", layer);

  // Row token * top_k + k: what the k-th expert of the token made of it; 0 for one that is skipped or dropped.
  Matrix outputs(x.rows * routing.top_k, x.cols);
  DeviceFfn* const device = this->device();
  std::vector<uint32_t> on_device;  // rows of `outputs`
  if (device) device->begin(x);
  ScopedPlan plan(runtime_, args, device ? device->stream() : nullptr, what);
  for (uint32_t i = 0; i < plan.num_entries(); ++i) {
    const moe_plan_entry& entry = plan.wait(i);
    const uint32_t* selections = plan.selections() + entry.first_selection;
    if (entry.action == MOE_ACTION_SHARED || entry.action == MOE_ACTION_SKIP) {
      for (uint32_t s = 0; entry.action == MOE_ACTION_SHARED && stand_in && s < entry.num_selections; ++s) {
        std::copy_n(stand_in->row(selections[s] / routing.top_k), x.cols, outputs.row(selections[s]));
      }
      continue;
    }
    if (device && entry.action != MOE_ACTION_CPU && entry.action != MOE_ACTION_CPU_LOAD) {
      device->expert(entry, selections);
      plan.done(i);
      on_device.insert(on_device.end(), selections, selections + entry.num_selections);
      continue;
    }
    const Matrix result = compute(entry, selections, x, routing.top_k);
    plan.done(i);
    for (uint32_t s = 0; s < entry.num_selections; ++s) {
      std::copy_n(result.row(s), result.cols, outputs.row(selections[s]));
    }
  }

  if (device) {
    const Matrix computed = device->end();
    for (const uint32_t row : on_device) std::copy_n(computed.row(row), computed.cols, outputs.row(row));
  }

  Matrix sum(x.rows, x.cols);
  for (size_t selection = 0; selection < outputs.rows; ++selection) {
    add_scaled(sum.row(selection / routing.top_k), outputs.row(selection), routing.weights[selection], sum.cols);
  }
  return sum;
}

Matrix Experts::compute(const moe_plan_entry& entry, const uint32_t* selections, const Matrix& x, size_t top_k) {
  // The weights are copied out, so the arithmetic is the same whether they lay in a slot or, for the CPU actions, in
  // host memory. A faster engine would give its kernels entry.data.
  widen_part(layout_.gate, entry.data, scratch_.gate);
  widen_part(layout_.up, entry.data, scratch_.up);
  widen_part(layout_.down, entry.data, scratch_.down);
  Matrix tokens(entry.num_selections, x.cols);
  for (uint32_t s = 0; s < entry.num_selections; ++s) std::copy_n(x.row(selections[s] / top_k), x.cols, tokens.row(s));
  return apply(scratch_, tokens);
}

void Experts::hint(uint32_t layer, const Forecast& forecast) {
  check(moe_hint(runtime_, layer, forecast.ids.data(), forecast.probabilities.data(),
                 static_cast<uint32_t>(forecast.ids.size())),
        fmt::format("hint for MoE layer {}", layer));
}

}  // namespace engine
