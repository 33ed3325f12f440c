#pragma once
// A shared library that is opened when it is first needed, under a fixed name: what it costs at start, only those pay who use it.

namespace carat::hub {

class LateLibrary {
 public:
  // file: "libcurl.so.4"; package: what to install when it is missing. Fails with unsupported. Stays open until the program ends.
  LateLibrary(const char* file, const char* package);

  // Sets `function` to the library's function of this name. Fails with unsupported when the library has none.
  template <typename Function>
  void get(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(symbol(name));
  }

 private:
  void* symbol(const char* name) const;

  const char* file_;
  void* handle_;
};

}  // namespace carat::hub
