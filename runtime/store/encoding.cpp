// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/encoding.h"

#include <algorithm>

#include "runtime/store/json.h"

namespace moe::store {
namespace {

using nlohmann::json;

constexpr const char* kLayoutName = "moe-stream-1";

precision::PartShape shape_of(const Part& part) {
  if (part.rank == 2) return {part.dtype, part.shape[0], part.shape[1], true};
  uint64_t elements = 1;
  for (uint32_t i = 0; i < part.rank; ++i) elements *= part.shape[i];
  return {part.dtype, 1, elements, false};
}

json describe(precision::Format format, const precision::ExpertStream& stream, const ExpertLayout& layout) {
  json parts = json::array();
  for (size_t i = 0; i < layout.parts.size(); ++i) {
    const precision::PartExtent& part = stream.parts()[i];
    parts.push_back({{"name", layout.parts[i].name},
                     {"format", precision::info(part.format).name},
                     {"group", part.group},
                     {"scales", part.scales_offset},
                     {"shifts", part.shifts_offset},
                     {"codes", part.codes_offset},
                     {"end", part.end_offset}});
  }
  return {{"layout", kLayoutName}, {"format", precision::info(format).name}, {"parts", parts}};
}

}  // namespace

Result<precision::ExpertStream> stream_in(precision::Format format, const ExpertLayout& layout) {
  const auto unsupported = [&](const std::string& reason) {
    return Error{Error::Kind::unsupported, "no copies in " + std::string(precision::info(format).name) + ": " + reason};
  };
  std::vector<precision::PartShape> shapes;
  for (const Part& part : layout.parts) {
    shapes.push_back(shape_of(part));
    // Planned alone first, so that the message can name it.
    if (const auto alone = precision::stream_size({shapes.back()}, {format}); !alone) {
      return unsupported("`" + part.name + "` (" + part.dtype_word + "): " + alone.error().message);
    }
  }
  const bool any = std::any_of(shapes.begin(), shapes.end(), [](const auto& shape) { return shape.quantized; });
  if (!any) return unsupported("the experts have no matrix");
  Result<precision::ExpertStream> stream = precision::ExpertStream::plan(shapes, {format});
  if (!stream) return unsupported(stream.error().message);
  return stream;
}

std::string encoding_of(precision::Format format, const precision::ExpertStream& stream, const ExpertLayout& layout) {
  return describe(format, stream, layout).dump();
}

Result<precision::ExpertStream> stream_of(const std::string& encoding, const ExpertLayout& layout,
                                          const std::string& where) {
  Result<json> object = parse_object(encoding, where + ": encoding");
  if (!object) return object.error();
  const auto text = [&](const char* name) {
    const auto found = object->find(name);
    return found != object->end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (text("layout") != kLayoutName) {
    return Error{Error::Kind::unsupported, where + ": its encoding is not " + kLayoutName + ", the one that is read"};
  }
  const std::optional<precision::Format> format = precision::find_format(text("format"));
  if (!format || *format == precision::Format::native) {
    return Error{Error::Kind::format, where + ": its encoding's `format` is not known"};
  }
  Result<precision::ExpertStream> stream = stream_in(*format, layout);
  if (!stream) return Error{Error::Kind::format, where + ": " + stream.error().message};
  if (*object != describe(*format, *stream, layout)) {
    return Error{Error::Kind::format, where + ": its encoding is not what its format makes of the experts"};
  }
  return stream;
}

}  // namespace moe::store
