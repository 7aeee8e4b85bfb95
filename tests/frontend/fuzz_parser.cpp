// SPDX-License-Identifier: Apache-2.0
// The front end under mutations. LLVMFuzzerTestOneInput is the entry point that fuzzing engines look for; the main
// below needs none: `fuzz_parser [ROUNDS [FIRST_SEED]]`, run in the repository's root.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/frontend/mutate.h"
#include "tests/frontend/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  moe::test::exercise(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}

int main(int argc, char** argv) {
  const uint64_t rounds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20000;
  const uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const std::vector<std::string> corpus = moe::test::golden_texts();
  size_t findings = 0;
  for (uint64_t seed = first; seed < first + rounds; ++seed) {
    const std::string text = moe::test::mutate(corpus, seed);
    std::FILE* note = seed % 1000 == 0 ? stderr : nullptr;
    if (note != nullptr) std::fprintf(note, "seed %llu\n", static_cast<unsigned long long>(seed));
    findings += moe::test::exercise(text);
  }
  std::printf("%llu texts from seed %llu, %zu findings\n", static_cast<unsigned long long>(rounds),
              static_cast<unsigned long long>(first), findings);
  return 0;
}
