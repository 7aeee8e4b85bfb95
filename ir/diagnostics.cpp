// SPDX-License-Identifier: Apache-2.0
#include "ir/diagnostics.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

namespace moe::ir {
namespace {

// A line of a hostile file may be a megabyte long; a terminal shows this much of it, around the caret.
constexpr size_t kMaxSnippetBytes = 160;
constexpr size_t kSnippetLead = 60;

constexpr std::string_view kReset = "\033[0m";
constexpr std::string_view kBold = "\033[1m";

std::string_view severity_word(Severity severity) {
  switch (severity) {
    case Severity::error:
      return "error";
    case Severity::warning:
      return "warning";
    case Severity::note:
      break;
  }
  return "note";
}

std::string_view severity_color(Severity severity) {
  switch (severity) {
    case Severity::error:
      return "\033[1;31m";
    case Severity::warning:
      return "\033[1;35m";
    case Severity::note:
      break;
  }
  return "\033[1;36m";
}

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80; }

// Text of the author goes to a terminal: control characters must not reach it.
char printable(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7F) ? c : '?';
}

// The line and, below it, a caret under each character of [begin, end).
void append_snippet(std::string& out, std::string_view line, size_t begin, size_t end) {
  size_t first = 0;
  if (line.size() > kMaxSnippetBytes && begin > kSnippetLead) first = begin - kSnippetLead;
  while (first > 0 && first < line.size() && continues_character(line[first])) --first;
  size_t last = std::min(line.size(), first + kMaxSnippetBytes);
  while (last < line.size() && continues_character(line[last])) ++last;
  end = std::min(std::max(end, begin + 1), std::max(last, begin + 1));

  std::string text;
  std::string carets;
  if (first > 0) text += "...", carets += "   ";
  for (size_t i = first; i < last; ++i) {
    text += printable(line[i]);
    if (continues_character(line[i]) || i >= end) continue;
    carets += i >= begin ? '^' : (line[i] == '\t' ? '\t' : ' ');
  }
  if (begin >= last) carets += '^';
  if (last < line.size()) text += "...";
  out += "  " + text + "\n  " + carets + "\n";
}

void append_place(std::string& out, const SourcePlace& place, bool is_default) {
  out += place.file->name();
  if (is_default) return;
  const LineColumn at = place.file->locate(place.span.begin);
  out += ':' + std::to_string(at.line) + ':' + std::to_string(at.column);
}

void append_line_of(std::string& out, const SourcePlace& place, bool is_default) {
  if (is_default) return;
  const SourceFile& file = *place.file;
  const SourceSpan span = place.span;
  const LineColumn from = file.locate(span.begin);
  const LineColumn to = file.locate(std::max(span.begin, span.end));
  const std::string_view line = file.line(from.line);
  const size_t end = to.line == from.line ? to.column - 1 : line.size();
  append_snippet(out, line, from.column - 1, end);
}

nlohmann::ordered_json place_json(const SourcePlace& place) {
  const SourceFile& file = *place.file;
  const SourceSpan span = place.span;
  const LineColumn from = file.locate(span.begin);
  const LineColumn to = file.locate(std::max(span.begin, span.end));
  return {{"line", from.line},       {"column", from.column}, {"end_line", to.line},
          {"end_column", to.column}, {"begin", span.begin},   {"end", span.end}};
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// Edits, with a swap of neighbours as one (optimal string alignment), case ignored.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> previous(b.size() + 1);
  std::vector<size_t> current(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + change});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace

Diagnostic& Diagnostics::error(std::string_view code, SourceSpan span, std::string message, std::string hint) {
  items_.push_back({Severity::error, std::string(code), span, std::move(message), std::move(hint), {}, {}});
  return items_.back();
}

Diagnostic& Diagnostics::warning(std::string_view code, SourceSpan span, std::string message, std::string hint) {
  items_.push_back({Severity::warning, std::string(code), span, std::move(message), std::move(hint), {}, {}});
  return items_.back();
}

void Diagnostics::add_imported(uint32_t base, std::shared_ptr<const SourceFile> file) {
  imported_.push_back({base, std::move(file)});
}

SourcePlace Diagnostics::place_of(const SourceFile& main, SourceSpan span) const {
  const auto after = std::upper_bound(imported_.begin(), imported_.end(), span.begin,
                                      [](uint32_t offset, const Imported& one) { return offset < one.base; });
  if (after == imported_.begin()) return {&main, span};
  const Imported& found = *std::prev(after);
  return {found.file.get(), {span.begin - found.base, span.end - found.base}};
}

void Diagnostics::append(const Diagnostics& other, uint32_t base) {
  for (Diagnostic moved : other.items_) {
    moved.span = {moved.span.begin + base, moved.span.end + base};
    if (!moved.related_span.is_default()) {
      moved.related_span = {moved.related_span.begin + base, moved.related_span.end + base};
    }
    items_.push_back(std::move(moved));
  }
}

void Diagnostics::remove_if(size_t first, const std::function<bool(const Diagnostic&)>& is_unwanted) {
  const auto from = items_.begin() + static_cast<ptrdiff_t>(std::min(first, items_.size()));
  items_.erase(std::remove_if(from, items_.end(), is_unwanted), items_.end());
}

void Diagnostics::sort() {
  std::stable_sort(items_.begin(), items_.end(),
                   [](const Diagnostic& a, const Diagnostic& b) { return a.span.begin < b.span.begin; });
}

bool Diagnostics::has_errors() const { return num_errors() > 0; }

size_t Diagnostics::num_errors() const {
  return static_cast<size_t>(
      std::count_if(items_.begin(), items_.end(), [](const Diagnostic& d) { return d.severity == Severity::error; }));
}

size_t Diagnostics::num_warnings() const {
  return static_cast<size_t>(
      std::count_if(items_.begin(), items_.end(), [](const Diagnostic& d) { return d.severity == Severity::warning; }));
}

std::string render_text(const SourceFile& file, const Diagnostics& diagnostics, bool color) {
  const auto paint = [color](std::string_view style, std::string text) {
    return color ? std::string(style) + text + std::string(kReset) : text;
  };
  std::string out;
  for (const Diagnostic& d : diagnostics.items()) {
    const SourcePlace at = diagnostics.place_of(file, d.span);
    std::string place;
    append_place(place, at, d.span.is_default());
    out += paint(kBold, place + ":") + " ";
    out += paint(severity_color(d.severity), std::string(severity_word(d.severity)) + "[" + d.code + "]:");
    out += " " + d.message + "\n";
    append_line_of(out, at, d.span.is_default());
    if (!d.hint.empty()) out += "  " + paint(kBold, "hint:") + " " + d.hint + "\n";
    if (d.related_span.is_default()) continue;
    const SourcePlace related = diagnostics.place_of(file, d.related_span);
    place.clear();
    append_place(place, related, false);
    out += paint(kBold, place + ":") + " " + paint(severity_color(Severity::note), "note:") + " " + d.related_message;
    out += "\n";
    append_line_of(out, related, false);
  }
  return out;
}

std::string render_json(const SourceFile& file, const Diagnostics& diagnostics) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Diagnostic& d : diagnostics.items()) {
    const SourcePlace at = diagnostics.place_of(file, d.span);
    nlohmann::ordered_json one = {{"file", at.file->name()},
                                  {"severity", severity_word(d.severity)},
                                  {"code", d.code},
                                  {"message", d.message},
                                  {"hint", d.hint}};
    one.update(place_json(at));
    if (!d.related_span.is_default()) {
      const SourcePlace related = diagnostics.place_of(file, d.related_span);
      one["related"] = place_json(related);
      if (related.file != at.file) one["related"]["file"] = related.file->name();
      one["related"]["message"] = d.related_message;
    }
    all.push_back(std::move(one));
  }
  // A file name or a quoted word need not be UTF-8; the output always is.
  return all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string_view nearest_word(std::string_view word, const std::vector<std::string_view>& candidates) {
  constexpr size_t kLongestWord = 64;  // nobody meant a longer one; keeps the cost linear on hostile input
  if (word.empty() || word.size() > kLongestWord) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const size_t longer = std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
    if (longer >= best_distance) continue;
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < std::max(word.size(), candidate.size())) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (!best.empty()) return best;
  // A word cut short is a common slip: `gpu` for `gpu_only`.
  for (const std::string_view candidate : candidates) {
    if (word.size() >= 3 && starts_with_ignoring_case(candidate, word)) return candidate;
  }
  return {};
}

}  // namespace moe::ir
