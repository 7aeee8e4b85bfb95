// SPDX-License-Identifier: Apache-2.0
// Imports from files: beside the importing file, from the standard library, and what is refused.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "compiler/driver.h"
#include "compiler/file_imports.h"

namespace {

using namespace moe;
namespace fs = std::filesystem;

/// A folder of its own, removed at the end.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "moe-imports-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  std::string path(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

struct Outcome {
  bool good = false;
  std::string text;
};

Outcome compile(const Folder& folder, const std::string& main) {
  compiler::FileImports imports(folder.path("std"));
  frontend::LowerOptions options;
  options.imports = &imports;
  ir::Diagnostics diagnostics;
  const ir::SourceFile source(folder.path("sub/main.moe"), main);
  Outcome outcome;
  outcome.good = frontend::compile_to_ir(source, options, diagnostics).has_value();
  outcome.text = ir::render_text(source, diagnostics, false);
  return outcome;
}

std::string importing(const std::string& path, const std::string& base) {
  return "import \"" + path + "\" policy main extends " + base + " { cache { ttl = 5 } }";
}

const std::string kA = "policy a { cache { capacity = 8 } }";

bool has(const Outcome& outcome, std::string_view piece) { return outcome.text.find(piece) != std::string::npos; }

}  // namespace

TEST_CASE("beside the importing file, above it, and from the standard library") {
  const Folder folder;
  folder.write("sub/a.moe", kA);
  folder.write("up.moe", "import \"sub/b.moe\" policy up extends b { cache { ttl = 4 } }");
  folder.write("sub/b.moe", "policy b { cache { capacity = 8 } }");
  folder.write("std/s.moe", "import \"t.moe\" policy s extends t { cache { ttl = 4 } }");
  folder.write("std/t.moe", "policy t { cache { capacity = 8 } }");
  for (const auto& [path, base] :
       {std::pair{"a.moe", "a"}, {"./a.moe", "a"}, {"../up.moe", "up"}, {"std/s.moe", "s"}}) {
    const Outcome outcome = compile(folder, importing(path, base));
    INFO(path << "\n" << outcome.text);
    CHECK(outcome.good);
  }
}

TEST_CASE("two paths to one file are one import") {
  const Folder folder;
  folder.write("sub/a.moe", kA);
  fs::create_symlink(folder.path("sub/a.moe"), folder.path("sub/link.moe"));
  const Outcome outcome =
      compile(folder, "import \"a.moe\" import \"link.moe\" policy m extends a { cache { ttl = 5 } }");
  INFO(outcome.text);
  CHECK(outcome.good);
  CHECK(has(outcome, "MOE2143"));
}

TEST_CASE("what is refused") {
  const Folder folder;
  folder.write("sub/a.moe", kA);
  folder.write("secret.txt", "not for the eyes of others");
  folder.write("secret.moe", kA);
  folder.write("std/out.moe", "import \"../secret.moe\" policy out extends a { cache { ttl = 5 } }");
  fs::create_symlink(folder.path("secret.moe"), folder.path("std/link.moe"));
  fs::create_directories(folder.path("sub/folder.moe"));
  REQUIRE(mkfifo(folder.path("sub/pipe.moe").c_str(), 0600) == 0);
  folder.write("sub/large.moe", kA + std::string(3 << 20U, ' '));

  const auto refused = [&](const std::string& path, std::string_view why) {
    const Outcome outcome = compile(folder, importing(path, "a"));
    INFO(path << "\n" << outcome.text);
    CHECK(!outcome.good);
    CHECK(has(outcome, why));
    CHECK(!has(outcome, "not for the eyes"));
  };
  refused("missing.moe", "MOE2140");
  refused("../secret.txt", "does not end in .moe");
  refused("std/../secret.moe", "leads out of the standard library");
  refused("std/link.moe", "leads out of the standard library");
  refused("std/none.moe", "MOE2140");
  refused("folder.moe", "is no regular file");
  refused("pipe.moe", "is no regular file");
  refused("large.moe", "MOE1001");
  refused("", "MOE2140");
  const Outcome outcome = compile(folder, importing("std/out.moe", "out"));
  CHECK(!outcome.good);
  CHECK(has(outcome, "leads out of the standard library"));
}

TEST_CASE("a cycle through the main file itself") {
  const Folder folder;
  folder.write("sub/a.moe", "import \"main.moe\" policy a { cache { capacity = 8 } }");
  folder.write("sub/main.moe", importing("a.moe", "a"));
  const Outcome outcome = compile(folder, importing("a.moe", "a"));
  CHECK(!outcome.good);
  CHECK(has(outcome, "MOE2141"));
}

TEST_CASE("the standard library is found from where the program is, or where MOE_STD says") {
  unsetenv("MOE_STD");
  const fs::path found = compiler::find_standard_library();
  REQUIRE(fs::exists(found / "lru.moe"));
  ir::Diagnostics diagnostics;
  std::ostringstream text;
  text << std::ifstream(found / "lru.moe").rdbuf();
  const frontend::ParseResult lru = frontend::parse(ir::SourceFile("lru.moe", text.str()), diagnostics);
  REQUIRE(lru.file);
  const ir::SourceFile source("x.moe", importing("std/lru.moe", lru.file->policies.at(0).name.text));
  CHECK(compiler::compile_to_module(source, {}, diagnostics));
  const Folder folder;
  folder.write("mine.moe", "policy mine { cache { capacity = 8 } }");
  setenv("MOE_STD", folder.path("").c_str(), 1);
  const ir::SourceFile other("x.moe", "import \"std/mine.moe\" policy main extends mine { cache { ttl = 5 } }");
  CHECK(compiler::compile_to_module(other, {}, diagnostics));
  unsetenv("MOE_STD");
}
