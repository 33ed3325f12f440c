// What is decided about addresses, listings and answers before any byte is used.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstdlib>

#include "base/error.h"
#include "hub/address.h"
#include "hub/content_range.h"
#include "hub/digest.h"
#include "hub/listing.h"
#include "hub/proxy.h"
#include "hub/url_escape.h"

namespace carat::hub {
namespace {

TEST(Address, OnlyThePublicNetworkIsPublic) {
  for (const char* text :
       {"8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1", "64:ff9b::808:808", "2002:808:808::1"}) {
    bool is_public = false;
    EXPECT_TRUE(parse_address(text, is_public)) << text;
    EXPECT_TRUE(is_public) << text;
  }
  for (const char* text :
       {"127.0.0.1",       "127.8.9.1",       "0.0.0.0",        "10.1.2.3",  "172.16.0.1",      "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1",      "192.0.2.7",       "198.18.0.1",     "224.0.0.1", "255.255.255.255", "240.0.0.1",      "::",          "::1",
        "[::1]",           "fe80::1",         "fc00::1",        "fd12::1",   "ff02::1",         "2001:db8::1",    "2001::1",     "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "3fff::1",   "::127.0.0.1"}) {
    bool is_public = true;
    EXPECT_TRUE(parse_address(text, is_public)) << text;
    EXPECT_FALSE(is_public) << text;
  }
  bool is_public = false;
  for (const char* text : {"localhost", "example.org", "", "127.0.0.1.example.org", "[::1"}) EXPECT_FALSE(parse_address(text, is_public)) << text;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  ::inet_pton(AF_INET, "9.9.9.9", &v4.sin_addr);
  EXPECT_TRUE(is_public_address(reinterpret_cast<const sockaddr&>(v4)));
  v4.sin_family = AF_UNIX;
  EXPECT_FALSE(is_public_address(reinterpret_cast<const sockaddr&>(v4)));
}

TEST(ContentRange, ExactlyTheFormOfTheStandard) {
  const auto range = parse_content_range("bytes 5-9/20");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->range, (ByteRange{5, 10}));
  EXPECT_EQ(range->size, 20u);
  EXPECT_EQ(parse_content_range("bytes 0-0/*")->size, 0u);
  for (const char* text : {"", "bytes", "bytes 5-4/20", "bytes 5-20/20", "bytes -5/20", "bytes 5-/20", "bytes 5-9", "bytes */20", "items 5-9/20",
                           "bytes 5-9/20 ", "bytes 0x5-9/20", "bytes 5-18446744073709551615/*", "bytes 5-99999999999999999999/*"}) {
    EXPECT_FALSE(parse_content_range(text)) << text;
  }
}

TEST(Listing, FilesWithTheirDigests) {
  std::vector<RepoFile> files;
  const std::string sha1(40, 'a'), sha256(64, 'b');
  add_tree_page(R"([{"type":"directory","oid":"x","size":0,"path":"sub"},{"type":"file","oid":")" + sha1 +
                    R"(","size":3,"path":"config.json"},{"type":"file","oid":")" + sha1 + R"(","size":9,"lfs":{"oid":")" + sha256 +
                    R"(","size":9,"pointerSize":130},"path":"sub/m.gguf","xetHash":"x"}])",
                "test", files);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path + " " + files[0].etag, "config.json " + sha1);
  EXPECT_EQ(files[1].path + " " + files[1].etag, "sub/m.gguf " + sha256);
  EXPECT_EQ(files[1].size, 9u);
}

TEST(Listing, WhatCannotBeAFileIsRefused) {
  const std::string good(64, 'b');
  const auto refused = [](const std::string& page) {
    std::vector<RepoFile> files;
    try {
      add_tree_page(page, "test", files);
    } catch (const Error& error) {
      return error.code() == ErrorCode::corrupt;
    }
    return false;
  };
  const auto entry = [](const std::string& path, const std::string& oid, const std::string& size) {
    return R"([{"type":"file","path":")" + path + R"(","oid":")" + oid + R"(","size":)" + size + "}]";
  };
  EXPECT_FALSE(refused(entry("a/b.gguf", good, "1")));
  for (const char* path : {"", "/etc/passwd", "../x", "a/../../x", "a//b", "./x", "a/.", "..", "a\\\\b", "a\\u0000b", "a\\nb", "a/\\u001b[31m"})
    EXPECT_TRUE(refused(entry(path, good, "1"))) << path;
  EXPECT_TRUE(refused(entry(std::string(2000, 'a'), good, "1")));
  for (const std::string& oid : {std::string(), std::string("../../x"), std::string(63, 'a'), std::string(64, 'A'), std::string(64, 'g'), std::string(65, 'a')})
    EXPECT_TRUE(refused(entry("a", oid, "1"))) << oid;
  for (const char* size : {"-1", "1.5", "\"1\"", "null", "99999999999999999999", "18446744073709551615"}) EXPECT_TRUE(refused(entry("a", good, size))) << size;
  for (const char* page : {"", "{}", "[1]", "[[]]", "null", "[{\"type\":\"file\"}]", "[", "<html>"}) EXPECT_TRUE(refused(page)) << page;
}

TEST(Listing, DigestsAndCommits) {
  EXPECT_TRUE(is_etag(std::string(40, '0')));
  EXPECT_TRUE(is_etag(std::string(64, 'f')));
  EXPECT_FALSE(is_etag(std::string(32, 'f')));
  EXPECT_FALSE(is_etag(std::string(63, 'f') + "/"));
  EXPECT_TRUE(is_commit(std::string(40, 'c')));
  EXPECT_FALSE(is_commit(std::string(64, 'c')));
}

TEST(Proxy, NamesOfTheEnvironment) {
  for (const char* name : {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"}) ::unsetenv(name);
  EXPECT_EQ(proxy_for("https", "example.org"), "");
  ::setenv("HTTP_PROXY", "http://attacker:1", 1);
  EXPECT_EQ(proxy_for("http", "example.org"), "") << "a header of a web server's client";
  ::setenv("https_proxy", "http://p:1", 1);
  ::setenv("no_proxy", "other.net, .example.org,localhost", 1);
  EXPECT_EQ(proxy_for("https", "huggingface.co"), "http://p:1");
  EXPECT_EQ(proxy_for("https", "cdn.example.org"), "");
  EXPECT_EQ(proxy_for("https", "example.org"), "");
  EXPECT_EQ(proxy_for("https", "notexample.org"), "http://p:1");
  EXPECT_EQ(proxy_for("https", "localhost"), "");
  ::setenv("no_proxy", "*", 1);
  EXPECT_EQ(proxy_for("https", "huggingface.co"), "");
  for (const char* name : {"HTTP_PROXY", "https_proxy", "no_proxy"}) ::unsetenv(name);
}

TEST(UrlEscape, EverythingThatIsNotPlain) {
  EXPECT_EQ(url_escape("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(url_escape("a b/c?d#e%\xc3\xa4", true), "a%20b/c%3Fd%23e%25%C3%A4");
}

}  // namespace
}  // namespace carat::hub
