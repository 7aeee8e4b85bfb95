// SPDX-License-Identifier: Apache-2.0
#include <lld/Common/Driver.h>
#include <llvm/Support/FileSystem.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>

#include <deque>
#include <fstream>
#include <mutex>

#include "codegen/module.h"

LLD_HAS_DRIVER(elf)

namespace moe::codegen {
namespace {

/// A file of its own name that is gone at the end of the scope.
class TemporaryFile {
 public:
  explicit TemporaryFile(const char* suffix) {
    llvm::SmallString<128> path;
    if (!llvm::sys::fs::createTemporaryFile("moe-policy", suffix, path)) path_ = path.str().str();
  }
  ~TemporaryFile() {
    if (!path_.empty()) llvm::sys::fs::remove(path_);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool write(const TemporaryFile& to, std::string_view bytes) {
  std::ofstream file(to.path(), std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  return file.good();
}

/// Runs LLD with `arguments` and the files.
Result<std::string> link(std::vector<const char*> arguments, std::string_view object) {
  std::deque<TemporaryFile> files;
  const auto put = [&](std::string_view bytes) { return write(files.emplace_back("o"), bytes); };
  const TemporaryFile out("out");
  bool written = put(object);
  for (const std::string_view shared : shared_objects()) written = written && put(shared);
  if (out.path().empty() || !written) {
    return Error{Error::Kind::io, "cannot write temporary files to link; is TMPDIR writable, and has it room?"};
  }
  arguments.insert(arguments.end(), {"--gc-sections", "-o", out.path().c_str()});
  // What is shared is taken only where the policy calls it.
  for (const TemporaryFile& file : files) {
    arguments.push_back(file.path().c_str());
    if (&file == &files.front()) arguments.push_back("--start-lib");
  }
  arguments.push_back("--end-lib");
  static std::mutex one_at_a_time;  // LLD keeps its state in globals
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  const lld::Result result = lld::lldMain(arguments, stream, stream, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0) return Error{Error::Kind::internal, "cannot link the policy: " + stream.str()};
  auto linked = llvm::MemoryBuffer::getFile(out.path(), /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!linked) return Error{Error::Kind::io, "cannot read the linked policy: " + linked.getError().message()};
  return (*linked)->getBuffer().str();
}

}  // namespace

Result<std::string> link_shared(std::string_view object, std::string_view soname) {
  const std::string name(soname);
  return link({"ld.lld", "-shared", "--threads=1",  // its own would stay until the process ends
               "-z", "now", "-z", "noexecstack", "--hash-style=gnu", "-soname", name.c_str(), "--build-id=sha1"},
              object);
}

Result<std::string> link_object_file(std::string_view object, std::string_view symbol) {
  const std::string name(symbol);
  return link({"ld.lld", "-r", "--threads=1", "-u", name.c_str()}, object);
}

}  // namespace moe::codegen
