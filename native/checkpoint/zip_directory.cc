#include "checkpoint/zip_directory.h"

#include <algorithm>
#include <compare>
#include <string>
#include <string_view>

#include "checkpoint/bytes.h"
#include "checkpoint/formats.h"
#include "runtime/text.h"

// The format: PKWARE's APPNOTE.TXT, section 4.

namespace visiontorch::checkpoint {

namespace {

constexpr uint32_t kLocalHeader = 0x04034B50, kCentralHeader = 0x02014B50, kEnd = 0x06054B50;
constexpr uint32_t kZip64End = 0x06064B50, kZip64Locator = 0x07064B50;
constexpr uint64_t kEndSize = 22, kZip64EndSize = 56, kZip64LocatorSize = 20, kCentralHeaderSize = 46;
constexpr uint16_t kEncrypted = 1 << 0, kDescriptor = 1 << 3, kPatched = 1 << 5, kStrongEncryption = 1 << 6;

struct Directory {
  uint64_t records, size, offset;
};

Directory find_directory(const InputFile& file) {
  if (file.size() < kEndSize) corrupt("the zip file ends before its directory");
  uint64_t end_at = file.size() - kEndSize;
  ByteReader end(file, end_at, file.size(), "the end of the zip file");
  // PyTorch writes no comment, so the end record is the last part of the file; otherwise the file was truncated or has
  // extra bytes.
  if (end.number<uint32_t>() != kEnd)
    corrupt("the zip file does not end with its directory: it was truncated, or has bytes after its end");
  uint16_t disk = end.number<uint16_t>(), directory_disk = end.number<uint16_t>();
  uint16_t disk_records = end.number<uint16_t>(), records = end.number<uint16_t>();
  Directory directory{records, end.number<uint32_t>(), end.number<uint32_t>()};
  uint16_t comment = end.number<uint16_t>();
  if (disk != 0 || directory_disk != 0 || disk_records != records || comment != 0)
    corrupt("the zip file has a comment or several parts");

  uint64_t directory_end = end_at;
  if (end_at >= kZip64LocatorSize) {
    ByteReader locator(file, end_at - kZip64LocatorSize, end_at, "the zip64 locator");
    if (locator.number<uint32_t>() == kZip64Locator) {
      uint32_t zip64_disk = locator.number<uint32_t>();
      uint64_t zip64_at = locator.number<uint64_t>();
      uint32_t disks = locator.number<uint32_t>();
      if (zip64_disk != 0 || disks > 1 || end_at < kZip64LocatorSize + kZip64EndSize ||
          zip64_at != end_at - kZip64LocatorSize - kZip64EndSize)
        corrupt("the zip64 end record is not where its locator says");
      ByteReader zip64(file, zip64_at, end_at, "the zip64 end record");
      if (zip64.number<uint32_t>() != kZip64End || zip64.number<uint64_t>() != kZip64EndSize - 12)
        corrupt("the zip64 end record is malformed");
      zip64.take(4);  // versions
      bool one_disk = zip64.number<uint32_t>() == 0 && zip64.number<uint32_t>() == 0;
      uint64_t on_disk = zip64.number<uint64_t>();
      Directory zip64_directory{zip64.number<uint64_t>(), zip64.number<uint64_t>(), zip64.number<uint64_t>()};
      auto agree = [](uint64_t small, uint64_t limit, uint64_t large) { return small == limit || small == large; };
      if (!one_disk || on_disk != zip64_directory.records ||
          !agree(directory.records, 0xFFFF, zip64_directory.records) ||
          !agree(directory.size, 0xFFFFFFFF, zip64_directory.size) ||
          !agree(directory.offset, 0xFFFFFFFF, zip64_directory.offset))
        corrupt("the zip64 end record contradicts the end record");
      directory = zip64_directory;
      directory_end = zip64_at;
    }
  }
  if (directory.offset > directory_end || directory.size != directory_end - directory.offset)
    corrupt("the zip file's directory is not where its end record says");
  // The file's size bounds the number of records.
  if (directory.records > directory.size / kCentralHeaderSize)
    corrupt("the zip file's directory counts too many records");
  return directory;
}

struct Header {
  std::string name;
  uint16_t flags, method;
  uint32_t crc;
  uint64_t size, stored_size, offset;
  bool is_regular_file;
};

// Extra field 1 has the large numbers, in this order, each only if all bits of the plain field are ones.
void read_zip64_extra(std::string_view extra, Header& header) {
  ByteReader fields(extra, "an extra field of the zip file");
  while (fields.remaining() > 0) {
    uint16_t id = fields.number<uint16_t>();
    std::string_view body = fields.take(fields.number<uint16_t>());
    if (id != 1) continue;
    ByteReader numbers(body, "a zip64 field of the zip file");
    for (uint64_t* number : {&header.size, &header.stored_size, &header.offset})
      if (*number == 0xFFFFFFFF) *number = numbers.number<uint64_t>();
  }
}

Header read_central_header(ByteReader& in) {
  if (in.number<uint32_t>() != kCentralHeader) corrupt("the zip file's directory is malformed");
  Header header;
  in.take(4);  // versions
  header.flags = in.number<uint16_t>();
  header.method = in.number<uint16_t>();
  in.take(4);  // time
  header.crc = in.number<uint32_t>();
  header.stored_size = in.number<uint32_t>();
  header.size = in.number<uint32_t>();
  uint16_t name = in.number<uint16_t>(), extra = in.number<uint16_t>(), comment = in.number<uint16_t>();
  uint16_t disk = in.number<uint16_t>();
  in.take(2);  // internal attributes
  uint32_t attributes = in.number<uint32_t>();
  header.offset = in.number<uint32_t>();
  header.name = in.take(name);
  read_zip64_extra(in.take(extra), header);
  in.take(comment);
  uint32_t file_type = attributes >> 16 & 0170000;  // from the Unix mode
  header.is_regular_file = disk == 0 && (file_type == 0 || file_type == 0100000);
  return header;
}

void check_name(std::string_view name) {
  bool harmless = !name.empty() && name.front() != '/' && name.find('\\') == std::string_view::npos &&
                  name.find('\0') == std::string_view::npos;
  for (size_t begin = 0; harmless && begin <= name.size();) {
    size_t end = std::min(name.find('/', begin), name.size());
    std::string_view part = name.substr(begin, end - begin);
    harmless = !part.empty() && part != "." && part != "..";
    begin = end + 1;
  }
  if (!harmless) corrupt("the zip file has a record with the unsafe name " + in_quotes(name));
}

// Returns where the data starts, after checking that the local header agrees with the directory and that the data is
// inside the file.
uint64_t find_data(const InputFile& file, const Header& header) {
  if (header.offset > file.size()) corrupt("record " + in_quotes(header.name) + " lies outside the file");
  ByteReader in(file, header.offset, file.size(), "a record of the zip file");
  if (in.number<uint32_t>() != kLocalHeader)
    corrupt("record " + in_quotes(header.name) + " is not where the directory says");
  in.take(2);  // version
  bool same = in.number<uint16_t>() == header.flags && in.number<uint16_t>() == header.method;
  in.take(4);  // time
  Header local{};
  local.crc = in.number<uint32_t>();
  local.stored_size = in.number<uint32_t>();
  local.size = in.number<uint32_t>();
  uint16_t name_length = in.number<uint16_t>(), extra_length = in.number<uint16_t>();
  local.name = in.take(name_length);
  same = same && local.name == header.name;
  std::string_view extra = in.take(extra_length);
  bool is_after_data = (header.flags & kDescriptor) && local.crc == 0 && local.size == 0 && local.stored_size == 0;
  if (!is_after_data) {
    if (local.size == 0xFFFFFFFF || local.stored_size == 0xFFFFFFFF) read_zip64_extra(extra, local);
    same = same && local.crc == header.crc && local.size == header.size && local.stored_size == header.stored_size;
  }
  if (!same) corrupt("record " + in_quotes(header.name) + " has contradictory headers");
  uint64_t begin = header.offset + in.offset();
  in.skip(header.stored_size);
  return begin;
}

void refuse_foreign(const InputFile& file, const Directory& directory) {
  ByteReader in(file, directory.offset, directory.offset + directory.size, "the zip file's directory");
  ForeignZip foreign;
  for (uint64_t i = 0; i < directory.records; i++) foreign.add(read_central_header(in).name);
  foreign.refuse();
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// No two names may be the same, even if case is ignored.
void check_unique(const std::vector<ZipRecord>& records) {
  auto compare = [](std::string_view a, std::string_view b) {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end(),
                                                  [](char x, char y) { return lower(x) <=> lower(y); });
  };
  std::vector<std::string_view> names;
  names.reserve(records.size());
  for (const ZipRecord& record : records) names.push_back(record.name);
  std::sort(names.begin(), names.end(), [&](auto a, auto b) { return compare(a, b) < 0; });
  auto twice = std::adjacent_find(names.begin(), names.end(), [&](auto a, auto b) { return compare(a, b) == 0; });
  if (twice != names.end()) corrupt("the zip file has two records named " + in_quotes(*twice));
}

}  // namespace

std::vector<ZipRecord> read_zip_directory(const InputFile& file, Budget& budget) {
  constexpr uint64_t kRecord = sizeof(ZipRecord) + sizeof(std::pair<uint64_t, uint64_t>) + sizeof(std::string_view);
  Directory directory = find_directory(file);
  ByteReader in(file, directory.offset, directory.offset + directory.size, "the zip file's directory");
  budget.charge(directory.records * kRecord + directory.size);
  refuse_foreign(file, directory);
  std::vector<ZipRecord> records;
  std::vector<std::pair<uint64_t, uint64_t>> spans;
  records.reserve(directory.records);
  spans.reserve(directory.records + 1);
  for (uint64_t i = 0; i < directory.records; i++) {
    Header header = read_central_header(in);
    check_name(header.name);
    if (!header.is_regular_file) corrupt("record " + in_quotes(header.name) + " is not a regular file");
    if (header.flags & (kEncrypted | kPatched | kStrongEncryption))
      corrupt("record " + in_quotes(header.name) + " is encrypted");
    uint64_t begin = find_data(file, header);
    spans.emplace_back(header.offset, begin + header.stored_size);
    bool is_compressed = header.method != 0 || header.stored_size != header.size;
    records.push_back({std::move(header.name), begin, header.stored_size, header.crc, is_compressed});
  }
  if (in.remaining() > 0) corrupt("the zip file's directory holds more than it counts");
  check_unique(records);
  std::sort(spans.begin(), spans.end());
  if (spans.empty() || spans.front().first != 0) corrupt("the zip file does not start with its first record");
  spans.emplace_back(directory.offset, directory.offset);
  for (size_t i = 1; i < spans.size(); i++)
    if (spans[i].first < spans[i - 1].second) corrupt("two records of the zip file overlap");
  return records;
}

}  // namespace visiontorch::checkpoint
