// What proc(5) has of an open descriptor, and what is done where it is not mounted, as in a bare chroot.
#pragma once

#include <string>

#include "walk.h"

namespace envd {

// The path of the link to what a descriptor has open.
std::string proc_link(int descriptor);

// Gives an open file another name, at which nothing must be (linkat(2)). Without proc(5) that takes
// CAP_DAC_READ_SEARCH. 0, or the errno.
int link_open_file(int file, int parent, const std::string& name);

// The path without links of what was found at `path`; without proc(5) as it is now. 0, or the errno: ESTALE where
// something else is at the path by now.
int find_real_path(const Place& place, const std::string& path, std::string& real);

}  // namespace envd
