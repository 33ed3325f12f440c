#include "engine/kv_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace carat {
namespace {

// layers of zero: no such group.
KvLayout layout_of(int32_t sliding_block, int32_t full_block, int32_t sliding_slots, int32_t full_slots, int32_t window) {
  KvLayout l;
  l.groups[kSlidingGroup] = {sliding_slots, 1, 1, false, window};
  l.groups[kFullGroup] = {full_slots, 1, 1, false, 0};
  l.block_positions[kSlidingGroup] = sliding_block;
  l.block_positions[kFullGroup] = full_block;
  l.slots_per_block[kSlidingGroup] = sliding_slots;
  l.slots_per_block[kFullGroup] = full_slots;
  l.page_bytes = 64;
  return l;
}

const std::vector<KvLayout>& layouts() {
  static const std::vector<KvLayout> all = {
      layout_of(32, 64, 3, 1, 80), layout_of(64, 32, 2, 1, 100), layout_of(32, 32, 1, 1, 32),  layout_of(32, 32, 2, 1, 1),
      layout_of(32, 64, 0, 1, 0),  layout_of(32, 32, 2, 0, 70),  layout_of(32, 128, 5, 1, 64),
  };
  return all;
}

// A sequence and a naive memory: what lies in a slot is a hash of all tokens up to the position, so that a wrong block shows.
struct World {
  struct Seq {
    SequenceBlocks blocks;
    std::vector<int32_t> tokens;
  };
  KvPool pool;
  std::vector<std::vector<uint64_t>> memory;  // [slot][position in block]
  std::vector<std::unique_ptr<Seq>> seqs;
  uint64_t next_private = 1;

  World(const KvLayout& layout, int32_t slots) : pool(layout, slots), memory(static_cast<size_t>(slots), std::vector<uint64_t>(128)) {}

  static std::vector<uint64_t> contents(const Seq& s) {
    std::vector<uint64_t> h;
    uint64_t x = s.blocks.salt * 77 + 5;
    for (const int32_t t : s.tokens) h.push_back(x = (x ^ static_cast<uint64_t>(t + 1)) * 0x9e3779b97f4a7c15u + (x >> 29));
    return h;
  }
  template <typename Fn>
  void each_slot(const Seq& s, int32_t group, int32_t position, Fn fn) {
    const KvLayout& l = pool.layout();
    const BlockTableView t = s.blocks.tables[group].view();
    const int32_t block = position / l.block_positions[group] - t.first_block;
    ASSERT_GE(block, 0) << "group " << group << " position " << position;
    ASSERT_LT(block, t.num_blocks);
    for (int32_t i = 0; i < l.slots_per_block[group]; ++i) {
      const auto slot = static_cast<size_t>(t.slots[block * l.slots_per_block[group] + i]);
      fn(memory[slot][static_cast<size_t>(position % l.block_positions[group])], static_cast<uint64_t>(group * 16 + i));
    }
  }
  void write(const Seq& s, int32_t from, int32_t to) {
    const std::vector<uint64_t> h = contents(s);
    for (int32_t g = 0; g < kNumKvGroups; ++g) {
      if (pool.layout().slots_per_block[g] == 0) continue;
      for (int32_t p = from; p < to; ++p) each_slot(s, g, p, [&](uint64_t& m, uint64_t tag) { m = h[static_cast<size_t>(p)] + tag; });
    }
  }
  // All that a row at `row` may see, itself excluded.
  void verify(const Seq& s, int32_t row) {
    const std::vector<uint64_t> h = contents(s);
    for (int32_t g = 0; g < kNumKvGroups; ++g) {
      if (pool.layout().slots_per_block[g] == 0) continue;
      const int32_t begin = g == kSlidingGroup ? std::max(0, row - pool.layout().groups[g].window + 1) : 0;
      for (int32_t p = begin; p < row; ++p) {
        each_slot(s, g, p, [&](uint64_t& m, uint64_t tag) { ASSERT_EQ(m, h[static_cast<size_t>(p)] + tag) << "group " << g << " position " << p; });
      }
    }
  }
  void audit() {
    std::vector<const SequenceBlocks*> held;
    for (const auto& s : seqs) held.push_back(&s->blocks);
    pool.audit(held);
  }
  Seq& add(std::vector<int32_t> tokens, uint64_t salt = 0, std::vector<int32_t> resume = {}) {
    auto s = std::make_unique<Seq>();
    s->tokens = std::move(tokens);
    s->blocks.salt = salt;
    s->blocks.prompt_length = static_cast<int32_t>(s->tokens.size());
    s->blocks.resume_points = pool.resume_points(s->blocks.prompt_length, resume);
    seqs.push_back(std::move(s));
    return *seqs.back();
  }
  bool advance(Seq& s, int32_t rows) {
    const int32_t from = s.blocks.committed;
    if (!pool.grow(s.blocks, from, from + rows)) return false;
    verify(s, from);
    write(s, from, from + rows);
    pool.commit(s.blocks, s.tokens, from + rows);
    return true;
  }
  void run(Seq& s, int32_t chunk) {
    while (s.blocks.committed < static_cast<int32_t>(s.tokens.size())) {
      ASSERT_TRUE(advance(s, std::min(chunk, static_cast<int32_t>(s.tokens.size()) - s.blocks.committed)));
    }
  }
  void end(Seq& s) {
    pool.release(s.blocks);
    seqs.erase(std::find_if(seqs.begin(), seqs.end(), [&](const auto& p) { return p.get() == &s; }));
  }
};

std::vector<int32_t> words(int32_t n, int32_t seed = 0) {
  std::vector<int32_t> t(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) t[static_cast<size_t>(i)] = (i * 7919 + seed * 104729) % 1000;
  return t;
}

TEST(KvPool, RandomOperationsKeepTheBooksAndTheContent) {
  for (size_t which = 0; which < layouts().size(); ++which) {
    const KvLayout& layout = layouts()[which];
    for (const int32_t slots : {24, 60, 400}) {
      World w(layout, slots);
      std::mt19937 random(static_cast<uint32_t>(which * 1000 + static_cast<size_t>(slots)));
      const auto pick = [&](int n) { return static_cast<int32_t>(random() % static_cast<uint32_t>(n)); };
      std::vector<std::vector<int32_t>> past = {words(50)};
      int64_t hits = 0, refused = 0;
      for (int op = 0; op < 4000; ++op) {
        const int what = pick(10);
        if (what < 2 && w.seqs.size() < 6) {
          // A prompt that goes on from something said before, or leaves it somewhere in the middle.
          std::vector<int32_t> tokens = past[static_cast<size_t>(pick(static_cast<int>(past.size())))];
          if (pick(3) == 0) tokens.resize(static_cast<size_t>(1 + pick(static_cast<int>(tokens.size()))));
          for (int i = 1 + pick(150); i > 0; --i) tokens.push_back(pick(3));
          if (tokens.size() > 700) tokens.resize(700);
          World::Seq& s = w.add(tokens, static_cast<uint64_t>(pick(8) == 0), {pick(300), pick(300)});
          s.blocks.shared = pick(6) != 0;
          const int32_t n = w.pool.match_prefix(s.blocks, s.tokens);
          ASSERT_LT(n, static_cast<int32_t>(tokens.size()));
          ASSERT_EQ(n, s.blocks.committed);
          if (n > 0) {
            ++hits;
            ASSERT_TRUE(s.blocks.shared);
            ASSERT_EQ(n % layout.max_block_positions(), 0);
            w.verify(s, n);
          }
        } else if (w.seqs.empty()) {
          continue;
        } else {
          World::Seq& s = *w.seqs[static_cast<size_t>(pick(static_cast<int>(w.seqs.size())))];
          const int32_t left = static_cast<int32_t>(s.tokens.size()) - s.blocks.committed;
          if (what < 8) {
            if (left == 0) s.tokens.push_back(pick(3));
            const int32_t rows = std::min(std::max(left, 1), 1 + pick(pick(2) ? 4 : 200));
            const int32_t from = s.blocks.committed;
            const int32_t available = w.pool.available_slots();
            if (!w.advance(s, rows)) {
              ++refused;
              ASSERT_EQ(s.blocks.committed, from);
              ASSERT_LE(w.pool.available_slots() - available, w.pool.num_slots());
            } else {
              // Sliding blocks behind the next row's window are gone.
              if (layout.slots_per_block[kSlidingGroup] > 0) {
                ASSERT_EQ(s.blocks.tables[kSlidingGroup].first_block,
                          std::max(0, s.blocks.committed - layout.groups[kSlidingGroup].window + 1) / layout.block_positions[kSlidingGroup]);
              }
            }
          } else {
            past.push_back(s.tokens);
            if (past.size() > 12) past.erase(past.begin() + pick(12));
            if (what == 8) {
              w.pool.release(s.blocks);  // preempted: begins again, perhaps with a hit
              w.pool.match_prefix(s.blocks, s.tokens);
              w.verify(s, s.blocks.committed);
            } else {
              w.end(s);
            }
          }
        }
        w.audit();
        if (HasFatalFailure()) FAIL() << "layout " << which << " slots " << slots << " operation " << op;
      }
      EXPECT_GT(hits, 0) << "layout " << which << " slots " << slots;
      EXPECT_TRUE(slots != 24 || refused > 0);
      while (!w.seqs.empty()) w.end(*w.seqs.back());
      w.audit();
      EXPECT_EQ(w.pool.available_slots(), slots);
    }
  }
}

TEST(KvPool, HitsLieAtResumePointsBelowThePrompt) {
  World w(layout_of(32, 64, 2, 1, 80), 4000);
  const std::vector<int32_t> tokens = words(1000);
  World::Seq& a = w.add(tokens, 0, {200});
  EXPECT_EQ(w.pool.match_prefix(a.blocks, a.tokens), 0);
  w.run(a, 100);
  const auto hit = [&](std::vector<int32_t> t, uint64_t salt = 0) {
    World::Seq& s = w.add(std::move(t), salt);
    const int32_t n = w.pool.match_prefix(s.blocks, s.tokens);
    w.verify(s, n);
    w.end(s);
    w.audit();
    return n;
  };
  EXPECT_EQ(hit(tokens), 960);  // the prompt's end, rounded down to 64
  EXPECT_EQ(hit(words(961)), 960);
  EXPECT_EQ(hit(words(960)), 192);  // not below the prompt: the point that was asked for
  EXPECT_EQ(hit(words(500)), 192);
  EXPECT_EQ(hit(words(192)), 0);
  EXPECT_EQ(hit(tokens, 1), 0);  // another salt
  std::vector<int32_t> other = tokens;
  other[900] ^= 1;
  EXPECT_EQ(hit(other), 192);
  other[3] ^= 1;
  EXPECT_EQ(hit(other), 0);
  // The end of the sequence: it goes on to 1100 tokens.
  for (int32_t i = 0; i < 100; ++i) {
    a.tokens.push_back(i);
    w.run(a, 1);
  }
  const std::vector<int32_t> longer = a.tokens;
  w.end(a);
  std::vector<int32_t> next = longer;
  next.push_back(5);
  EXPECT_EQ(hit(next), 1088);
  EXPECT_EQ(hit(tokens), 960);
}

TEST(KvPool, FullLayersAloneNeedNoWindow) {
  World w(layout_of(32, 32, 0, 1, 0), 100);
  World::Seq& a = w.add(words(200));
  w.run(a, 64);
  w.end(a);
  World::Seq& b = w.add(words(100));
  EXPECT_EQ(w.pool.match_prefix(b.blocks, b.tokens), 96);
  EXPECT_EQ(w.pool.num_resume_points(), 0u);
}

TEST(KvPool, EqualBlocksAreKeptOnce) {
  World w(layout_of(32, 32, 0, 1, 0), 100);
  World::Seq& a = w.add(words(320));
  World::Seq& b = w.add(words(320));
  w.run(a, 64);
  w.run(b, 96);
  w.audit();
  EXPECT_EQ(w.pool.held_slots(), 10);
  w.verify(b, 320);
  EXPECT_EQ(a.blocks.tables[kFullGroup].slots, b.blocks.tables[kFullGroup].slots);
}

TEST(KvPool, SlidingBlocksBehindTheWindowAreFree) {
  World w(layout_of(32, 32, 1, 1, 64), 1000);
  World::Seq& a = w.add(words(3000));
  a.blocks.shared = false;
  for (int32_t n = 0; n < 3000; n += 100) {
    ASSERT_TRUE(w.advance(a, 100));
    const int32_t first = std::max(0, n + 100 - 63) / 32;
    EXPECT_EQ(static_cast<int32_t>(a.blocks.tables[kSlidingGroup].blocks.size()), (n + 100 + 31) / 32 - first);
    EXPECT_EQ(w.pool.free_slots(), 1000 - (n + 100 + 31) / 32 - ((n + 100 + 31) / 32 - first));
  }
}

TEST(KvPool, EvictionTakesWhatIsOfNoUseThenTheLeastRecentlyUsed) {
  // Window of two blocks, full blocks of one: a conversation of 320 keeps 10 full slots and 2 of the window.
  World w(layout_of(32, 32, 1, 1, 64), 40);
  const auto talk = [&](int32_t seed) {
    World::Seq& s = w.add(words(321, seed));
    w.pool.match_prefix(s.blocks, s.tokens);
    w.run(s, 64);
    w.end(s);
    w.audit();
  };
  const auto hit = [&](int32_t seed) {
    World::Seq& s = w.add(words(400, seed));
    const int32_t n = w.pool.match_prefix(s.blocks, s.tokens);
    w.end(s);
    return n;
  };
  talk(1);
  talk(2);
  talk(3);
  EXPECT_EQ(w.pool.free_slots(), 40 - 36);
  EXPECT_EQ(hit(1), 320);  // 1 is now the most recently used
  talk(4);                 // wants 13 or so: 2 has to go, and 2 alone
  EXPECT_EQ(hit(2), 0);
  EXPECT_EQ(hit(1), 320);
  EXPECT_EQ(hit(3), 320);
  EXPECT_EQ(hit(4), 320);
}

TEST(KvPool, AHeldPrefixIsNeverEvicted) {
  World w(layout_of(32, 32, 1, 1, 64), 30);
  World::Seq& a = w.add(words(321));
  w.run(a, 64);
  World::Seq& b = w.add(words(330, 9));
  EXPECT_FALSE(w.pool.grow(b.blocks, 0, 330));  // 11 + 11 of at most 30 - 11 - 3
  w.audit();
  w.verify(a, 321);
  EXPECT_TRUE(w.pool.grow(b.blocks, 0, 64));
  w.audit();
}

TEST(KvPool, ALongPromptKeepsWayStationsWhileThereIsRoom) {
  World w(layout_of(32, 64, 1, 1, 64), 2000);
  World::Seq& a = w.add(words(10000));
  w.run(a, 512);
  w.end(a);
  EXPECT_EQ(w.pool.num_resume_points(), 3u);  // 4096, 8192 and the end
  World::Seq& b = w.add(words(8000));
  EXPECT_EQ(w.pool.match_prefix(b.blocks, b.tokens), 4096);
  w.verify(b, 4096);
}

TEST(KvPool, WayStationsAreTheFirstToGo) {
  // 10000 positions take 157 slots and up to 73 of the window; the station at 4096 keeps 64 more, the first conversation 12.
  World w(layout_of(32, 64, 1, 1, 2048), 260);
  World::Seq& first = w.add(words(300, 1));
  w.run(first, 512);
  w.end(first);
  World::Seq& a = w.add(words(10000));
  w.run(a, 256);
  w.end(a);
  w.audit();
  EXPECT_EQ(w.pool.num_resume_points(), 2u);  // the first conversation's and the end
  World::Seq& b = w.add(words(400, 1));
  EXPECT_EQ(w.pool.match_prefix(b.blocks, b.tokens), 256);
}

TEST(KvPool, ASequencesEndThatSomebodyWentOnFromStays) {
  World w(layout_of(32, 32, 1, 1, 64), 1000);
  World::Seq& a = w.add(words(1000));
  a.blocks.resume_points.clear();
  ASSERT_TRUE(w.advance(a, 320));
  EXPECT_EQ(w.pool.num_resume_points(), 1u);
  World::Seq& b = w.add(words(330));
  EXPECT_EQ(w.pool.match_prefix(b.blocks, b.tokens), 320);
  ASSERT_TRUE(w.advance(a, 320));  // its end moves on
  EXPECT_EQ(w.pool.num_resume_points(), 2u);
  ASSERT_TRUE(w.advance(a, 320));
  EXPECT_EQ(w.pool.num_resume_points(), 2u);
  World::Seq& c = w.add(words(330));
  EXPECT_EQ(w.pool.match_prefix(c.blocks, c.tokens), 320);
  w.audit();
}

TEST(KvPool, APrivateSequenceLeavesNothing) {
  World w(layout_of(32, 64, 2, 1, 80), 1000);
  World::Seq& a = w.add(words(500));
  a.blocks.shared = false;
  w.run(a, 100);
  w.end(a);
  EXPECT_EQ(w.pool.free_slots(), 1000);
  World::Seq& b = w.add(words(500));
  EXPECT_EQ(w.pool.match_prefix(b.blocks, b.tokens), 0);
}

TEST(KvPool, SlotsToReachBoundsWhatASequenceHolds) {
  for (const KvLayout& layout : layouts()) {
    for (const int32_t chunk : {1, 7, 64, 333}) {
      World w(layout, 4000);
      World::Seq& s = w.add(words(1000));
      const int32_t bound = w.pool.slots_to_reach(s.blocks, 1000, chunk);
      for (int32_t n = 0; n < 1000;) {
        const int32_t rows = std::min(chunk, 1000 - n);
        ASSERT_TRUE(w.pool.grow(s.blocks, n, n + rows));
        ASSERT_LE(w.pool.held_slots(), bound);
        w.write(s, n, n + rows);
        w.pool.commit(s.blocks, s.tokens, n += rows);
      }
    }
  }
}

}  // namespace
}  // namespace carat
