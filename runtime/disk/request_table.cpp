// SPDX-License-Identifier: Apache-2.0
#include "runtime/disk/request_table.h"

namespace moe::disk {

RequestTable::RequestTable(uint32_t num_records)
    : records_({}, num_records),
      free_({}, num_records, true),
      inbox_({}, num_records, false),
      ordered_({}, num_records, false),
      active_({}, num_records),
      listed_({}, num_records) {}

RequestId RequestTable::submit(const Request& request) {
  const uint32_t i = free_.claim();
  if (i == AtomicBitset::kNone) return kNoRequest;
  Record& record = records_[i];
  record.request = request;
  if (++record.generation == 0) ++record.generation;
  record.order = next_order_.fetch_add(1, std::memory_order_relaxed);
  const RequestId name = id(i);
  inbox_.set(i);  // from here the record may be gone at any moment
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  return name;
}

void RequestTable::order(RequestId id, std::atomic<uint64_t> Record::* word, uint64_t value) {
  const auto i = static_cast<uint32_t>(id);
  if (id == kNoRequest || i >= size()) return;
  std::atomic<uint64_t>& order = records_[i].*word;
  uint64_t before = order.load(std::memory_order_relaxed);
  while (before < value && !order.compare_exchange_weak(before, value, std::memory_order_release)) {
  }
  ordered_.set(i);
  epoch_.fetch_add(1, std::memory_order_seq_cst);
}

void RequestTable::promote(RequestId id, Class cls, uint16_t priority) {
  if (cls > Class::prefetch) return;
  const uint64_t urgency = uint64_t{2 - static_cast<uint32_t>(cls)} << 16 | priority;
  order(id, &Record::urgency, (id & kUpperHalf) | urgency);
}

bool RequestTable::urged(uint32_t i, Class& cls, uint16_t& priority) const {
  const uint64_t urgency = records_[i].urgency.load(std::memory_order_acquire);
  if (urgency >> 32 != records_[i].generation) return false;
  cls = static_cast<Class>(2 - (urgency >> 16 & 3));
  priority = static_cast<uint16_t>(urgency);
  return true;
}

void RequestTable::activate(uint32_t i) {
  records_[i].active_at = num_active_;
  active_[num_active_++] = i;
}

void RequestTable::deactivate(uint32_t i) {
  const uint32_t place = records_[i].active_at;
  const uint32_t last = active_[--num_active_];
  active_[place] = last;
  records_[last].active_at = place;
}

void RequestTable::list(uint32_t i) {
  records_[i].listed = true;
  listed_[(first_listed_ + num_listed_++) % size()] = i;
}

uint32_t RequestTable::next_listed() {
  if (num_listed_ == 0) return kNone;
  const uint32_t i = listed_[first_listed_];
  first_listed_ = (first_listed_ + 1) % size();
  --num_listed_;
  records_[i].listed = false;
  return i;
}

void RequestTable::recycle(uint32_t i) {
  records_[i].stage = Stage::free;
  free_.set(i);
}

}  // namespace moe::disk
