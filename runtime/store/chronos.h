// SPDX-License-Identifier: Apache-2.0
// Expert caches of Project Chronos: cluster_manifest.json and cluster_N.ctsr, which are safetensors files.
#pragma once
#include <string>

#include "runtime/base/result.h"
#include "runtime/store/model_files.h"

namespace moe::store {

/// Whether the folder has a cluster_manifest.json.
bool is_chronos_cache(const std::string& dir);

/// Maps a cache's clusters. A cluster has the weights of its experts in all layers, named `lL_eE__PART`, where L counts
/// MoE layers; the cache has no other tensors. The manifest is hostile input: every expert must be in exactly one
/// cluster, every cluster's file must have the tensors of its experts and no others, in every layer. Errors: io;
/// format; unsupported (another version; the older format of one pickle an expert, which is code).
Result<ModelFiles> open_chronos_cache(const std::string& dir);

}  // namespace moe::store
