// SPDX-License-Identifier: Apache-2.0
// A main for the fuzz targets where there is no fuzzing engine: every kept input, then mutations of them.
//   fuzz_TARGET [--mutations N] [--seed FIRST] FILE|FOLDER...
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/frontend/mutate.h"
#include "tests/frontend/support.h"
#include "tests/fuzz/target.h"

namespace {

void add(const std::filesystem::path& path, std::vector<std::filesystem::path>& files) {
  if (!std::filesystem::is_directory(path)) return files.push_back(path);
  const size_t before = files.size();
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
}

void run(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t mutations = 0;
  uint64_t first = 1;
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--mutations" && i + 1 < argc) {
      mutations = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--seed" && i + 1 < argc) {
      first = std::strtoull(argv[++i], nullptr, 10);
    } else {
      add(argument, files);
    }
  }
  if (files.empty()) {
    std::fprintf(stderr, "nothing to run\n");
    return 2;
  }
  std::vector<std::string> corpus;
  for (const auto& file : files) {
    std::fprintf(stderr, "%s\n", file.c_str());
    corpus.push_back(moe::test::read_file(file));
    run(corpus.back());
  }
  for (uint64_t seed = first; seed < first + mutations; ++seed) {
    // The last line before a crash names its seed.
    std::fprintf(stderr, "seed %llu\n", static_cast<unsigned long long>(seed));
    run(moe::test::mutate(corpus, seed));
  }
  std::printf("%zu kept inputs, %llu mutations from seed %llu\n", corpus.size(),
              static_cast<unsigned long long>(mutations), static_cast<unsigned long long>(first));
  return 0;
}
