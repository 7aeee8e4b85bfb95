// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "examples/engine/options.h"

#include <doctest/doctest.h>

#include "tests/engine/support.h"

using engine_test::error_of;

namespace {

engine::Options parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "moec-run");
  return engine::parse_options(static_cast<int>(arguments.size()), arguments.data()).value();
}

}  // namespace

TEST_CASE("sizes and rates") {
  CHECK(engine::parse_size("4096", "--budget") == 4096);
  CHECK(engine::parse_size("1.5KB", "--budget") == 1500);
  CHECK(engine::parse_size("64MiB", "--budget") == 64 << 20);
  CHECK(engine::parse_rate("4", "--link") == 4000000000);
  CHECK(engine::parse_rate("0.5GB/s", "--link") == 500000000);
  CHECK(engine::parse_rate("250MB/s", "--link") == 250000000);
  CHECK(engine::parse_rate("8KB/s", "--link") == 8000);
  for (const char* bad : {"", "0", "-1", "x", "4 GB", "4gb", "1e9", "4GB/s", "1..2", ".", "999999999999GB", "inf"}) {
    CAPTURE(bad);
    CHECK(error_of([&] { engine::parse_size(bad, "--budget"); }).starts_with("--budget: `"));
  }
  CHECK(error_of([] { engine::parse_rate("4GB", "--link"); }).ends_with("write it like 4GB/s"));
}

TEST_CASE("a command line") {
  const engine::Options options =
      parse({"model",    "--policy", "p.moe",   "--prompt-ids",  "1,20,300", "--tokens",   "5",
             "--set",    "a=1",      "--set",   "b=2",           "--slots",  "7",          "--link",
             "2GB/s",    "--seed",   "9",       "--temperature", "0.5",      "--top-p",    "0.9",
             "--format", "json",     "--stats", "out.json",      "--check",  "--no-hints", "--stop-at-eos"});
  CHECK(options.model_dir == "model");
  CHECK(options.prompt_ids == std::vector<int32_t>{1, 20, 300});
  CHECK_FALSE(options.prompt);
  CHECK(options.engine.policy.file == "p.moe");
  CHECK(options.engine.policy.settings == std::vector<std::string>{"a=1", "b=2"});
  CHECK(options.engine.policy.slots == 7);
  CHECK(options.engine.link_bytes_per_s == 2000000000);
  CHECK_FALSE(options.engine.model.hints);
  CHECK(options.generate.num_tokens == 5);
  CHECK(options.generate.stop_at_eos);
  CHECK(options.generate.sampler.seed == 9);
  CHECK(options.generate.sampler.temperature == 0.5);
  CHECK(options.generate.sampler.top_p == 0.9);
  CHECK(options.json);
  CHECK(options.check);
  CHECK(options.stats_file == "out.json");
}

TEST_CASE("wrong usage") {
  const std::vector<std::vector<const char*>> table = {
      {},
      {"model"},
      {"model", "--policy", "none"},
      {"model", "--prompt", "x"},
      {"model", "--policy", "none", "--prompt", "x", "--prompt-ids", "1"},
      {"model", "--policy", "none", "--prompt-ids", "1,,2"},
      {"model", "--policy", "none", "--prompt-ids", "1,-2"},
      {"model", "--policy", "none", "--prompt-ids", "99999999999"},
      {"model", "--policy", "none", "--prompt-ids", "a"},
      {"model", "--policy", "none", "--prompt", "x", "--tokens", "-1"},
      {"model", "--policy", "none", "--prompt", "x", "--tokens", "many"},
      {"model", "--policy", "none", "--prompt", "x", "--temperature", "-1"},
      {"model", "--policy", "none", "--prompt", "x", "--temperature", "nan"},
      {"model", "--policy", "none", "--prompt", "x", "--top-p", "0"},
      {"model", "--policy", "none", "--prompt", "x", "--slots", "0"},
      {"model", "--policy", "none", "--prompt", "x", "--format", "xml"},
      {"model", "--policy", "none", "--prompt", "x", "--backend", "tpu"},
      {"model", "--policy", "none", "--prompt", "x", "--unknown"},
      {"model", "another", "--policy", "none", "--prompt", "x"},
  };
  for (const auto& arguments : table) {
    std::string line;
    for (const char* argument : arguments) line += std::string(argument) + " ";
    CAPTURE(line);
    try {
      parse(arguments);
      FAIL_CHECK("accepted");
    } catch (const engine::Error& error) {
      CHECK(error.code() == engine::Exit::usage);
      CHECK(engine_test::is_one_line(error.what()));
    }
  }
}
