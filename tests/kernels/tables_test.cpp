#include <cstdio>
#include <sstream>

#include "kernel_cases.h"

namespace carat::kernels {
namespace {

TEST(Tables, SayWhichWereTestedAndHow) {
  std::istringstream names(built_tables());
  for (std::string name; names >> name;) {
    std::string how;
    if (name == "scalar") how = "the specification";
    for (const Candidate& c : candidates())
      if (c.table->name == name) how += (how.empty() ? "" : ", ") + c.how.substr(c.how.find('('));
    std::printf("kernel table %-13s %s\n", name.c_str(), how.empty() ? "SKIPPED: this CPU lacks it" : how.c_str());
  }
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "no AVX2: only scalar could be tested";
#endif
  EXPECT_FALSE(candidates().empty());
}

TEST(Tables, ScalarIsFirstAndNamesAreFound) {
  const TableList list = available_tables();
  ASSERT_GE(list.count, 1);
  EXPECT_STREQ(list.tables[0]->name, "scalar");
  for (int i = 0; i < list.count; ++i) EXPECT_EQ(find_table(list.tables[i]->name), list.tables[i]);
  EXPECT_EQ(find_table(""), list.tables[list.count - 1]);
  EXPECT_EQ(find_table("avx9000"), nullptr);
}

}  // namespace
}  // namespace carat::kernels
