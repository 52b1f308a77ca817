#include "archive-directories.h"

#include <errno.h>
#include <fcntl.h>

#include <utility>
#include <vector>

#include "below.h"
#include "job.h"

namespace envd {

namespace {

struct Place {
  std::string path;
  std::string leading;
};

Place place_in(const Place& directory, const std::string& name) {
  return {directory.path.empty() ? name : directory.path + "/" + name, directory.leading + name + "/"};
}

// Archives one directory; false: names are left, and put. 0, or the errno, in `refused`.
bool archive_directory(const DirectoriesOptions& options, const Place& place, std::vector<std::string>& found,
                       Pieces& pieces, int& refused) {
  const Descriptor directory = open_below(options.root, place.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  std::string names;
  refused = !directory.valid() ? errno
                               : list_directory(Descriptor(fcntl(directory.get(), F_DUPFD_CLOEXEC, 0)),
                                                options.names_limit, names);
  if (refused != 0) return true;
  const ReadDirectory read{directory.get(), place.path, place.leading};
  const size_t used = archive_entries(options.entries, read, names, found, pieces);
  if (used == names.size()) return true;
  std::string rest;
  put_text(rest, place.path);
  pieces.put(Piece::rest, rest.append(names, used));
  for (const std::string& name : found) pieces.put(Piece::found, place_in(place, name).path);
  return false;
}

}  // namespace

int archive_directories(const DirectoriesOptions& options, std::string path, std::string leading, Pieces& pieces) {
  // The next one is the last.
  std::vector<Place> waiting{{std::move(path), std::move(leading)}};
  for (bool first = true, whole = true; whole && !waiting.empty() && (first || !pieces.full()); first = false) {
    const Place place = std::move(waiting.back());
    waiting.pop_back();
    std::vector<std::string> found;
    int refused = 0;
    whole = archive_directory(options, place, found, pieces, refused);
    if (first && refused != 0) return refused;
    if (refused == EOVERFLOW) {
      // Its caller decides about it, with nothing else beside it.
      waiting.push_back(place);
      break;
    }
    if (refused != 0) pieces.put(Piece::left_out, place.path);
    for (auto name = found.rbegin(); whole && name != found.rend(); ++name) waiting.push_back(place_in(place, *name));
  }
  for (auto place = waiting.rbegin(); place != waiting.rend(); ++place) pieces.put(Piece::other, place->path);
  return 0;
}

}  // namespace envd
