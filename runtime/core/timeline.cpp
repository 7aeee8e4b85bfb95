// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/timeline.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "runtime/core/queues.h"
#include "runtime/core/write_file.h"

namespace moe::core {
namespace {

constexpr uint64_t kWords = 5;
constexpr uint32_t kLinks = 1, kLayers = 2;  // processes of the picture
constexpr const char* kQueueNames[kNumQueues] = {"demand", "background", "prefetch", "decode"};

class TraceEvents {
 public:
  void name(uint32_t process, uint32_t row, const std::string& text) {
    add("{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":\"%s\"}}",
        row == 0 ? "process_name" : "thread_name", process, row, text.c_str());
    add("{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"args\":{\"sort_index\":%u}}",
        row == 0 ? "process_sort_index" : "thread_sort_index", process, row, row == 0 ? process : row);
  }
  /// Microseconds from `zero`.
  void span(uint32_t process, uint32_t row, uint64_t begin_ns, uint64_t end_ns, const std::string& name,
            const char* category, const std::string& arguments) {
    add("{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,"
        "\"args\":{%s}}",
        name.c_str(), category, process, row, static_cast<double>(begin_ns - zero) / 1e3,
        static_cast<double>(end_ns - begin_ns) / 1e3, arguments.c_str());
  }
  std::string take() { return "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[" + std::move(text_) + "\n]}\n"; }

  uint64_t zero = 0;

 private:
  template <class... Values>
  void add(const char* format, Values... values) {
    char line[512];
    const int length = std::snprintf(line, sizeof line, format, values...);
    text_ += text_.empty() ? "\n" : ",\n";
    text_.append(line, static_cast<size_t>(length));
  }
  std::string text_;
};

std::string number(const char* name, uint64_t value) {
  return "\"" + std::string(name) + "\":" + std::to_string(value);
}

std::vector<TimelineEvent> events_of(const RecordRing& ring) {
  const std::vector<uint64_t> words = ring.copy();
  std::vector<TimelineEvent> events;
  for (size_t i = 0; i + kWords <= words.size(); i += kWords) {
    events.push_back({words[i + 1], words[i + 2], static_cast<uint32_t>(words[i + 3]),
                      static_cast<uint32_t>(words[i + 3] >> 32), words[i + 4]});
  }
  return events;
}

}  // namespace

Timeline::Timeline(uint64_t bytes, const moe_model_shape& shape, const Allocator& allocator)
    : shape_(shape),
      rings_{RecordRing(allocator, bytes / kNumTracks), RecordRing(allocator, bytes / kNumTracks),
             RecordRing(allocator, bytes / kNumTracks), RecordRing(allocator, bytes / kNumTracks)} {}

uint64_t Timeline::now() {
  return static_cast<uint64_t>(std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

void Timeline::add(Track track, const TimelineEvent& event) {
  std::unique_lock<std::mutex> lock;
  if (track == Track::waits) lock = std::unique_lock(waits_);
  RecordRing& ring = rings_[static_cast<uint32_t>(track)];
  ring.begin(kWords);
  ring.put(kWords);
  ring.put(event.begin_ns);
  ring.put(event.end_ns);
  ring.put(uint64_t{event.kind} << 32 | event.key);
  ring.put(event.amount);
  ring.commit();
}

std::string Timeline::json() const {
  std::array<std::vector<TimelineEvent>, kNumTracks> tracks;
  TraceEvents out;
  out.zero = UINT64_MAX;
  for (uint32_t i = 0; i < kNumTracks; ++i) {
    tracks[i] = events_of(rings_[i]);
    for (const TimelineEvent& event : tracks[i]) out.zero = std::min(out.zero, event.begin_ns);
  }
  out.name(kLinks, 0, "links");
  out.name(kLinks, 1, "disk to host");
  out.name(kLinks, 2, "host to fast tier");
  out.name(kLayers, 0, "layers");
  for (uint32_t layer = 0; layer < shape_.num_layers; ++layer) {
    out.name(kLayers, layer + 1, "layer " + std::to_string(layer));
  }
  for (const Track track : {Track::disk, Track::link}) {
    for (const TimelineEvent& event : tracks[static_cast<uint32_t>(track)]) {
      const std::string name = "L" + std::to_string(event.key / shape_.num_experts) + " E" +
                               std::to_string(event.key % shape_.num_experts) +
                               ((event.kind & kFailed) != 0 ? " failed" : "");
      out.span(kLinks, track == Track::disk ? 1 : 2, event.begin_ns, event.end_ns, name, kQueueNames[event.kind & 0xFF],
               number("bytes", event.amount));
    }
  }
  for (const TimelineEvent& event : tracks[static_cast<uint32_t>(Track::dispatches)]) {
    out.span(kLayers, event.key / shape_.num_experts + 1, event.begin_ns, event.end_ns, "dispatch", "dispatch",
             number("queued", event.amount) + "," + number("cancelled", event.kind));
  }
  for (const TimelineEvent& event : tracks[static_cast<uint32_t>(Track::waits)]) {
    out.span(kLayers, event.key / shape_.num_experts + 1, event.begin_ns, event.end_ns,
             "wait E" + std::to_string(event.key % shape_.num_experts), "wait",
             number("expert", event.key % shape_.num_experts));
  }
  return out.take();
}

Result<void> Timeline::write(const std::string& path) const { return write_file(path, json()); }

}  // namespace moe::core
