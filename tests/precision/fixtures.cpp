// SPDX-License-Identifier: Apache-2.0
#include "tests/precision/fixtures.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "replay/zip.h"

namespace moe::precision::test {
namespace fs = std::filesystem;

std::vector<float> Array::numbers(moe_dtype dtype) const {
  std::vector<float> values(size());
  for (size_t i = 0; i < values.size(); ++i) values[i] = load(dtype, bytes(), i);
  return values;
}

Archive::Archive(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  file_.assign(std::istreambuf_iterator<char>(file), {});
}

std::optional<size_t> Archive::find(const std::string& name) const {
  const auto directory = replay::read_zip_directory(file_);
  if (!directory) throw std::runtime_error(directory.error().message);
  for (size_t i = 0; i < directory->size(); ++i) {
    if ((*directory)[i].name == name + ".npy") return i;
  }
  return std::nullopt;
}

Array Archive::get(const std::string& name) const {
  const auto found = find(name);
  if (!found) throw std::runtime_error("no array " + name);
  auto contents = replay::extract(file_, (*replay::read_zip_directory(file_))[*found]);
  if (!contents) throw std::runtime_error(contents.error().message);
  Array array;
  array.storage = std::move(*contents);
  auto npy = replay::parse_npy(array.storage);
  if (!npy) throw std::runtime_error(npy.error().message);
  array.npy = std::move(*npy);
  return array;
}

MatrixView Case::matrix() const { return {dtype, input.npy.shape.at(0), input.npy.shape.at(1), input.bytes()}; }

namespace {

Case read_case(const fs::path& path) {
  const Archive archive(path.string());
  const std::string name = path.stem().string();
  Case result;
  result.name = name;
  const bool bf16 = name.find("_bf16_") != name.npos;
  result.dtype = bf16 ? MOE_BF16 : name.find("_f16_") != name.npos ? MOE_F16 : MOE_F32;
  for (const char* format : {"qint8", "qint4", "qint2", "qfloat8_e4m3fn", "qfloat8_e5m2"}) {
    if (name.find(format) != name.npos) result.options.format = *find_format(format);
  }
  result.options.zeropoint = name.starts_with("zp_");
  result.options.hqq = name.starts_with("hqq_");
  if (name.starts_with("axm1_")) result.options.axis = Axis::columns;
  if (const size_t at = name.find("_g"); at != name.npos && name[at + 2] != 'N') {
    result.options.group = static_cast<uint32_t>(std::stoul(name.substr(at + 2)));
  }
  result.input = archive.get("input");
  result.scale = archive.get("scale");
  if (archive.has("shift")) result.shift = archive.get("shift");
  if (archive.has("packed")) result.packed = archive.get("packed");
  result.codes = archive.get(result.packed ? "codes" : "data");
  result.dequant = archive.get("dequant");
  return result;
}

}  // namespace

int for_each_case(const std::function<void(const Case&)>& check) {
  int count = 0;
  std::vector<fs::path> folders{"tests/data/quanto"};
  if (const auto all = shared_data("quanto")) folders.emplace_back(*all);
  for (const fs::path& folder : folders) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() != ".npz" || entry.path().stem().extension() == ".io") continue;
      check(read_case(entry.path()));
      ++count;
    }
  }
  return count;
}

std::optional<std::string> shared_data(const std::string& relative) {
  const std::string path = "../shared/data/" + relative;
  if (fs::exists(path)) return path;
  std::printf("[SKIP] no %s beside the checkout: skipped\n", relative.c_str());
  return std::nullopt;
}

}  // namespace moe::precision::test
