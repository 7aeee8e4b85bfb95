// SPDX-License-Identifier: Apache-2.0
#include "tools/trace_shape.h"

#include <fmt/format.h>

#include "ir/shape.h"

namespace moe::tools {

Result<ir::ModelShape> shape_of(const replay::Trace& trace, const std::string& model) {
  ir::ModelShape shape{trace.num_layers, trace.num_experts, trace.top_k, 0};
  if (model.empty()) return shape;
  const Result<ir::ModelShape> named = ir::load_shape(model);
  if (!named) return named.error();
  if (named->num_layers != shape.num_layers || named->top_k != shape.top_k || named->num_experts < shape.num_experts) {
    return Error{Error::Kind::format, fmt::format("the trace is of a model of {}, --model says {}",
                                                  ir::print_shape(shape), ir::print_shape(*named))};
  }
  return *named;
}

}  // namespace moe::tools
