// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/cuda/conformance.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "runtime/precision/stream.h"

namespace moe::test {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes random_bytes(std::mt19937_64& random, size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; i += 8) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, std::min<size_t>(8, size - i));
  }
  return bytes;
}

const std::byte* allocate(Subject& subject, uint32_t num_slots, size_t slot_bytes) {
  Result<void*> tier = subject.backend->allocate(num_slots, slot_bytes);
  REQUIRE_MESSAGE(tier.ok(), (tier.ok() ? "" : tier.error().message));
  CHECK(reinterpret_cast<uintptr_t>(*tier) % 64 == 0);
  return static_cast<const std::byte*>(*tier);
}

/// Starts a copy in parts of `part` bytes.
void start(Subject& subject, uint32_t slot, const Bytes& bytes, size_t part) {
  for (size_t offset = 0; offset < bytes.size(); offset += part) {
    const size_t size = std::min(part, bytes.size() - offset);
    const bool last = offset + size == bytes.size();
    REQUIRE(subject.backend->start_copy(slot, offset, bytes.data() + offset, size, last).ok());
  }
}

Bytes read(const Subject& subject, const std::byte* tier, size_t size) {
  Bytes bytes(size);
  subject.read(bytes.data(), tier, size);
  return bytes;
}

void check_slots_are_apart(Subject subject) {
  std::mt19937_64 random(1);
  const std::byte* const tier = allocate(subject, 7, 4160);
  std::vector<Bytes> wanted;
  for (uint32_t slot = 0; slot < 7; ++slot) wanted.push_back(random_bytes(random, 4160 - slot));
  for (uint32_t slot = 0; slot < 7; ++slot) {
    subject.backend->expect_copy(slot, slot, slot % 2 == 0);
    start(subject, slot, wanted[slot], 1000);
  }
  for (uint32_t slot = 0; slot < 7; ++slot) REQUIRE(subject.backend->finish_copy(slot).ok());
  for (uint32_t slot = 0; slot < 7; ++slot) {
    CHECK(read(subject, tier + slot * size_t{4160}, wanted[slot].size()) == wanted[slot]);
  }
}

void check_parts_of_any_size(Subject subject) {
  constexpr size_t kSize = (5 << 20) + 192;
  std::mt19937_64 random(2);
  const std::byte* const tier = allocate(subject, 2, kSize);
  for (const size_t part : {kSize, size_t{4} << 20, size_t{1} << 20, size_t{256} << 10, size_t{99999}}) {
    CAPTURE(part);
    Bytes bytes = random_bytes(random, kSize - part % 7);
    const Bytes wanted = bytes;
    start(subject, 1, bytes, part);
    REQUIRE(subject.backend->finish_copy(1).ok());
    std::fill(bytes.begin(), bytes.end(), uint8_t{0});  // the source is the caller's again
    CHECK(read(subject, tier + kSize, wanted.size()) == wanted);
  }
}

void check_given_up(Subject subject) {
  constexpr size_t kSize = 3 << 20;
  std::mt19937_64 random(3);
  const std::byte* const tier = allocate(subject, 2, kSize);
  for (int round = 0; round < 16; ++round) {
    const size_t size = round < 8 ? kSize : 3000;
    const Bytes stale = random_bytes(random, size);
    const Bytes wanted = random_bytes(random, size);
    subject.backend->expect_copy(0, 5, false);
    // Ends early, at a place that no block of memory ends at.
    REQUIRE(subject.backend->start_copy(0, 0, stale.data(), size * 2 / 3 + 777, false).ok());
    subject.backend->expect_copy(0, 6, round % 2 == 0);
    start(subject, 0, wanted, 1 << 20);
    REQUIRE(subject.backend->finish_copy(0).ok());
    CHECK(read(subject, tier, size) == wanted);
  }
}

/// Memory that the backend gives for sources, beside other memory, in one copy.
void check_host_memory(Subject subject) {
  constexpr size_t kSize = (2 << 20) + 640;
  std::mt19937_64 random(5);
  const std::byte* const tier = allocate(subject, 2, kSize);
  Result<void*> memory = subject.backend->allocate_host(2 * kSize);
  if (!memory) {
    CHECK(memory.error().kind == Error::Kind::unsupported);
    return;
  }
  CHECK(reinterpret_cast<uintptr_t>(*memory) % 64 == 0);
  auto* const locked = static_cast<uint8_t*>(*memory);
  for (const size_t part : {kSize, size_t{300001}, size_t{70000}, size_t{4096}}) {
    const Bytes wanted = random_bytes(random, kSize);
    for (size_t offset = 0; offset < kSize; offset += part) {
      const size_t size = std::min(part, kSize - offset);
      // Parts lie apart from each other in the source; every third is in other memory.
      const uint8_t* source = wanted.data() + offset;
      if (offset / part % 3 != 2) {
        uint8_t* const place = locked + (offset / part % 2) * kSize + offset;
        std::memcpy(place, source, size);
        source = place;
      }
      REQUIRE(subject.backend->start_copy(1, offset, source, size, offset + size == kSize).ok());
    }
    REQUIRE(subject.backend->finish_copy(1).ok());
    CHECK(read(subject, tier + kSize, kSize) == wanted);
  }
}

/// Streams read what they waited for, though the slot is filled again as soon as their use of it is queued.
void check_streams(Subject subject) {
  constexpr size_t kSize = 40000;
  constexpr uint32_t kSlots = 3;
  constexpr int kRounds = 60;
  std::mt19937_64 random(4);
  const std::byte* const tier = allocate(subject, kSlots, kSize);
  void* const streams[] = {subject.make_stream(), subject.make_stream()};
  auto* const seen = static_cast<uint8_t*>(subject.host_memory(kRounds * 2 * kSize));
  std::vector<Bytes> wanted;
  for (int round = 0; round < kRounds; ++round) {
    const auto slot = static_cast<uint32_t>(random() % kSlots);
    const std::byte* const at = tier + slot * kSize;
    wanted.push_back(random_bytes(random, kSize));
    subject.backend->expect_copy(slot, static_cast<uint32_t>(round), random() % 2 == 0);
    start(subject, slot, wanted.back(), 1 + random() % kSize);
    // Before the copy has ended, or after.
    const bool early = random() % 2 == 0;
    if (!early) REQUIRE(subject.backend->finish_copy(slot).ok());
    for (int s = 0; s < 2; ++s) {
      REQUIRE(subject.backend->stream_wait(slot, streams[s]).ok());
      subject.queue_read(seen + (size_t(round) * 2 + static_cast<size_t>(s)) * kSize, at, kSize, streams[s]);
      REQUIRE(subject.backend->last_use(slot, streams[s]).ok());
    }
    REQUIRE(subject.backend->last_use(slot, nullptr).ok());
    if (early) REQUIRE(subject.backend->finish_copy(slot).ok());
  }
  for (void* const stream : streams) subject.synchronize(stream);
  for (size_t i = 0; i < 2 * wanted.size(); ++i) {
    CAPTURE(i);
    CHECK(std::memcmp(seen + i * kSize, wanted[i / 2].data(), kSize) == 0);
  }
  for (void* const stream : streams) subject.destroy_stream(stream);
}

/// Experts of two matrices and a bias in slots, from copies in host memory and on the device, in pieces of some rows,
/// and pieces of two experts in turns.
void check_coded(const std::function<Subject()>& make, precision::Format format) {
  Subject subject = make();
  constexpr uint64_t kRows = 24, kCols = 256, kBias = 96;
  constexpr size_t kMatrix = kRows * kCols * 2, kSlot = 2 * kMatrix + kBias * 2;
  std::mt19937_64 random(6);
  const std::byte* const tier = allocate(subject, 4, kSlot);
  const auto stream = precision::ExpertStream::plan(
      {{MOE_BF16, kRows, kCols, true}, {MOE_BF16, kRows, kCols, true}, {MOE_BF16, 1, kBias, false}}, {format});
  REQUIRE(stream.ok());
  const size_t extent = stream->size_bytes();
  Result<void*> memory = subject.backend->allocate_coded(4 * extent, 16384);
  REQUIRE_MESSAGE(memory.ok(), (memory.ok() ? "" : memory.error().message));
  CHECK(reinterpret_cast<uintptr_t>(*memory) % 64 == 0);
  std::vector<Bytes> coded, wanted;
  for (uint32_t i = 0; i < 4; ++i) {
    Bytes weights(kSlot);
    std::normal_distribution<float> normal;
    for (size_t n = 0; n < kSlot / 2; ++n) precision::store(MOE_BF16, weights.data(), n, normal(random));
    coded.emplace_back(extent);
    const std::vector<const void*> parts{weights.data(), weights.data() + kMatrix, weights.data() + 2 * kMatrix};
    REQUIRE(stream->encode(parts, coded.back().data()).ok());
    wanted.emplace_back(kSlot);
    uint8_t* const out = wanted.back().data();
    void* const to[] = {out, out + kMatrix, out + 2 * kMatrix};
    stream->decode(coded.back().data(), MOE_BF16, to);
    auto* const place = static_cast<uint8_t*>(*memory) + i * extent;
    REQUIRE(subject.backend->fill_coded(place, coded.back().data(), extent / 2).ok());
    REQUIRE(
        subject.backend->fill_coded(place + extent / 2, coded.back().data() + extent / 2, extent - extent / 2).ok());
  }
  // Slots 0 and 1 from the host, 2 and 3 from the device; urgent and not.
  const auto decode = [&](uint32_t slot, size_t part, uint64_t row, uint64_t count) {
    const bool on_device = slot >= 2;
    const void* const from = on_device ? static_cast<uint8_t*>(*memory) + slot * extent : coded[slot].data();
    const bool last = part == 2;
    if (part == 2) {
      const void* const bias = static_cast<const uint8_t*>(from) + stream->parts()[2].codes_offset;
      return on_device ? subject.backend->start_copy_on_device(slot, 2 * kMatrix, bias, kBias * 2, last)
                       : subject.backend->start_copy(slot, 2 * kMatrix, bias, kBias * 2, last);
    }
    const size_t offset = part * kMatrix + row * kCols * 2;
    return subject.backend->start_decode(slot, offset, stream->rows_of(from, part, row, count), MOE_BF16, on_device,
                                         last);
  };
  for (int round = 0; round < 4; ++round) {
    const uint64_t run = round % 2 == 0 ? kRows : 7;
    for (uint32_t slot = 0; slot < 4; ++slot) subject.backend->expect_copy(slot, slot, (slot + round) % 2 == 0);
    for (size_t part = 0; part < 3; ++part) {
      for (uint64_t row = 0; row < (part == 2 ? 1 : kRows); row += run) {
        for (uint32_t slot = 0; slot < 4; ++slot) REQUIRE(decode(slot, part, row, std::min(run, kRows - row)).ok());
      }
    }
    for (uint32_t slot = 0; slot < 4; ++slot) {
      REQUIRE(subject.backend->finish_copy(slot).ok());
      CHECK(read(subject, tier + slot * kSlot, kSlot) == wanted[slot]);
      start(subject, slot, Bytes(kSlot), kSlot);  // so that the next round starts from something else
      REQUIRE(subject.backend->finish_copy(slot).ok());
    }
  }
}

}  // namespace

void check_conformance(const std::function<Subject()>& make) {
  check_slots_are_apart(make());
  check_parts_of_any_size(make());
  check_given_up(make());
  check_host_memory(make());
  using precision::Format;
  for (const Format format : {Format::qint8, Format::qint4, Format::f8_e4m3fn, Format::hadamard4}) {
    check_coded(make, format);
  }
  Subject subject = make();
  CHECK(subject.backend->functions("no such functions").table == nullptr);
  if (subject.backend->has_streams()) check_streams(std::move(subject));
}

}  // namespace moe::test
