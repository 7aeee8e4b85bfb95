// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/checkpoint.h"

#include "runtime/store/chronos.h"

namespace moe::store {

Result<Checkpoint> open_checkpoint(const std::string& dir) {
  Checkpoint checkpoint;
  if (!is_model_folder(dir) && is_chronos_cache(dir)) checkpoint.naming = Naming::chronos;
  Result<ModelFiles> model = checkpoint.naming == Naming::chronos ? open_chronos_cache(dir) : open_model_files(dir);
  if (!model) return model.error();
  checkpoint.model = std::move(*model);
  Result<Experts> experts = find_experts(checkpoint.model.tensors, dir, checkpoint.naming);
  if (!experts) return experts.error();
  checkpoint.experts = std::move(*experts);
  return checkpoint;
}

}  // namespace moe::store
