#pragma once
// An output stream for the line editor's library: what it writes in EditUnits comes out as the characters they stand for.
#include <sys/types.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "cli/terminal/edit_units.h"

namespace carat::cli {

class UnitOutput {
 public:
  // Both outlive it. Fails with internal when the system has no stream to give.
  UnitOutput(int fd, const EditUnits& units);
  ~UnitOutput();
  UnitOutput(const UnitOutput&) = delete;
  UnitOutput& operator=(const UnitOutput&) = delete;

  FILE* file() const { return file_; }  // buffered
  void put(std::string_view text);      // characters, not units

 private:
  void write(std::string_view bytes);

  int fd_;
  const EditUnits& units_;
  std::string unwritten_;  // an incomplete character on its way out
  FILE* file_;
};

}  // namespace carat::cli
