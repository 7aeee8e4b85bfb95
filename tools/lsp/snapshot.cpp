// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/snapshot.h"

#include "frontend/limits.h"
#include "frontend/parse_tree.h"

namespace moe::lsp {

Snapshot::Snapshot(std::string path, std::string text)
    : source_(std::move(path), std::move(text)),
      tokens_(frontend::tokenize(source_.text().size() <= frontend::kMaxFileBytes ? source_.text() : "")),
      lines_(source_.text()),
      outline_(read_outline(source_.text(), tokens_)) {}

}  // namespace moe::lsp
