// SPDX-License-Identifier: Apache-2.0
// moec-run from outside: what it prints, where, and what it exits with.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fmt/core.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/engine/support.h"
#include "tests/engine/tiny_model.h"

using engine_test::kQwen;
using engine_test::TemporaryFolder;
using engine_test::TinyModel;
using nlohmann::json;

namespace {

std::string program;
std::string compiler;  // moec; empty: not built

struct Outcome {
  int code = -1;
  std::string out, err;
};

// `arguments` are the shell's words.
Outcome moec_run(const std::string& arguments) {
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "out").string(), err = (folder.path() / "err").string();
  const int status = std::system(fmt::format("'{}' {} >{} 2>{}", program, arguments, out, err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, engine_test::read_text(out), engine_test::read_text(err)};
}

// A failure: nothing on stdout, one line on stderr, `words` in it.
void check_failure(const std::string& arguments, int code, const std::string& words) {
  CAPTURE(arguments);
  const Outcome outcome = moec_run(arguments);
  CAPTURE(outcome.err);
  CHECK(outcome.code == code);
  CHECK(outcome.out == "");
  CHECK(outcome.err.starts_with("moec-run: "));
  CHECK(outcome.err.find(words) != std::string::npos);
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK_FALSE(outcome.err.ends_with(".\n"));
}

const std::string kRest = " --policy none --prompt hello --tokens 4";

}  // namespace

// The model's own figures for a text, which its makers measured with transformers.
TEST_CASE("perplexity: the published figure, and what lower precision costs") {
  const TemporaryFolder folder;
  json first = engine_test::read_json(kQwen / "ppl.json");
  first.at("docs").erase(first.at("docs").begin() + 1, first.at("docs").end());
  const json& doc = first.at("docs")[0];
  const std::string text = (folder.path() / "text.json").string();
  engine_test::write_text(text, first.dump());
  const auto measure = [&](const std::string& model, const std::string& policy) {
    const Outcome outcome =
        moec_run(fmt::format("{} --policy {} --perplexity {} --check --format json", model, policy, text));
    REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
    const json result = json::parse(outcome.out);
    CHECK(result.at("perplexity").at("tokens") == doc.at("ids").size() - 1);
    CHECK(std::abs(result.at("resident_perplexity").at("mean_nll").get<double>() - doc.at("mean_nll").get<double>()) <
          1e-4);
    return result;
  };
  const json resident = measure(kQwen.string(), "none");
  CHECK(resident.at("perplexity") == resident.at("resident_perplexity"));
  CHECK(resident.at("lower_precision_share") == 0.0);
  if (compiler.empty()) return;

  const std::string store = (folder.path() / "store").string();
  REQUIRE(
      std::system(fmt::format("'{}' pack {} -o {} --precision qint4,qint2 >/dev/null", compiler, kQwen.string(), store)
                      .c_str()) == 0);
  double cost_of_int4 = 0;
  for (const std::string dtype : {"int4", "int2"}) {
    CAPTURE(dtype);
    const std::string policy = (folder.path() / (dtype + ".moe")).string();
    engine_test::write_text(
        policy,
        "policy p { cache { scope = layer } tiers { tier full { location = gpu capacity = 25% } tier low { location = "
        "gpu dtype = " +
            dtype +
            " capacity = 100% } tier all { location = host } promote all -> low when tokens > 0 } "
            "schedule { approximate = true on miss { when weight < 100% -> degrade else -> load } } }");
    const json result = measure(store, policy);
    CHECK(result.at("degraded") > 500);
    CHECK(result.at("lower_precision_share") > 0.3);
    CHECK(result.at("exact") == false);
    CHECK(result.at("device_tier_bytes") > 0);
    const double cost =
        std::abs(result.at("perplexity").at("mean_nll").get<double>() - doc.at("mean_nll").get<double>());
    if (dtype == "int4") {
      CHECK(cost < 0.02);
      cost_of_int4 = cost;
    } else {
      CHECK(cost > cost_of_int4);
    }
  }
}

TEST_CASE("a quantized folder is refused with what to do") {
  if (compiler.empty()) return;
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "quantized").string();
  REQUIRE(std::system(fmt::format("'{}' quantize {} -o {} --weights qint8 >/dev/null", compiler, kQwen.string(), out)
                          .c_str()) == 0);
  check_failure(out + kRest, 1, "moec pack MODEL -o STORE --precision qint4");
}

TEST_CASE("perplexity: files that are no texts") {
  const TemporaryFolder folder;
  const std::string file = (folder.path() / "text.json").string();
  const std::string rest = " --policy none --perplexity " + file;
  check_failure(kQwen.string() + rest, 3, "text.json");
  engine_test::write_text(file, R"({"docs": [{"ids": [1]}]})");
  check_failure(kQwen.string() + rest, 1, "no text of two tokens or more");
  engine_test::write_text(file, R"({"docs": [{"ids": [1, 1000000]}]})");
  check_failure(kQwen.string() + rest, 1, "docs[0].ids");
  engine_test::write_text(file, R"({"docs": {}})");
  check_failure(kQwen.string() + rest, 1, "`docs` is not an array");
  check_failure(kQwen.string() + rest + " --prompt x", 2, "--perplexity");
}

TEST_CASE("a run as JSON") {
  const TemporaryFolder folder;
  const std::string stats = (folder.path() / "stats.json").string();
  const Outcome outcome = moec_run(kQwen.string() + " --policy none --prompt 'It was a truth' --tokens 8 --check " +
                                   "--format json --stats " + stats);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.err == "");
  const json result = json::parse(outcome.out);
  CHECK(engine_test::read_json(stats) == result);
  CHECK(result.at("token_ids").size() == 8);
  CHECK(result.at("prompt_ids").size() == 4);
  CHECK(result.at("exact") == true);
  CHECK(result.at("checked") == true);
  CHECK(result.at("policy") == "none");
  CHECK(result.at("backend") == "host");
  CHECK(result.at("text").is_string());
  CHECK(result.at("peak_fast_bytes") > 0);
  for (const char* key :
       {"hit_rate", "accesses", "hits", "misses", "loads", "bytes_moved", "stall_ms", "tokens_per_s"}) {
    CHECK(result.at(key).is_number());
  }
  // The same prompt as ids, greedy again: the same tokens.
  std::string ids;
  for (const int id : result.at("prompt_ids")) ids += fmt::format("{}{}", ids.empty() ? "" : ",", id);
  const Outcome again = moec_run(kQwen.string() + " --policy none --prompt-ids " + ids + " --tokens 8 --format json");
  CHECK(json::parse(again.out).at("token_ids") == result.at("token_ids"));
}

TEST_CASE("a run as text") {
  const Outcome outcome = moec_run(kQwen.string() + kRest);
  CHECK(outcome.code == 0);
  CHECK(outcome.out.find("\nhit rate ") != std::string::npos);
  CHECK(moec_run("--help").code == 0);
  CHECK(moec_run("--help").out.find("--policy") != std::string::npos);
}

TEST_CASE("sampling is the seed's") {
  const auto tokens = [](const std::string& options) {
    const Outcome outcome = moec_run(kQwen.string() + kRest + "0 --format json " + options);
    return json::parse(outcome.out).at("token_ids");
  };
  CHECK(tokens("--temperature 1 --seed 5") == tokens("--temperature 1 --seed 5"));
  CHECK(tokens("--temperature 1 --seed 5") != tokens("--temperature 1 --seed 6"));
}

TEST_CASE("wrong usage: 2") {
  check_failure("", 2, "MODEL_DIR");
  check_failure(kQwen.string() + " --policy none", 2, "--prompt");
  check_failure(kQwen.string() + " --policy none --prompt ''", 2, "no tokens");
  check_failure(kQwen.string() + kRest + " --backend tpu", 2, "tpu");
  check_failure(kQwen.string() + " --policy none --prompt hello --tokens 1024", 2, "1024 positions");
  check_failure(kQwen.string() + kRest + " --budget 10KB", 2, "holds no expert");
  check_failure(kQwen.string() + kRest + " --slots 4", 2, "--slots");
  check_failure(kQwen.string() + kRest + " --link fast", 2, "--link");
}

TEST_CASE("files that are not there: 3") {
  const TemporaryFolder folder;
  check_failure("/no/such/folder" + kRest, 3, "no such folder");
  check_failure((kQwen / "config.json").string() + kRest, 3, "not a folder");
  check_failure(folder.path().string() + kRest, 3, "config.json: no such file");
  check_failure(kQwen.string() + kRest + " --backend cuda --device 1000", 3, "CUDA");  // library, driver or device
  check_failure(kQwen.string() + " --policy /no/such.moe --prompt hello", 3, "/no/such.moe");
  check_failure(kQwen.string() + " --policy /no/such.so --prompt hello", 3, "/no/such.so");
  check_failure(kQwen.string() + kRest + " --stats /no/such/folder/out.json", 3, "cannot be written");
  TinyModel().write(folder.path());
  std::filesystem::remove(folder.path() / "model.safetensors");
  check_failure(folder.path().string() + kRest, 3, folder.path().string());
  TinyModel().write(folder.path());
  std::filesystem::remove(folder.path() / "tokenizer.json");
  check_failure(folder.path().string() + kRest, 3, "tokenizer.json: no such file");
  // Ids need none, and give none but ids.
  const Outcome ids = moec_run(folder.path().string() + " --policy none --prompt-ids 72,101 --tokens 4 --format json");
  CAPTURE(ids.err);
  REQUIRE(ids.code == 0);
  CHECK(json::parse(ids.out).at("token_ids").size() == 4);
  CHECK(json::parse(ids.out).at("text") == "");
}

TEST_CASE("input that has errors: 1") {
  const auto check_broken = [](const std::string& words, auto change) {
    const TemporaryFolder folder;
    TinyModel tiny;
    change(tiny);
    tiny.write(folder.path());
    check_failure(folder.path().string() + kRest, 1, words);
  };
  check_broken("LlamaForCausalLM", [](TinyModel& m) { m.config["architectures"] = {"LlamaForCausalLM"}; });
  check_broken("no layer has experts", [](TinyModel& m) { m.config["mlp_only_layers"] = {0, 1}; });
  check_broken("num_experts", [](TinyModel& m) { m.config.erase("num_experts"); });
  check_broken("`lm_head.weight` is missing", [](TinyModel& m) { m.tensors.erase("lm_head.weight"); });
  check_broken("shape [16, 16]", [](TinyModel& m) { m.config["head_dim"] = 8; });
  check_failure(kQwen.string() + " --policy none --prompt-ids 4096 --tokens 1", 1, "vocabulary of 4096");
  check_failure(kQwen.string() + " --policy none --prompt \"$(printf 'a\\377')\" --tokens 1", 1, "UTF-8 at byte 1");
}

TEST_CASE("a safetensors file cut anywhere is refused in one line") {
  const TemporaryFolder folder;
  TinyModel().write(folder.path());
  const std::filesystem::path file = folder.path() / "model.safetensors";
  const std::string whole = engine_test::read_text(file);
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{9}, size_t{200}, whole.size() / 2, whole.size() - 1}) {
    CAPTURE(size);
    engine_test::write_text(file, whole.substr(0, size));
    check_failure(folder.path().string() + kRest, 1, "model.safetensors");
  }
}

#ifdef ENGINE_HAS_COMPILER
TEST_CASE("Mixtral under policies: the tokens of the resident run") {
  // From ids, and from text through the tokenizer.
  const std::vector<std::pair<std::string, std::string>> models = {{"plain", "--prompt 'The router chooses'"},
                                                                   {"window", "--prompt-ids 1,5,9,2,60,33,17,4"},
                                                                   {"fused", "--prompt-ids 7"}};
  for (const auto& [model, prompt] : models) {
    CAPTURE(model);
    const auto run_under = [&, &model = model, &prompt = prompt](const std::string& policy) {
      const Outcome outcome = moec_run("tests/data/mixtral/" + model + " --policy " + policy + " " + prompt +
                                       " --tokens 24 --check --format json");
      CAPTURE(outcome.err);
      REQUIRE(outcome.code == 0);
      return json::parse(outcome.out);
    };
    const json resident = run_under("none");
    CHECK(resident.at("token_ids").size() == 24);
    CHECK((resident.at("text") == "") == (model != "plain"));
    for (const std::string policy : {"stdlib-policies/lru.moe", "stdlib-policies/mixtral_offloading.moe",
                                     "tests/engine/policies/mixtral_gate.moe"}) {
      CAPTURE(policy);
      const json result = run_under(policy);
      CHECK(result.at("prompt_ids") == resident.at("prompt_ids"));
      CHECK(result.at("token_ids") == resident.at("token_ids"));
      CHECK(result.at("exact") == true);
      CHECK(result.at("misses") > 0);
      if (policy.ends_with("gate.moe")) CHECK(result.at("prefetched") > 0);
    }
  }
}

TEST_CASE("policies") {
  const TemporaryFolder folder;
  const std::string policy = (folder.path() / "p.moe").string();
  const std::string arguments = kQwen.string() + " --policy " + policy + " --prompt hello --tokens 8 --format json";
  const auto run_with = [&](const std::string& text, const std::string& options = "") {
    engine_test::write_text(policy, text);
    return moec_run(arguments + " " + options);
  };
  const Outcome lru = run_with("policy small { cache { capacity = 6 scope = layer } }", "--check --link 1GB/s");
  CAPTURE(lru.err);
  REQUIRE(lru.code == 0);
  const json result = json::parse(lru.out);
  CHECK(result.at("policy") == "small");
  CHECK(result.at("exact") == true);
  CHECK(result.at("misses") > 0);

  // An override of the capacity: with all 64 experts resident nothing is loaded twice.
  const Outcome more = run_with("policy p { cache { capacity = 6 } }", "--slots 64");
  CHECK(json::parse(more.out).at("evictions") == 0);
  // A policy that fills a budget, and a budget that is too small for the policy.
  CHECK(run_with("policy p { cache { capacity = auto } }", "--budget 2MB").code == 0);
  const Outcome full = run_with("policy p { cache { capacity = 60 } }", "--budget 1MB");
  CHECK(full.code == 1);
  CHECK(full.out == "");
  // One of several policies, and their params.
  const std::string two = "policy a { cache { capacity = 8 } }\npolicy b { param n = 9 cache { capacity = n } }";
  CHECK(json::parse(run_with(two, "--policy-name b --set n=12").out).at("policy") == "b");
  CHECK(run_with(two, "--policy-name c").code == 1);

  const Outcome wrong = run_with("policy p { cache { capcity = 6 } }");
  CHECK(wrong.code == 1);
  CHECK(wrong.out == "");
  CHECK(wrong.err.find("p.moe:1:") != std::string::npos);
  // Valid, but not for this model: expert 99 of 16.
  const Outcome unbound = run_with("policy p { cache { capacity = 8 pin = [99] } }");
  CHECK(unbound.code == 1);
  CHECK(unbound.err.find("99") != std::string::npos);
}

TEST_CASE("a policy that moec compiled") {
  if (compiler.empty()) {
    std::puts("[SKIP] skipped: moec is not built");
    return;
  }
  const TemporaryFolder folder;
  const std::string text = "tests/engine/policies/lru.moe", policy = (folder.path() / "lru.so").string();
  const std::string compile = fmt::format("'{}' compile {} --model {} -o {}", compiler, text, kQwen.string(), policy);
  REQUIRE(std::system(compile.c_str()) == 0);
  const std::string rest = " --prompt hello --tokens 8 --check --format json";
  const Outcome loaded = moec_run(kQwen.string() + " --policy " + policy + rest);
  CAPTURE(loaded.err);
  REQUIRE(loaded.code == 0);
  const Outcome compiled = moec_run(kQwen.string() + " --policy " + text + rest);
  const json a = json::parse(loaded.out), b = json::parse(compiled.out);
  CHECK(a.at("exact") == true);
  for (const char* key : {"policy", "token_ids", "hits", "misses", "evictions"}) CHECK(a.at(key) == b.at(key));
  // Compiled for one model, it is not for another.
  const TemporaryFolder other;
  TinyModel().write(other.path());
  check_failure(other.path().string() + " --policy " + policy + " --prompt hello", 1, "lru.so");
}
#endif

#ifdef ENGINE_HAS_COMPILER
TEST_CASE("--watch: an edit takes over, a broken one is reported and changes nothing") {
  const TemporaryFolder folder;
  const auto at = [&](const char* name) { return (folder.path() / name).string(); };
  const auto write = [&](const std::string& text) {  // as editors do
    engine_test::write_text(at("new"), text);
    std::filesystem::rename(at("new"), at("p.moe"));
  };
  const auto wait_for = [&](const std::string& words) {
    for (int i = 0; i < 600; ++i) {
      if (engine_test::read_text(at("err")).find(words) != std::string::npos) return true;
      if (std::filesystem::exists(at("code"))) return false;  // the run is over
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  };
  write("policy first { cache { capacity = 25%  eviction = lru } }");
  engine_test::write_text(at("err"), "");
  // A link so slow that the run takes some seconds.
  const std::string command = fmt::format(
      "('{}' {} --watch '{}' --prompt 'It was a truth' --tokens 60 --link 3MB/s --check --format json >'{}' "
      "2>'{}'; echo $? >'{}') &",
      program, kQwen.string(), at("p.moe"), at("out"), at("err"), at("code"));
  REQUIRE(std::system(command.c_str()) == 0);
  REQUIRE(wait_for("watching"));
  write("policy broken { cache { capacity = 25%  eviction = lur } }");
  CHECK(wait_for("policy `first` stays"));
  write("policy second { cache { capacity = 25%  eviction = lfu } }");
  CHECK(wait_for("policy `second` takes over"));
  write("policy large { cache { capacity = 100% } }");
  CHECK(wait_for("policy `second` stays"));
  for (int i = 0; i < 1200 && !std::filesystem::exists(at("code")); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const std::string err = engine_test::read_text(at("err"));
  CAPTURE(err);
  CHECK(engine_test::read_text(at("code")) == "0\n");
  CHECK(err.find("did you mean `lru`") != std::string::npos);
  const json result = json::parse(engine_test::read_text(at("out")));
  CHECK(result.at("policy") == "second");
  CHECK(result.at("token_ids").size() == 60);
  CHECK(result.at("exact") == true);  // the resident run's bits, through the swap
}
#endif

TEST_CASE("--watch and --policy") {
  check_failure(kQwen.string() + " --prompt hello", 2, "give a --policy");
  check_failure(kQwen.string() + " --watch p.so --prompt hello", 2, "is not a .moe text");
  check_failure(kQwen.string() + " --watch p.moe --policy none --prompt hello", 2, "excludes");
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::puts("usage: engine_program MOEC_RUN [MOEC]");
    return 1;
  }
  program = argv[1];
  if (argc > 2) compiler = argv[2];
  doctest::Context context(argc, argv);
  return context.run();
}
