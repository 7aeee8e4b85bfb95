// SPDX-License-Identifier: Apache-2.0
// Memory for tables and tiers: from the engine's hooks when it gave some, else from the C++ runtime.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "moe/moe.h"

namespace moe {

/// Where memory comes from. A value: copies share the hooks. Any thread.
class Allocator {
 public:
  Allocator() = default;
  Allocator(moe_alloc_fn alloc, moe_free_fn free, void* user) : alloc_(alloc), free_(free), user_(user) {}

  /// `alignment`: a power of two. Throws std::bad_alloc; the C ABI turns that into MOE_NO_MEMORY.
  void* allocate(size_t size_bytes, size_t alignment) const {
    void* memory = alloc_ ? alloc_(user_, size_bytes, alignment)
                          : ::operator new(size_bytes, std::align_val_t{alignment}, std::nothrow);
    if (!memory) throw std::bad_alloc();
    return memory;
  }
  void release(void* memory, size_t size_bytes, size_t alignment) const noexcept {
    if (alloc_) {
      free_(user_, memory, size_bytes);
    } else {
      ::operator delete(memory, std::align_val_t{alignment});
    }
  }

 private:
  moe_alloc_fn alloc_ = nullptr;
  moe_free_fn free_ = nullptr;
  void* user_ = nullptr;
};

/// One block of memory without contents, aligned to a cache line.
class Block {
 public:
  static constexpr size_t kAlignment = 64;

  Block() = default;
  Block(const Allocator& allocator, size_t size_bytes)
      : allocator_(allocator), size_(size_bytes), data_(size_ ? allocator.allocate(size_, kAlignment) : nullptr) {}
  Block(Block&& other) noexcept { swap(other); }
  Block& operator=(Block&& other) noexcept {
    Block(std::move(other)).swap(*this);
    return *this;
  }
  ~Block() {
    if (data_) allocator_.release(data_, size_, kAlignment);
  }

  void* data() const { return data_; }
  std::byte* bytes() const { return static_cast<std::byte*>(data_); }
  size_t size_bytes() const { return size_; }

 private:
  void swap(Block& other) noexcept {
    std::swap(allocator_, other.allocator_);
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
  }
  Allocator allocator_;
  size_t size_ = 0;
  void* data_ = nullptr;
};

struct Uninitialized {};

/// An array of fixed length, value-initialised unless told otherwise. Holds atomics too: it never moves its elements.
template <class T>
class Array {
 public:
  static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= Block::kAlignment);

  Array() = default;
  Array(const Allocator& allocator, size_t count) : block_(allocator, bytes_of(count)) {
    std::uninitialized_value_construct_n(data(), count);
  }

  /// Without values: memory that is never written costs no pages.
  Array(const Allocator& allocator, size_t count, Uninitialized) : block_(allocator, bytes_of(count)) {
    static_assert(std::is_trivially_default_constructible_v<T>);
  }

  T* data() const { return static_cast<T*>(block_.data()); }
  size_t size() const { return block_.size_bytes() / sizeof(T); }
  T& operator[](size_t i) const { return data()[i]; }
  T* begin() const { return data(); }
  T* end() const { return data() + size(); }

 private:
  static size_t bytes_of(size_t count) {
    if (count > std::numeric_limits<size_t>::max() / sizeof(T)) throw std::bad_alloc();
    return count * sizeof(T);
  }
  Block block_;
};

}  // namespace moe
