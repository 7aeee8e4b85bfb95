// SPDX-License-Identifier: Apache-2.0
#include "bench/python.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/policies.h"

namespace moe::bench {
namespace {

constexpr int kRepeats = 5;
constexpr int kNotInstalled = 77;  // as the script says
constexpr int kNoInterpreter = 127;

/// The rows' policies, each once, with their files' texts; the package reads `fallback` too, which has no row.
Result<nlohmann::json> cases_of(const Routings& routings) {
  nlohmann::json cases = {{"repeats", kRepeats}};
  for (const std::string_view name : policy_names()) {
    Result<std::string> text = read_text(path_of_policy(name));
    if (!text) return text.error();
    cases["policies"].push_back({{"name", name}, {"text", *text}});
  }
  for (const Routing& routing : routings.policies) {
    cases["shapes"].push_back({{"name", name_of(routing.shape)},
                               {"num_layers", routing.shape.num_layers},
                               {"num_experts", routing.shape.num_experts},
                               {"top_k", routing.shape.top_k},
                               {"ids", routing.ids},
                               {"weights", routing.weights}});
  }
  return cases;
}

/// What the script prints about the cases in the file `cases`.
Result<std::string> run_script(const std::string& interpreter, const std::string& cases) {
  const std::string command = fmt::format("'{}' '{}/python_baseline.py' '{}'", interpreter, MOE_BENCH_DIR, cases);
  FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return Error{Error::Kind::io, "no process can be started"};
  std::string text;
  std::array<char, 4096> buffer;
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) text.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code == kNotInstalled || code == kNoInterpreter) {
    return Error{Error::Kind::unsupported, "moe-policylang is not installed"};
  }
  if (code != 0) return Error{Error::Kind::io, fmt::format("python_baseline.py ended with {}", code)};
  return text;
}

}  // namespace

Result<std::string> time_python(const std::string& interpreter, const Routings& routings, std::vector<Row>& rows) {
  Result<nlohmann::json> cases = cases_of(routings);
  if (!cases) return cases.error();
  const std::string path = std::filesystem::temp_directory_path() / fmt::format("moe-bench-{}.json", ::getpid());
  std::ofstream(path) << *cases;
  const Result<std::string> text = run_script(interpreter, path);
  std::filesystem::remove(path);
  if (!text) return text.error();
  const nlohmann::json said = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (said.is_discarded()) return Error{Error::Kind::format, "python_baseline.py printed no JSON"};
  for (const nlohmann::json& timed : said.at("rows")) {
    for (Row& row : rows) {
      const bool same = row.policy == timed.at("policy") && name_of(row.routing->shape) == timed.at("shape");
      if (row.group != "policies" || !same) continue;
      row.python_times = Times{timed.at("ns_median"), timed.at("ns_least")};
      row.python_hit_rate = timed.at("hit_rate");
    }
  }
  return fmt::format("moe-policylang {}, Python {}", std::string(said.at("package")), std::string(said.at("python")));
}

}  // namespace moe::bench
