// SPDX-License-Identifier: Apache-2.0
// Decision logs that lie, made byte by byte after runtime/base/decision_log.h: they are refused with a place and a
// reason, or explained; never a crash, a hang, or memory that the file does not justify.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>
#include <limits>
#include <memory>
#include <random>

#include "ir/interpreter.h"
#include "replay/explain.h"
#include "replay/native_state.h"
#include "runtime/decision/output_arrays.h"
#include "runtime/decision/state.h"

namespace moe::replay {
namespace {

constexpr uint32_t kLayers = 2, kExperts = 8, kTopK = 2;

/// A file as the format says, with the checksums that its bytes need.
class File {
 public:
  std::string json =
      R"({"policies":[{"serial":3,"manifest":"{}","program":""},{"serial":5,"manifest":"{}","program":"x"}]})";
  std::vector<uint64_t> words;

  void record(uint8_t kind, uint8_t flags, uint64_t number, uint32_t serial, uint32_t layer,
              const std::vector<uint64_t>& rest = {}) {
    words.push_back((rest.size() + 3) | uint64_t{kind} << 32 | uint64_t{flags} << 40);
    words.push_back(number);
    words.push_back(serial | uint64_t{layer} << 32);
    words.insert(words.end(), rest.begin(), rest.end());
  }
  /// One token that chooses experts a and b.
  void dispatch(uint64_t number, uint16_t a, uint16_t b, uint32_t serial = 3, uint64_t digest = 0) {
    record(3, 1, number, serial, number % kLayers, {1, 0, digest, a | uint64_t{b} << 16});
  }
  std::string bytes() const {
    std::string text = json;
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::string out = "MOEL";
    append_le<uint16_t>(out, 1);
    append_le<uint16_t>(out, 0);
    for (const uint32_t number : {kLayers, kExperts, kTopK, decision::kAbiVersion}) append_le(out, number);
    append_le<uint64_t>(out, text.size());
    append_le<uint64_t>(out, words.size());
    append_le(out, crc32c(as_bytes(out)));
    out.resize(64, '\0');
    out += text;
    for (const uint64_t word : words) append_le(out, word);
    append_le(out, crc32c(as_bytes(out)));
    return out;
  }
};

void seal(std::string& file) {
  const auto patch = [&](size_t offset, uint32_t value) { std::memcpy(file.data() + offset, &value, sizeof value); };
  if (file.size() < 68) return;
  patch(40, crc32c(as_bytes(file).first(40)));
  patch(file.size() - 4, crc32c(as_bytes(file).first(file.size() - 4)));
}

ir::BoundPolicy policy() {
  ir::BoundPolicy policy;
  policy.name = "p";
  policy.shape = {kLayers, kExperts, kTopK, 0};
  policy.eviction = ir::Eviction::lfu;
  policy.capacity = 4;
  return policy;
}

decision::Params params() {
  decision::Params p{};
  p.num_layers = kLayers;
  p.num_experts = kExperts;
  p.top_k = kTopK;
  p.capacity = 4;
  p.eviction = static_cast<uint32_t>(decision::Eviction::lfu);
  p.admit = decision::kAdmitAlways;
  p.protect_selected = 1;
  p.decay_interval = 100;
  p.freq_window = 100;
  p.frequency_decay = 0.95;
  p.budget = 4;
  p.monitor_window = 100;
  return p;
}

/// Reads, and explains all that can be found. Copied to the heap at its exact size, for sanitizers.
Result<DecisionLog> read(const std::string& file) {
  const std::vector<uint8_t> bytes(file.begin(), file.end());
  Result<DecisionLog> log = read_decision_log(bytes);
  if (!log) CHECK_FALSE(log.error().message.empty());
  if (!log) return log;
  const decision::Params constants = params();
  for (const LogRecord& record : log->records) {
    const Result<LoggedDispatch> found = find(*log, {record.number, {}});
    if (!found) continue;
    const Result<ir::ExplainedDecision> explained = explain(*log, *found, policy(), &constants);
    if (explained) CHECK_FALSE(print_text(*explained, policy(), {}).empty());
    if (!explained) CHECK_FALSE(explained.error().message.empty());
  }
  return log;
}

std::string error_of(const File& file) {
  const Result<DecisionLog> log = read(file.bytes());
  return log ? "" : log.error().message;
}

File good() {
  File file;
  file.record(1, 0, 0, 3, 0);
  for (uint16_t i = 0; i < 6; ++i) file.dispatch(i, i, static_cast<uint16_t>(7 - i % 4));
  return file;
}

TEST_CASE("the format, as it is documented") {
  File file = good();
  // Weights 0.5 and 0.25, key 9 dropped, and a hint for layer 1: expert 6 with 0.5.
  file.record(3, 3, 6, 3, 0,
              {1 | uint64_t{77} << 32, 1 | uint64_t{1} << 32, 5, 1 | uint64_t{2} << 16, 0x3E8000003F000000, 9,
               1 | uint64_t{1} << 32, 6, 0x3F000000});
  const std::string bytes = file.bytes();
  const Result<DecisionLog> log = read_decision_log(as_bytes(bytes));
  REQUIRE_MESSAGE(log.ok(), (log.ok() ? "" : log.error().message));
  CHECK(log->num_layers == kLayers);
  REQUIRE(log->policies.size() == 2);
  CHECK(log->policies[1].program == "x");
  REQUIRE(log->records.size() == 8);
  CHECK(log->records[0].kind == LogRecord::Kind::start);
  CHECK(log->records[3].ids == std::vector<int32_t>{2, 5});
  CHECK(log->records[3].weights.empty());
  const LogRecord& last = log->records[7];
  CHECK(last.request == 77);
  CHECK(last.digest == 5);
  CHECK(last.decode);
  CHECK(last.weights == std::vector<float>{0.5f, 0.25f});
  CHECK(last.dropped == std::vector<uint32_t>{9});
  REQUIRE(last.hints.size() == 1);
  CHECK(last.hints[0].layer == 1);
  CHECK(last.hints[0].ids == std::vector<uint32_t>{6});
  CHECK(last.hints[0].probabilities == std::vector<float>{0.5f});
}

TEST_CASE("what contradicts itself is refused") {
  const auto with = [](auto change) {
    File file = good();
    change(file);
    return error_of(file);
  };
  CHECK(with([](File&) {}).empty());
  CHECK(with([](File& f) { f.json = "[]"; }).find("`policies`") != std::string::npos);
  CHECK(with([](File& f) { f.json = "{\"policies\":[{\"serial\":3}]}"; }).find("`policies`") != std::string::npos);
  CHECK(with([](File& f) { f.json = "{\"policies\":7}"; }).find("`policies`") != std::string::npos);
  CHECK(with([](File& f) { f.json = std::string(100000, '['); }).find("`policies`") != std::string::npos);
  CHECK(with([](File& f) { f.words[0] = 0; }).find("impossible size") != std::string::npos);
  CHECK(with([](File& f) { f.words[0] |= 0xFFFFFFFF; }).find("impossible size") != std::string::npos);
  CHECK(with([](File& f) { f.words[0] = 3 | uint64_t{4} << 32; }).find("does not hold") != std::string::npos);
  CHECK(with([](File& f) { f.words[0] = 3 | uint64_t{1} << 50; }).find("unknown flags") != std::string::npos);
  CHECK(with([](File& f) { f.words[2] = 4; }).find("does not name") != std::string::npos);
  CHECK(with([](File& f) { f.words[2] = 3 | uint64_t{kLayers} << 32; }).find("of a layer") != std::string::npos);
  CHECK(with([](File& f) { f.dispatch(5, 1, 2); }).find("out of order") != std::string::npos);
  CHECK(with([](File& f) { f.dispatch(7, 1, 2); }).find("out of order") != std::string::npos);
  CHECK(with([](File& f) { f.dispatch(6, 1, 2, 5); }).find("out of order") != std::string::npos);
  const auto holds = [&](uint8_t flags, const std::vector<uint64_t>& rest) {
    return with([&](File& f) { f.record(3, flags, 6, 3, 0, rest); }).find("does not hold") == std::string::npos;
  };
  const uint64_t ids = 1 | uint64_t{2} << 16;
  CHECK(holds(1, {1, 0, 0, ids}));
  CHECK_FALSE(holds(1, {0, 0, 0}));                                    // no token
  CHECK_FALSE(holds(1, {0xFFFFFFFF, 0, 0, ids}));                      // tokens that are not there
  CHECK_FALSE(holds(1, {1, 0, 0}));                                    // no ids
  CHECK_FALSE(holds(1, {1, 0, 0, ids, 0}));                            // a word too many
  CHECK_FALSE(holds(3, {1, 0, 0, ids}));                               // no weights
  CHECK_FALSE(holds(5, {1, 0, 0, ids, 0x4000000000000000, 0, 0, 0}));  // a probability of 2
  CHECK_FALSE(holds(1, {1, 0xFFFFFFFF, 0, ids}));                      // dropped keys that are not there
  CHECK_FALSE(holds(1, {1, uint64_t{0xFFFFFFFF} << 32, 0, ids}));      // hints likewise
  CHECK_FALSE(holds(1, {1, uint64_t{1} << 32, 0, ids, uint64_t{0xFFFFFFFF} << 32}));
  CHECK_FALSE(holds(1, {1, uint64_t{1} << 32, 0, ids, kLayers}));
}

TEST_CASE("headers: magic, version, sizes, checksums") {
  const std::string file = good().bytes();
  REQUIRE(read(file).ok());
  for (size_t size = 0; size < file.size(); ++size) CHECK_FALSE(read(file.substr(0, size)).ok());
  CHECK_FALSE(read(file + '\0').ok());
  for (size_t at = 0; at < 44; ++at) {  // one byte of the header, with and without new checksums
    std::string bad = file;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    CHECK_FALSE(read(bad).ok());
    seal(bad);
    const bool free_to_change =
        at == 6 || at == 7 || (at >= 8 && at < 24) || at >= 40;  // reserved, shape, ABI, checksum
    if (!free_to_change) CHECK_FALSE(read(bad).ok());
  }
  for (size_t at = 64; at < file.size(); ++at) {
    std::string bad = file;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    CHECK_FALSE(read(bad).ok());  // the checksum
  }
  std::string newer = file;
  newer[4] = 2;
  CHECK(read(newer).error().message == "decision log of version 2; this program reads version 1");
}

/// A state that a run of the kernel left.
std::vector<uint64_t> a_state(const decision::Params& p) {
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  const size_t size = decision::state_bytes(p);
  const std::unique_ptr<void, Free> block(std::aligned_alloc(64, size));
  decision::init_state(p, block.get());
  decision::OutputArrays arrays(decision::output_sizes(p, 1, 0));
  for (int32_t i = 0; i < 20; ++i) {
    const int32_t ids[] = {i % 8, (i * 3 + 1) % 8 == i % 8 ? (i + 1) % 8 : (i * 3 + 1) % 8};
    decision::Input in{};
    in.layer = static_cast<uint32_t>(i) % kLayers;
    in.num_tokens = 1;
    in.top_k = kTopK;
    in.ids = ids;
    in.phase = 1;
    decision::Output out = arrays.output();
    REQUIRE(decision::static_dispatch(p, block.get(), &in, &out) == decision::kOk);
  }
  std::vector<uint64_t> words(size / 8);
  std::memcpy(words.data(), block.get(), size);
  return words;
}

TEST_CASE("states: keys, sizes and counts that no policy can have") {
  for (const decision::Eviction rule : {decision::Eviction::lfu, decision::Eviction::freq_threshold}) {
    decision::Params p = params();
    p.eviction = static_cast<uint32_t>(rule);
    const std::vector<uint64_t> state = a_state(p);
    const auto bytes_of = [](const std::vector<uint64_t>& words) {
      return Bytes(reinterpret_cast<const uint8_t*>(words.data()), words.size() * 8);
    };
    const Result<ir::Snapshot> good = read_state(p, bytes_of(state));
    REQUIRE(good.ok());
    CHECK(good->instances.front().residents.size() == 4);
    CHECK(good->instances.front().accesses == 40);
    CHECK_FALSE(read_state(p, bytes_of(state).first(8)).ok());
    ir::BoundPolicy bound = policy();
    bound.eviction = static_cast<ir::Eviction>(rule);
    std::mt19937_64 random(5);
    size_t refused = 0;
    for (int i = 0; i < 20000; ++i) {
      std::vector<uint64_t> bad = state;
      for (uint64_t n = 1 + random() % 3; n > 0; --n) {
        uint64_t& word = bad[random() % bad.size()];
        const uint64_t values[] = {
            0, ~uint64_t{0}, word ^ uint64_t{1} << random() % 64, random() % 16, 0x7FF8000000000000, random()};
        word = values[random() % std::size(values)];
      }
      const Result<ir::Snapshot> snapshot = read_state(p, bytes_of(bad));
      refused += snapshot ? 0 : 1;
      if (!snapshot) continue;
      ir::Interpreter interpreter(bound);
      interpreter.restore(*snapshot);
      for (int32_t id = 0; id < 8; ++id) {
        const int32_t ids[] = {id, (id + 3) % 8};
        ir::DecisionAccount account;
        interpreter.set_account(&account);
        ir::DispatchInput input;
        input.layer = static_cast<uint32_t>(id) % kLayers;
        input.num_tokens = 1;
        input.top_k = kTopK;
        input.ids = ids;
        CHECK(interpreter.dispatch(input).has_value());
      }
    }
    CHECK(refused > 100);
  }
}

TEST_CASE("mutations under good checksums") {
  File file = good();
  file.record(2, 0, 6, 3, 0, a_state(params()));
  for (uint16_t i = 6; i < 12; ++i) file.dispatch(i, static_cast<uint16_t>(i % 8), static_cast<uint16_t>((i + 3) % 8));
  const std::string bytes = file.bytes();
  REQUIRE(read(bytes).ok());
  std::mt19937 random(17);
  size_t accepted = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string bad = bytes;
    for (uint32_t n = 1 + static_cast<uint32_t>(random() % 4); n > 0; --n) {
      const size_t at = 64 + random() % (bad.size() - 68);
      if (random() % 8 == 0) {
        bad.erase(at, 8 * (random() % 4));
      } else {
        bad[at] = static_cast<char>(random() % 3 == 0 ? random() : bad[at] ^ (1 << random() % 8));
      }
    }
    if (bad.size() >= 68 && bad.size() % 8 == 4) {  // the words that are left
      const uint64_t json = read_le<uint64_t>(as_bytes(bad), 24);
      const uint64_t words = (bad.size() - 68 - json) / 8;
      std::memcpy(bad.data() + 32, &words, 8);
    }
    seal(bad);
    accepted += read(bad).ok() ? 1 : 0;
  }
  CHECK(accepted > 0);
}

}  // namespace
}  // namespace moe::replay
