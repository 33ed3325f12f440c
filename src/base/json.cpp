#include "base/json.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace carat {
namespace {

// Builds the tree from the parser's events. The library's own builder looks every member up in its object, which takes
// quadratic time for an object of many members; here members are appended, and held against each other when the object ends.
class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(std::string_view what, int max_depth) : what_(what), max_depth_(max_depth) {}
  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool v) override { return put(v); }
  bool number_integer(number_integer_t v) override { return put(v); }
  bool number_unsigned(number_unsigned_t v) override { return put(v); }
  bool number_float(number_float_t v, const string_t&) override { return put(v); }
  bool string(string_t& v) override { return put(std::move(v)); }
  bool binary(binary_t& v) override { return put(std::move(v)); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool key(string_t& v) override {
    Members& members = stack_.back()->get_ref<Members&>();
    members.std::vector<Member>::emplace_back(std::move(v), nullptr);
    return true;
  }
  bool end_object() override {
    std::vector<std::string_view> names;
    for (const auto& member : stack_.back()->get_ref<Members&>()) names.push_back(member.first);
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
      fail(ErrorCode::corrupt, "{}: the member \"{}\" is given twice in one object", what_, twice->substr(0, 80));
    return end_array();
  }
  bool end_array() override {
    stack_.pop_back();
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail(ErrorCode::corrupt, "{}: not valid JSON at byte {}", what_, position);
  }

 private:
  using Members = Json::object_t;
  using Member = Members::value_type;

  template <typename V>
  bool put(V&& v) {
    place(Json(std::forward<V>(v)));
    return true;
  }
  Json* place(Json&& v) {
    if (stack_.empty()) {
      root_ = std::move(v);
      return &root_;
    }
    Json& top = *stack_.back();
    if (top.is_array()) {
      top.push_back(std::move(v));
      return &top.back();
    }
    Json& slot = top.get_ref<Members&>().back().second;
    slot = std::move(v);
    return &slot;
  }
  bool open(Json&& empty) {
    if (static_cast<int>(stack_.size()) >= max_depth_) fail(ErrorCode::corrupt, "{}: JSON nested more than {} deep", what_, max_depth_);
    stack_.push_back(place(std::move(empty)));
    return true;
  }

  std::string_view what_;
  int max_depth_;
  Json root_;
  std::vector<Json*> stack_;  // the open objects and arrays; only the innermost one grows, so the pointers hold
};

}  // namespace

Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) fail(ErrorCode::exhausted, "{}: {} bytes of JSON, at most {} are read", what, text.size(), limits.max_bytes);
  // JSON holds no NUL, and the library takes one for the end of the text.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) fail(ErrorCode::corrupt, "{}: not valid JSON at byte {}", what, nul);
  TreeBuilder builder(what, limits.max_depth);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

}  // namespace carat
