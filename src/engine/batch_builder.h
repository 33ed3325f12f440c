#pragma once
// Scheduled rows -> Batch. Views point into the sequences' tables and hold until blocks are taken or committed.
#include <span>

#include "backend/batch.h"
#include "engine/scheduler.h"

namespace carat {

// `batch` is reused: a warmed-up step allocates nothing.
void build_batch(std::span<const ScheduledRows> plan, Batch& batch);

}  // namespace carat
