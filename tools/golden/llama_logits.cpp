// Writes llama.cpp's logits at every position of given token id lists: the other half of llama_kl.py.
//
//   g++ -O2 -std=c++20 -I LLAMA/include -I LLAMA/ggml/include llama_logits.cpp -L BUILD/bin -Wl,-rpath,BUILD/bin -lllama -lggml -lggml-base -o llama_logits
//   llama_logits MODEL.gguf OUT f32|f16 prefill|decode < IDS
//
// IDS holds one list a line, ids separated by spaces; each is a sequence of its own from position 0. The third argument is the type
// of the KV cache (flash attention is off); `prefill` computes a list in one batch, `decode` token by token. One thread.
// OUT: float32 rows of the vocabulary's length, position after position, list after list, with nothing between them.
#include <llama.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

[[noreturn]] void stop(const std::string& what) {
  std::fprintf(stderr, "llama_logits: %s\n", what.c_str());
  std::exit(1);
}

// The loader is chatty, its warnings about tiny models included.
void log_line(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

std::vector<std::vector<llama_token>> read_lists(int32_t vocabulary) {
  std::vector<std::vector<llama_token>> lists;
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<llama_token> ids;
    std::istringstream in(line);
    for (llama_token id; in >> id;) {
      if (id < 0 || id >= vocabulary) stop("token id outside the vocabulary: " + std::to_string(id));
      ids.push_back(id);
    }
    if (ids.empty() || !in.eof()) stop("not a list of token ids: " + line);
    lists.push_back(std::move(ids));
  }
  return lists;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) stop("usage: llama_logits MODEL.gguf OUT f32|f16 prefill|decode < IDS");
  const std::string kv = argv[3];
  const std::string way = argv[4];
  if (kv != "f32" && kv != "f16") stop("the KV cache is f32 or f16, not " + kv);
  if (way != "prefill" && way != "decode") stop("prefill or decode, not " + way);

  llama_log_set(log_line, nullptr);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (model == nullptr) stop(std::string("cannot load ") + argv[1]);
  const int32_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));

  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = 1024;
  params.n_threads = params.n_threads_batch = 1;
  params.type_k = params.type_v = kv == "f32" ? GGML_TYPE_F32 : GGML_TYPE_F16;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr) stop("cannot make a context");

  std::ofstream out(argv[2], std::ios::binary);
  for (const std::vector<llama_token>& ids : read_lists(vocabulary)) {
    if (ids.size() > params.n_ubatch) stop("a list longer than the context");
    llama_memory_clear(llama_get_memory(context), true);
    const size_t step = way == "prefill" ? ids.size() : 1;
    llama_batch batch = llama_batch_init(static_cast<int32_t>(step), 0, 1);
    for (size_t first = 0; first < ids.size(); first += step) {
      batch.n_tokens = static_cast<int32_t>(step);
      for (size_t i = 0; i < step; ++i) {
        batch.token[i] = ids[first + i];
        batch.pos[i] = static_cast<llama_pos>(first + i);
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
      }
      if (llama_decode(context, batch) != 0) stop("llama_decode failed");
      for (size_t i = 0; i < step; ++i) {
        const float* row = llama_get_logits_ith(context, static_cast<int32_t>(i));
        out.write(reinterpret_cast<const char*>(row), static_cast<std::streamsize>(sizeof(float)) * vocabulary);
      }
    }
    llama_batch_free(batch);
  }
  out.close();
  if (!out) stop(std::string("cannot write ") + argv[2]);
  llama_free(context);
  llama_model_free(model);
  return 0;
}
