// SPDX-License-Identifier: Apache-2.0
// Made by tests/oracles/libcachesim_counts.py with libcachesim 0.3.5. Do not edit.
#pragma once
#include <cstdint>

#include "ir/policy.h"

namespace moe::ir::test {

inline constexpr uint32_t kSequenceKeys = 500;
inline constexpr uint32_t kSequenceLength = 20000;

struct Count {
  Eviction rule;
  uint32_t sequence;
  uint32_t capacity;
  uint32_t hits;
};

inline constexpr Count kCounts[] = {
    {Eviction::sieve, 0, 20, 9769},       {Eviction::sieve, 0, 50, 12593},      {Eviction::sieve, 0, 100, 14627},
    {Eviction::sieve, 0, 200, 16644},     {Eviction::s3_fifo, 0, 20, 9818},     {Eviction::s3_fifo, 0, 50, 12450},
    {Eviction::s3_fifo, 0, 100, 14333},   {Eviction::s3_fifo, 0, 200, 16455},   {Eviction::arc, 0, 20, 9356},
    {Eviction::arc, 0, 50, 12034},        {Eviction::arc, 0, 100, 14027},       {Eviction::arc, 0, 200, 16254},
    {Eviction::lirs, 0, 20, 9570},        {Eviction::lirs, 0, 50, 12177},       {Eviction::lirs, 0, 100, 14180},
    {Eviction::lirs, 0, 200, 16440},      {Eviction::w_tinylfu, 0, 20, 9716},   {Eviction::w_tinylfu, 0, 50, 12550},
    {Eviction::w_tinylfu, 0, 100, 14523}, {Eviction::w_tinylfu, 0, 200, 16654}, {Eviction::sieve, 1, 20, 7147},
    {Eviction::sieve, 1, 50, 9430},       {Eviction::sieve, 1, 100, 11458},     {Eviction::sieve, 1, 200, 14000},
    {Eviction::s3_fifo, 1, 20, 8004},     {Eviction::s3_fifo, 1, 50, 10660},    {Eviction::s3_fifo, 1, 100, 12867},
    {Eviction::s3_fifo, 1, 200, 15344},   {Eviction::arc, 1, 20, 8548},         {Eviction::arc, 1, 50, 11262},
    {Eviction::arc, 1, 100, 13425},       {Eviction::arc, 1, 200, 15878},       {Eviction::lirs, 1, 20, 8680},
    {Eviction::lirs, 1, 50, 11333},       {Eviction::lirs, 1, 100, 13505},      {Eviction::lirs, 1, 200, 15825},
    {Eviction::w_tinylfu, 1, 20, 5155},   {Eviction::w_tinylfu, 1, 50, 7992},   {Eviction::w_tinylfu, 1, 100, 10498},
    {Eviction::w_tinylfu, 1, 200, 14133}, {Eviction::sieve, 2, 20, 4946},       {Eviction::sieve, 2, 50, 6298},
    {Eviction::sieve, 2, 100, 7598},      {Eviction::sieve, 2, 200, 11110},     {Eviction::s3_fifo, 2, 20, 4933},
    {Eviction::s3_fifo, 2, 50, 6501},     {Eviction::s3_fifo, 2, 100, 8886},    {Eviction::s3_fifo, 2, 200, 15414},
    {Eviction::arc, 2, 20, 4678},         {Eviction::arc, 2, 50, 6176},         {Eviction::arc, 2, 100, 8195},
    {Eviction::arc, 2, 200, 14338},       {Eviction::lirs, 2, 20, 4790},        {Eviction::lirs, 2, 50, 6259},
    {Eviction::lirs, 2, 100, 8397},       {Eviction::lirs, 2, 200, 15636},      {Eviction::w_tinylfu, 2, 20, 4462},
    {Eviction::w_tinylfu, 2, 50, 6557},   {Eviction::w_tinylfu, 2, 100, 9650},  {Eviction::w_tinylfu, 2, 200, 15995},
    {Eviction::sieve, 3, 20, 4508},       {Eviction::sieve, 3, 50, 9385},       {Eviction::sieve, 3, 100, 16728},
    {Eviction::sieve, 3, 200, 19880},     {Eviction::s3_fifo, 3, 20, 3255},     {Eviction::s3_fifo, 3, 50, 8743},
    {Eviction::s3_fifo, 3, 100, 16490},   {Eviction::s3_fifo, 3, 200, 19880},   {Eviction::arc, 3, 20, 6348},
    {Eviction::arc, 3, 50, 6844},         {Eviction::arc, 3, 100, 15979},       {Eviction::arc, 3, 200, 19880},
    {Eviction::lirs, 3, 20, 2327},        {Eviction::lirs, 3, 50, 8583},        {Eviction::lirs, 3, 100, 16741},
    {Eviction::lirs, 3, 200, 19880},      {Eviction::w_tinylfu, 3, 20, 3698},   {Eviction::w_tinylfu, 3, 50, 8544},
    {Eviction::w_tinylfu, 3, 100, 16472}, {Eviction::w_tinylfu, 3, 200, 19880},
};

}  // namespace moe::ir::test
