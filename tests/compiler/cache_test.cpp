// SPDX-License-Identifier: Apache-2.0
// The code cache: what it finds, what it refuses, what a second process gets from it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "compiler/build_id.h"
#include "compiler/code_cache.h"
#include "compiler/code_key.h"
#include "compiler/sha256.h"
#include "tests/compiler/small_engine.h"

namespace moe::test {
namespace {

namespace fs = std::filesystem;
using compiler::CodeCache;

/// A folder that is gone at the end of the scope.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "moe-cache-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path path;
};

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".so") found.push_back(entry.path());
  }
  return found;
}

/// The background writes: waits until there are `count` entries.
std::vector<fs::path> wait_for_entries(const fs::path& folder, size_t count) {
  for (int i = 0; i < 3000 && entries(folder).size() < count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  REQUIRE(entries(folder).size() == count);
  return entries(folder);
}

/// Whether compiling takes code from `folder`.
bool hits(const fs::path& folder, const moe_compile_options& options, const char* text = kPlain) {
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(5);
  const std::vector<fs::path> before = entries(folder);
  for (const fs::path& entry : before) fs::last_write_time(entry, long_ago);
  const PolicyHandle policy(text, options);
  return std::any_of(before.begin(), before.end(), [&](const fs::path& entry) {
    return fs::last_write_time(entry) > long_ago + std::chrono::hours(1);
  });
}

class CacheDir {
 public:
  explicit CacheDir(const fs::path& path) { setenv("MOE_CACHE_DIR", path.c_str(), 1); }
  ~CacheDir() { setenv("MOE_CACHE_DIR", "", 1); }
};

TEST_CASE("SHA-256 is that of the standard") {  // FIPS 180-4's examples, and coreutils' sha256sum
  CHECK(compiler::to_hex(compiler::sha256("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(compiler::to_hex(compiler::sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(compiler::to_hex(compiler::sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(compiler::to_hex(compiler::sha256(std::string(1'000'000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("an entry is found by its key, whole, and by no other") {
  const Folder folder;
  const CodeCache cache((folder.path / "moe").string());
  REQUIRE(cache.on());
  CHECK((fs::status(folder.path / "moe").permissions() & fs::perms::mask) == fs::perms::owner_all);
  CHECK(!cache.find("one"));
  REQUIRE(cache.store("one", "library"));
  const auto path = cache.find("one");
  REQUIRE(path);
  CHECK(read(*path).substr(0, 7) == "library");
  CHECK(!cache.find("two"));
  REQUIRE(cache.store("one", "another"));
  CHECK(read(*cache.find("one")).substr(0, 7) == "another");
  cache.remove("one");
  CHECK(!cache.find("one"));
}

TEST_CASE("a damaged, short or foreign entry is none, and is replaced") {
  const Folder folder;
  const CodeCache cache((folder.path / "moe").string());
  const std::string library(1000, 'x');
  REQUIRE(cache.store("key", library));
  const fs::path path = *cache.find("key");
  const std::string whole = read(path);
  for (size_t at = 0; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write(path, damaged);
    CHECK(!cache.find("key"));
  }
  for (size_t size = 0; size < whole.size(); size += 13) {
    write(path, whole.substr(0, size));
    CHECK(!cache.find("key"));
  }
  write(path, whole + "more");
  CHECK(!cache.find("key"));
  REQUIRE(cache.store("other", library));
  fs::copy_file(*cache.find("other"), path, fs::copy_options::overwrite_existing);  // of another key
  CHECK(!cache.find("key"));
  fs::remove(path);
  fs::create_symlink(*cache.find("other"), path);
  CHECK(!cache.find("key"));
  REQUIRE(cache.store("key", library));
  CHECK(cache.find("key"));
  fs::permissions(path, fs::perms::group_write, fs::perm_options::add);
  CHECK(!cache.find("key"));
  fs::remove(path);
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);  // must not block
  CHECK(!cache.find("key"));
}

TEST_CASE("a folder that others could write to, or that is not there by itself, is not used") {
  const Folder folder;
  const fs::path own = folder.path / "own";
  REQUIRE(CodeCache(own.string()).on());
  for (const fs::perms extra : {fs::perms::group_read, fs::perms::others_exec, fs::perms::group_write}) {
    fs::permissions(own, fs::perms::owner_all | extra);
    const CodeCache cache(own.string());
    CHECK(!cache.on());
    CHECK(cache.problem().find("0700") != std::string::npos);
    CHECK(!cache.find("key"));
    CHECK(!cache.store("key", "library"));
  }
  fs::permissions(own, fs::perms::owner_all);
  fs::create_directory_symlink(own, folder.path / "link");
  CHECK(CodeCache((folder.path / "link").string()).problem().find("symbolic link") != std::string::npos);
  write(folder.path / "file", "");
  CHECK(CodeCache((folder.path / "file").string()).problem().find("no folder") != std::string::npos);
  CHECK(!CodeCache((folder.path / "file" / "below").string()).on());
  CHECK(!CodeCache("").on());
  CHECK(CodeCache("").problem().empty());
}

TEST_CASE("many writers and readers at once: what is found is whole") {
  const Folder folder;
  const std::string path = (folder.path / "moe").string();
  REQUIRE(CodeCache(path).on());
  const auto work = [&](uint32_t seed) {
    const CodeCache cache(path);
    bool good = true;
    for (uint32_t i = 0; i < 100; ++i) {
      const std::string key = "key" + std::to_string((seed + i) % 3);
      const std::string library(20'000 + 100 * ((seed * 7 + i) % 50), static_cast<char>('a' + i % 26));
      good = good && cache.store(key, library);
      const auto found = cache.find(key);
      good = good && found.has_value();
    }
    return good;
  };
  std::vector<pid_t> children;
  for (uint32_t c = 0; c < 3; ++c) {
    const pid_t child = fork();
    if (child == 0) _exit(work(10 * c) ? 0 : 1);
    children.push_back(child);
  }
  std::vector<std::thread> threads;
  std::atomic<uint32_t> bad{0};
  for (uint32_t t = 0; t < 2; ++t) threads.emplace_back([&, t] { bad += work(100 * t) ? 0 : 1; });
  for (std::thread& thread : threads) thread.join();
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  CHECK(bad == 0);
  CHECK(entries(path).size() == 3);
  for (const auto& file : fs::directory_iterator(path)) CHECK(file.path().extension() == ".so");
}

TEST_CASE("the size is bounded: what was not used longest goes") {
  const Folder folder;
  const CodeCache cache((folder.path / "moe").string());
  const std::string library(CodeCache::kMostBytes / 8, 'x');
  for (int i = 0; i < 7; ++i) {
    REQUIRE(cache.store(std::to_string(i), library));
    fs::last_write_time(*cache.find(std::to_string(i)),
                        fs::file_time_type::clock::now() - std::chrono::minutes(100 - i));
  }
  REQUIRE(cache.find("0"));  // used
  write(folder.path / "moe" / ".9-9.tmp", "left behind");
  fs::last_write_time(folder.path / "moe" / ".9-9.tmp", fs::file_time_type::clock::now() - std::chrono::hours(2));
  REQUIRE(cache.store("7", library));
  REQUIRE(cache.store("8", library));
  CHECK(cache.find("0"));
  CHECK(!cache.find("1"));
  CHECK(!cache.find("2"));
  CHECK(cache.find("3"));
  CHECK(cache.find("8"));
  CHECK(!fs::exists(folder.path / "moe" / ".9-9.tmp"));
}

TEST_CASE("a key tells processors, features, compilers, builds, levels and policies apart") {
  const codegen::Host host{"LLVM 19", "znver3", "+avx2"};
  const std::string key = compiler::code_key("policy", host, 2, "b1");
  CHECK(key == compiler::code_key("policy", host, 2, "b1"));
  CHECK(key != compiler::code_key("policy2", host, 2, "b1"));
  CHECK(key != compiler::code_key("policy", {"LLVM 20", "znver3", "+avx2"}, 2, "b1"));
  CHECK(key != compiler::code_key("policy", {"LLVM 19", "znver4", "+avx2"}, 2, "b1"));
  CHECK(key != compiler::code_key("policy", {"LLVM 19", "znver3", "+avx2,+avx512f"}, 2, "b1"));
  CHECK(key != compiler::code_key("policy", host, 3, "b1"));
  CHECK(key != compiler::code_key("policy", host, 2, "b2"));
  CHECK(compiler::code_key("policy", host, 2, "").empty());
}

TEST_CASE("what comes from the cache decides as what was compiled") {
  const Folder folder;
  const CacheDir dir(folder.path / "moe");
  for (const char* text : {kPlain, kExpressions}) {
    CAPTURE(text);
    fs::remove_all(folder.path / "moe");
    const PolicyHandle made(text, options_for(1));
    wait_for_entries(folder.path / "moe", 2);
    REQUIRE(hits(folder.path / "moe", options_for(1), text));
    const PolicyHandle found(text, options_for(0));
    CHECK(std::string(moe_policy_manifest(made.handle)) == moe_policy_manifest(found.handle));
    CHECK(moe_policy_wait(found.handle) == MOE_OK);
    SmallEngine a(made.handle), b(found.handle);
    if (text == kExpressions) CHECK(a.decide(2000) == b.decide(2000));
  }
}

TEST_CASE("the background fills the cache too; another shape, setting or level is another entry") {
  const Folder folder;
  const fs::path cache = folder.path / "moe";
  const CacheDir dir(cache);
  const char* text =
      "policy p { param decay = 0.9  cache { capacity = 30%  eviction = lfu  frequency_decay = decay } }";
  {
    const PolicyHandle policy(text, options_for(0));
  }
  wait_for_entries(cache, 2);
  CHECK(hits(cache, options_for(0), text));
  moe_compile_options options = options_for(0);
  options.shape.num_layers = 5;
  CHECK(!hits(cache, options, text));
  wait_for_entries(cache, 4);
  options = options_for(0);
  const char* settings[] = {"decay=0.8"};
  options.settings = settings;
  options.num_settings = 1;
  {
    const PolicyHandle policy(text, options);
  }
  wait_for_entries(cache, 6);
  {
    const PolicyHandle policy(text, options_for(1, 1));
  }
  wait_for_entries(cache, 8);
  options = options_for(0);
  options.capacity_slots = 7;
  {
    const PolicyHandle policy(text, options);
  }
  wait_for_entries(cache, 10);
}

TEST_CASE("a comment changes nothing; what other files say, and findings, are not taken for granted") {
  const Folder folder;
  const fs::path cache = folder.path / "moe";
  const CacheDir dir(cache);
  {
    const PolicyHandle policy(kPlain, options_for(1));
  }
  wait_for_entries(cache, 2);
  CHECK(hits(cache, options_for(1), ("# new\n" + std::string(kPlain)).c_str()));
  // A policy with a warning has one entry, the one that is found after it was checked: the warning comes every time.
  const char* warned = "policy p { cache { capacity = 30% }  schedule { approximate = true } }";
  for (int round = 0; round < 2; ++round) {
    moe_policy* policy = nullptr;
    moe_diagnostics* findings = nullptr;
    const moe_compile_options options = options_for(1);
    REQUIRE(moe_policy_compile(warned, std::strlen(warned), &options, &policy, &findings) == MOE_OK);
    CHECK(moe_diagnostics_count(findings) == 1);
    moe_diagnostics_destroy(findings);
    moe_policy_destroy(policy);
    wait_for_entries(cache, 3);
  }
  // An imported file that changes is read again.
  write(folder.path / "base.moe", "policy base { cache { capacity = 30% } }");
  const std::string importer = "import \"base.moe\"\npolicy p extends base { }";
  const std::string name = (folder.path / "p.moe").string();
  moe_compile_options options = options_for(1);
  options.file_name = name.c_str();
  {
    const PolicyHandle policy(importer.c_str(), options);
  }
  wait_for_entries(cache, 4);
  CHECK(hits(cache, options, importer.c_str()));
  write(folder.path / "base.moe", "policy base { cache { capacity = 40% } }");
  CHECK(!hits(cache, options, importer.c_str()));
}

TEST_CASE("a damaged entry is compiled again and replaced") {
  const Folder folder;
  const fs::path cache = folder.path / "moe";
  const CacheDir dir(cache);
  {
    const PolicyHandle policy(kExpressions, options_for(1));
  }
  const fs::path entry = wait_for_entries(cache, 2).at(0);
  const std::string whole = read(entry);
  for (const fs::path& one : entries(cache)) write(one, whole.substr(0, whole.size() / 2));
  const PolicyHandle policy(kExpressions, options_for(1));
  SmallEngine engine(policy.handle);
  engine.decide(100);
  for (int i = 0; i < 3000 && read(entry) != whole; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(read(entry) == whole);
}

TEST_CASE("a folder that cannot be used is said, and the policy compiled") {
  const Folder folder;
  fs::create_directory(folder.path / "open");
  fs::permissions(folder.path / "open", fs::perms::all);
  const CacheDir dir(folder.path / "open");
  const PolicyHandle policy(kPlain, options_for(1));
  CHECK(std::string(moe_last_error()).find("the code cache") != std::string::npos);
  CHECK(fs::is_empty(folder.path / "open"));
}

TEST_CASE("this build says who it is") { CHECK(compiler::build_id().size() == 40); }

}  // namespace
}  // namespace moe::test
