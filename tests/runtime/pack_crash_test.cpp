// SPDX-License-Identifier: Apache-2.0
// A packer that is killed, runs out of disk, or finds its partial damaged: the old store stays, the next run goes on.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/store/extent_store.h"
#include "tests/runtime/pack_support.h"

namespace moe::test {
namespace {

/// Packs in a child that dies without a word after `steps` reports of progress. Whether it died so.
bool pack_and_die(const std::string& model, const std::string& store, int steps) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    pack::PackOptions options;
    options.progress = [&](uint64_t, uint64_t) {
      if (steps-- == 0) ::kill(::getpid(), SIGKILL);
    };
    ::_exit(pack_model(model, store, options).ok() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (!WIFSIGNALED(status)) REQUIRE(WEXITSTATUS(status) == 0);
  return WIFSIGNALED(status);
}

TEST_CASE("killed after any step, the next run goes on to the same store") {
  const TempDir model, out;
  write_small_model(model, 2, 4);
  const std::string whole = (out / "whole");
  REQUIRE(pack_model(model.path(), whole).ok());
  int steps = 0;
  uint64_t most_kept = 0;
  for (bool died = true; died; ++steps) {
    const std::string dir = out / ("killed" + std::to_string(steps));
    died = pack_and_die(model.path(), dir, steps);
    CHECK(std::filesystem::exists(dir) == !died);
    const auto packed = pack_model(model.path(), dir);
    REQUIRE_MESSAGE(packed.ok(), packed.error().message);
    CHECK(packed->was_there == !died);
    if (died) most_kept = std::max(most_kept, packed->kept);
    CHECK(files_of(dir) == files_of(whole));
    CHECK_FALSE(std::filesystem::exists(dir + ".partial"));
  }
  CHECK(steps > 9);
  CHECK(most_kept == 8);
}

TEST_CASE("a store that is replaced stays until the new one is complete") {
  const TempDir model, other, out;
  write_small_model(model, 2, 4);
  write_small_model(other, 2, 3);
  const std::string dir = (out / "store");
  REQUIRE(pack_model(other.path(), dir).ok());
  const auto old_files = files_of(dir);
  for (int steps = 0; steps < 12; steps += 3) {
    if (!pack_and_die(model.path(), dir, steps)) break;
    CHECK(files_of(dir) == old_files);
  }
  REQUIRE(pack_model(model.path(), dir).ok());
  CHECK(store::ExtentStore::open(dir)->index().num_experts == 4);
  CHECK_FALSE(std::filesystem::exists(dir + ".partial"));
  // And a partial of one model is no partial of another.
  CHECK(pack_and_die(model.path(), (out / "x"), 6));
  const auto packed = pack_model(other.path(), (out / "x"));
  REQUIRE(packed.ok());
  CHECK(packed->kept == 0);
  CHECK(files_of(out / "x") == old_files);
}

TEST_CASE("a damaged extent of a partial is written again") {
  const TempDir model, out;
  write_small_model(model, 2, 4);
  const std::string dir = (out / "store"), whole = (out / "whole");
  REQUIRE(pack_model(model.path(), whole).ok());
  REQUIRE(pack_and_die(model.path(), dir, 6));
  const std::string data = dir + ".partial/experts-00000.bin";
  std::string bytes = slurp(data);
  bytes[4096 + 50] ^= 1;
  write_file(data, bytes);
  const auto packed = pack_model(model.path(), dir);
  REQUIRE(packed.ok());
  CHECK(packed->kept > 0);
  CHECK(files_of(dir) == files_of(whole));
}

TEST_CASE("a damaged store is packed again, a good one is left alone") {
  const TempDir model, out;
  write_small_model(model);
  const std::string dir = (out / "store");
  REQUIRE(pack_model(model.path(), dir).ok());
  const auto files = files_of(dir);
  CHECK(pack_model(model.path(), dir)->was_there);
  std::string bytes = files.at("experts-00000.bin");
  bytes[100] ^= 1;
  write_file(dir + "/experts-00000.bin", bytes);
  CHECK_FALSE(pack_model(model.path(), dir)->was_there);
  CHECK(files_of(dir) == files);
}

TEST_CASE("a full disk is an error that says what to do, and the next run goes on") {
  const TempDir model, out;
  write_small_model(model, 2, 4);
  const std::string dir = (out / "store");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto packed = pack_model(model.path(), dir);
    const bool good = !packed.ok() && packed.error().kind == Error::Kind::io &&
                      packed.error().message.find(
                          "experts-00000.bin`: File too large; make room and run the same "
                          "command again") != std::string::npos;
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK_FALSE(std::filesystem::exists(dir));
  CHECK(pack_model(model.path(), dir).ok());
}

TEST_CASE("two packers do not write the same store") {
  const TempDir model, out;
  write_small_model(model);
  const std::string dir = (out / "store");
  std::filesystem::create_directory(dir + ".partial");
  const int fd = ::open((dir + ".partial").c_str(), O_RDONLY | O_DIRECTORY);
  REQUIRE(::flock(fd, LOCK_EX) == 0);
  CHECK(pack_model(model.path(), dir).error().message ==
        "another process writes `" + dir + ".partial`; wait until it is done");
  ::close(fd);
  CHECK(pack_model(model.path(), dir).ok());
}

TEST_CASE("a source that cannot be read is an error before anything is written") {
  const TempDir model, out;
  write_file(model / "model.safetensors.index.json", R"({"weight_map":{"a":"gone.safetensors"}})");
  const auto packed = pack_model(model.path(), (out / "store"));
  REQUIRE_FALSE(packed.ok());
  CHECK(packed.error().kind == Error::Kind::io);
  CHECK(packed.error().message.find("gone.safetensors: cannot open: No such file") != std::string::npos);
  CHECK(std::filesystem::is_empty(out.path()));
}

}  // namespace
}  // namespace moe::test
