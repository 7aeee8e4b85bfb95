// SPDX-License-Identifier: Apache-2.0
// A quantized weight as the tensors of a checkpoint, and back. P is the module, N x K its weight, S its dtype.
//
//   8 bits      P.weight._data        I8, F8_E4M3 or F8_E5M2 [N, K]
//               P.weight._scale       S [N, 1], or [] when N is 1
//   2, 4 bits   P.weight._data._data  U8: codes of the matrix [N * K / group, group], packed (runtime/precision/pack.h)
//               P.weight._scale, P.weight._shift   S [N * K / group, 1]
//   these       P.input_scale, P.output_scale      S [], 1: activations are not quantized
//   hadamard4   P.weight._data        U8 [N, K / 2]: codes + 8, column 2 i in the low half of byte i
//               P.weight._scale       S [N, K / 32]
//
// All but hadamard4 is optimum-quanto's.
#pragma once
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/precision/codec.h"
#include "runtime/store/safetensors.h"
#include "runtime/store/safetensors_write.h"

namespace moe::checkpoint {

/// The tensors that a weight of `rows` x `cols` becomes. Requires what precision::quantize takes.
std::vector<store::TensorSpec> packed_specs(const std::string& module, const precision::Options& options,
                                            moe_dtype dtype, uint64_t rows, uint64_t cols);

/// With the shifts that a file holds: quanto keeps bfloat16 weights in qint4 with groups of 128 by the middle of a
/// group's range, which moves them by a few hundredths of a scale at most. Other weights are as they were.
precision::Quantized as_saved(precision::Quantized quantized);

/// The bytes of each of those tensors, in the same order.
std::vector<std::vector<uint8_t>> packed_bytes(const precision::Quantized& quantized);

/// Reads a module's weight back. `tensors` is ascending by name. The files of 2 and 4 bits do not say the shape, which
/// is the model's: `rows` and `cols` give it, and are checked against what is there. The length of groups is taken from
/// the tensors.
/// Errors: format: a tensor that is missing, or of another dtype or shape.
Result<precision::Quantized> read_packed(const std::vector<store::Tensor>& tensors, const std::string& module,
                                         precision::Format format, uint64_t rows, uint64_t cols);

}  // namespace moe::checkpoint
