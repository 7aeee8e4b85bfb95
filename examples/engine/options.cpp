// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/options.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <iostream>
#include <span>

#include "examples/engine/error.h"

namespace engine {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr Unit kSizeUnits[] = {{"", 1},     {"B", 1},        {"KB", 1e3},        {"MB", 1e6},
                               {"GB", 1e9}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}};
constexpr Unit kRateUnits[] = {{"", 1e9}, {"KB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9}};

constexpr uint64_t kTimelineBytes = 64 << 20;

// A positive decimal number and one of `units`; at least 1 and below 2^63 in all.
uint64_t parse_quantity(std::string_view text, std::span<const Unit> units, std::string_view option,
                        std::string_view example) {
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + digits, number);
  if (failure == std::errc() && end == text.data() + digits) {
    for (const Unit& unit : units) {
      const double value = number * unit.factor;
      if (text.substr(digits) == unit.name && value >= 1 && value < 0x1p63) return static_cast<uint64_t>(value);
    }
  }
  throw usage_error(fmt::format("{}: `{}` is not understood; write it like {}", option, text, example));
}

std::vector<int32_t> parse_ids(std::string_view text) {
  std::vector<int32_t> ids;
  while (true) {
    const size_t comma = std::min(text.find(','), text.size());
    int32_t id = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + comma, id);
    if (failure != std::errc() || end != text.data() + comma || id < 0) {
      throw usage_error(
          fmt::format("--prompt-ids: `{}` is not a token id; write it like 12,7,300", text.substr(0, comma)));
    }
    ids.push_back(id);
    if (comma == text.size()) return ids;
    text.remove_prefix(comma + 1);
  }
}

moe_backend parse_backend(const std::string& backend) {
  if (backend == "host") return MOE_BACKEND_HOST;
  if (backend == "cuda") return MOE_BACKEND_CUDA;
  throw usage_error(fmt::format("--backend: `{}` is unknown; there are `host` and `cuda`", backend));
}

// CLI11 begins its sentences with a capital; words that are capitals all through are names.
std::string in_house_style(std::string message) {
  if (message.size() > 1 && std::islower(static_cast<unsigned char>(message[1]))) {
    message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  }
  return message;
}

// CLI::Range would let NaN pass.
void check_range(const char* option, double value, double min, double max) {
  if (!(value >= min && value <= max)) {
    throw usage_error(fmt::format("{}: {} is not in {}..{}", option, value, min, max));
  }
}

// The words as they were typed; what needs more than a range check is taken apart afterwards.
struct Words {
  std::string model_dir, watch, prompt, prompt_ids, backend = "host", link, disk, budget, format = "text", stats, texts,
                                                    log_size = "16MiB";
  bool no_hints = false;
};

void declare(CLI::App& app, Words& words, Options& options) {
  constexpr size_t kMaxTokens = 1 << 24;
  app.add_option("MODEL_DIR", words.model_dir, "a model in the Hugging Face layout")->required();
  CLI::Option* policy = app.add_option("--policy", options.engine.policy.file,
                                       "a .moe text (- is stdin), a compiled .so, or `none`: everything resident");
  app.add_option("--watch", words.watch, "as --policy, of a .moe text; when the file changes, what it says takes over")
      ->excludes(policy)
      ->type_name("FILE");
  app.add_option("--policy-name", options.engine.policy.name, "which of the file's policies");
  app.add_option("--set", options.engine.policy.settings, "NAME=VALUE for a param of the policy")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--slots", options.engine.policy.slots, "overrides the policy's capacity")
      ->check(CLI::Range(uint32_t{1}, UINT32_MAX));
  app.add_option("--budget", words.budget, "size of the fast tier, like 64MiB");
  app.add_option("--backend", words.backend, "where the fast tier is, and experts are computed: host or cuda")
      ->capture_default_str();
  app.add_option("--device", options.engine.device, "which CUDA device")->capture_default_str();
  app.add_option("--disk-link", words.disk,
                 "limit of the link from disk to host memory, for a store and a policy with tiers");
  app.add_option("--timeline", options.timeline_file,
                 "write what links and layers did when to this file, for https://ui.perfetto.dev");
  app.add_option("--link", words.link, "limit of the link to the fast tier, like 4GB/s; a bare number is GB/s");
  app.add_flag("--no-hints", words.no_hints, "do not predict the next layer's experts");

  CLI::Option* prompt = app.add_option("--prompt", words.prompt, "text to continue");
  CLI::Option* ids = app.add_option("--prompt-ids", words.prompt_ids, "the same as token ids: 1,2,3")->excludes(prompt);
  app.add_option("--perplexity", words.texts,
                 "instead of a prompt: how well the model predicts this file, a text or a .json with `docs` of `ids`")
      ->excludes(prompt)
      ->excludes(ids)
      ->type_name("FILE");
  app.add_option("--tokens", options.generate.num_tokens, "tokens to generate")
      ->check(CLI::Range(size_t{0}, kMaxTokens))
      ->capture_default_str();
  app.add_flag("--stop-at-eos", options.generate.stop_at_eos,
               "end at an end-of-text token; without it, all --tokens are generated");
  app.add_option("--temperature", options.generate.sampler.temperature, "0: always the most probable token")
      ->capture_default_str();
  app.add_option("--top-p", options.generate.sampler.top_p, "sample among the tokens that reach this probability")
      ->capture_default_str();
  app.add_option("--seed", options.generate.sampler.seed, "of the sampling")->capture_default_str();

  app.add_flag("--check", options.check, "run again with every expert resident and compare every bit");
  app.add_option("--format", words.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--stats", words.stats, "write the JSON result to this file too");
  CLI::Option* log = app.add_option(
      "--log", options.log_file, "write the last decisions to this file, for `moec explain --decision N --log FILE`");
  app.add_option("--log-size", words.log_size, "of the decision log in memory; the newest stay")
      ->needs(log)
      ->capture_default_str();
}

}  // namespace

uint64_t parse_size(std::string_view text, std::string_view option) {
  return parse_quantity(text, kSizeUnits, option, "64MiB");
}

uint64_t parse_rate(std::string_view text, std::string_view option) {
  return parse_quantity(text, kRateUnits, option, "4GB/s");
}

std::optional<Options> parse_options(int argc, const char* const* argv) {
  CLI::App app("Runs a Qwen2-MoE or OLMoE model under an expert policy.", "moec-run");
  Words words;
  Options options;
  declare(app, words, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw usage_error(fmt::format("{}; see moec-run --help", in_house_style(error.what())));
  }
  options.engine.backend = parse_backend(words.backend);
  check_range("--temperature", options.generate.sampler.temperature, 0, 100);
  check_range("--top-p", options.generate.sampler.top_p, 1e-9, 1);
  if (app.count("--watch") > 0) {
    if (!words.watch.ends_with(".moe")) throw usage_error("--watch: `" + words.watch + "` is not a .moe text");
    options.engine.policy.file = words.watch;
    options.watch = true;
  } else if (app.count("--policy") == 0) {
    throw usage_error("give a --policy, or a file to --watch; see moec-run --help");
  }
  options.model_dir = words.model_dir;
  options.json = words.format == "json";
  options.stats_file = words.stats;
  options.engine.model.hints = !words.no_hints;
  if (app.count("--budget") > 0) options.engine.policy.budget_bytes = parse_size(words.budget, "--budget");
  if (!options.log_file.empty()) options.engine.decision_log_bytes = parse_size(words.log_size, "--log-size");
  if (!options.timeline_file.empty()) options.engine.timeline_bytes = kTimelineBytes;
  if (app.count("--disk-link") > 0) options.engine.disk_bytes_per_s = parse_rate(words.disk, "--disk-link");
  if (app.count("--link") > 0) options.engine.link_bytes_per_s = parse_rate(words.link, "--link");
  options.texts_file = words.texts;
  if (app.count("--perplexity") > 0) return options;
  if (app.count("--prompt-ids") > 0) {
    options.prompt_ids = parse_ids(words.prompt_ids);
  } else if (app.count("--prompt") > 0) {
    options.prompt = words.prompt;
  } else {
    throw usage_error("give a --prompt, --prompt-ids or --perplexity");
  }
  return options;
}

}  // namespace engine
