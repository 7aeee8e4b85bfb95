// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <new>
#include <optional>

#include "examples/engine/engine.h"
#include "examples/engine/error.h"
#include "examples/engine/options.h"
#include "examples/engine/report.h"
#include "examples/engine/tokenizer.h"
#include "examples/engine/watch.h"

namespace engine {
namespace {

void complain(const char* text) { fmt::print(stderr, "moec-run: {}\n", text); }

void log_warnings(void*, moe_log_level level, const char* text) {
  if (level <= MOE_LOG_WARNING) complain(text);
}

Engine open_engine(const Options& options, const Config& config, const EngineOptions& engine_options) {
  std::string findings;
  const auto print = [&] { std::fputs(findings.c_str(), stderr); };
  try {
    Engine engine(options.model_dir, config, engine_options, findings);
    print();
    return engine;
  } catch (...) {
    print();
    throw;
  }
}

/// All logits of a run, so that another run can be compared with it bit for bit.
class LogitsRecord {
 public:
  void add(std::span<const float> logits) { values_.insert(values_.end(), logits.begin(), logits.end()); }
  void compare(std::span<const float> logits) {
    same_ = same_ && logits.size() <= values_.size() - compared_ &&
            std::memcmp(values_.data() + compared_, logits.data(), logits.size_bytes()) == 0;
    compared_ += same_ ? logits.size() : 0;
  }
  bool same() const { return same_ && compared_ == values_.size(); }

 private:
  std::vector<float> values_;
  size_t compared_ = 0;
  bool same_ = true;
};

/// The model with every expert resident, in a runtime of its own.
Engine open_resident(const Options& options, const Config& config) {
  EngineOptions resident;
  resident.model = options.engine.model;
  resident.backend = options.engine.backend;
  resident.device = options.engine.device;
  resident.backend_library = options.engine.backend_library;
  return open_engine(options, config, resident);
}

/// Runs the prompt again.
bool same_when_resident(const Options& options, const Config& config, const Report& report, LogitsRecord& record) {
  Engine engine = open_resident(options, config);
  const Generation generation = generate(engine.model(), report.prompt_ids, options.generate,
                                         [&](std::span<const float> logits) { record.compare(logits); });
  return record.same() && generation.token_ids == report.generation.token_ids;
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw machine_error(path.string() + ": cannot be written");
}

/// The file of the policy has changed: it takes over, or says why not.
void reopen(Engine& engine, const std::string& file) {
  std::string findings;
  try {
    engine.reopen_policy(findings);
    std::fputs(findings.c_str(), stderr);
    fmt::print(stderr, "moec-run: {}: policy `{}` takes over\n", file, engine.policy_name());
  } catch (const std::exception& error) {
    std::fputs(findings.c_str(), stderr);
    fmt::print(stderr, "moec-run: {}; policy `{}` stays\n", error.what(), engine.policy_name());
  }
}

/// Nothing when the prompt is ids and the model has no tokenizer.json: then there are ids only.
std::optional<Tokenizer> open_tokenizer(const Options& options) {
  const std::filesystem::path path = options.model_dir / "tokenizer.json";
  std::error_code failure;
  const bool needed = options.prompt || (!options.texts_file.empty() && options.texts_file.extension() != ".json");
  if (!needed && !std::filesystem::exists(path, failure)) return std::nullopt;
  return Tokenizer::from_file(path);
}

/// What the run leaves behind.
void finish(const Options& options, const Engine& engine, Report& report) {
  if (!options.log_file.empty()) engine.write_decision_log(options.log_file);
  if (!options.timeline_file.empty()) engine.write_timeline(options.timeline_file);
  report.policy = engine.policy_name();
  report.backend = options.engine.backend == MOE_BACKEND_CUDA ? "cuda" : "host";
  report.stats = engine.stats();
  report.exact = engine.policy_exact();
}

Report run(const Options& options) {
  const Config config = read_config(options.model_dir);
  const std::optional<Tokenizer> tokenizer = open_tokenizer(options);
  Engine engine = open_engine(options, config, options.engine);

  std::optional<FileWatch> watch;
  if (options.watch) {
    const std::string& file = options.engine.policy.file;
    watch.emplace(file, [&engine, &file] { reopen(engine, file); });
    fmt::print(stderr, "moec-run: watching {}\n", file);
  }
  Report report;
  if (!options.texts_file.empty()) {
    const auto texts = read_texts(options.texts_file, config, tokenizer);
    report.perplexity = perplexity_of(engine.model(), texts);
    if (options.check) report.resident_perplexity = perplexity_of(open_resident(options, config).model(), texts);
    watch.reset();
    finish(options, engine, report);
    return report;
  }
  report.prompt_ids = options.prompt ? tokenizer->encode(*options.prompt) : options.prompt_ids;
  LogitsRecord record;
  report.generation = generate(engine.model(), report.prompt_ids, options.generate, [&](std::span<const float> logits) {
    if (options.check) record.add(logits);
  });
  watch.reset();
  finish(options, engine, report);
  if (tokenizer) report.text = tokenizer->decode(report.generation.token_ids);
  if (options.check) {
    report.checked = true;
    report.exact = same_when_resident(options, config, report, record);
    if (engine.policy_exact() && !report.exact) {
      complain("the policy promises exact output, but a resident run gave other bits");
    }
  }
  return report;
}

Exit run_program(int argc, const char* const* argv) {
  std::optional<Options> options = parse_options(argc, argv);
  if (!options) return Exit::fine;
  options->engine.log = log_warnings;
  const Report report = run(*options);
  if (!options->stats_file.empty()) write_file(options->stats_file, to_json(report));
  const std::string text = options->json ? to_json(report) : to_text(report);
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) throw machine_error("standard output cannot be written");
  return Exit::fine;
}

}  // namespace
}  // namespace engine

int main(int argc, char** argv) {
  try {
    return static_cast<int>(engine::run_program(argc, argv));
  } catch (const engine::Error& error) {
    engine::complain(error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    engine::complain("out of memory");
  } catch (const std::exception& error) {
    engine::complain(error.what());
  }
  return static_cast<int>(engine::Exit::machine);
}
