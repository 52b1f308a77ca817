// The rights of a user for one thread. glibc's setgroups(3) and its like change every thread of the process; the system
// calls change the one that makes them (credentials(7)).
#include "actor.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "values.h"
#include "walk.h"

namespace envd {

namespace {

class Rights {
 public:
  // 0, or the errno; the thread has its former rights then.
  int take(const Actor& actor) {
    const int count = getgroups(0, nullptr);
    if (count < 0) return errno;
    groups_.resize(static_cast<size_t>(count));
    if (getgroups(count, groups_.data()) < 0 || syscall(SYS_capget, &header_, capabilities_) < 0) return errno;
    if (syscall(SYS_setgroups, actor.groups.size(), actor.groups.data()) < 0) return errno;
    taken_ = true;
    setfsgid(actor.gid);
    setfsuid(actor.uid);
    // The calls above report no failure; a call with an invalid id returns the one in force.
    if (setfsgid(static_cast<gid_t>(-1)) != static_cast<int>(actor.gid)) return EPERM;
    if (setfsuid(static_cast<uid_t>(-1)) != static_cast<int>(actor.uid)) return EPERM;
    __user_cap_data_struct none[2] = {capabilities_[0], capabilities_[1]};
    none[0].effective = none[1].effective = 0;
    return syscall(SYS_capset, &header_, none) < 0 ? errno : 0;
  }

  void give_back() {
    if (!taken_) return;
    taken_ = false;
    const bool capable = syscall(SYS_capset, &header_, capabilities_) == 0;
    setfsuid(geteuid());
    setfsgid(getegid());
    const bool grouped = syscall(SYS_setgroups, groups_.size(), groups_.data()) == 0;
    // The thread goes back to the pool: with another user's rights it must not.
    if (!capable || !grouped || setfsuid(static_cast<uid_t>(-1)) != static_cast<int>(geteuid())) abort();
  }

 private:
  bool taken_ = false;
  std::vector<gid_t> groups_;
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct capabilities_[2]{};
};

bool to_groups(napi_env env, napi_value value, std::vector<gid_t>& groups) {
  uint32_t length = 0;
  if (!array_length(env, value, "groups", length)) return false;
  groups.resize(length);
  for (uint32_t index = 0; index < length; index++) {
    napi_value element = nullptr;
    if (napi_get_element(env, value, index, &element) != napi_ok || !to_id(env, element, "groups", groups[index]))
      return false;
  }
  return true;
}

}  // namespace

void ActorJob::run() {
  if (!actor.own_rights) {
    act();
    if (error == 0) conclude();
    return;
  }
  Rights rights;
  const int refused = rights.take(actor);
  if (refused != 0) fail("rights", refused);
  else act();
  rights.give_back();
  if ((error == EACCES || error == EPERM) && strcmp(call, follow_refusal) != 0) call = "rights";
  if (error == 0) conclude();
}

bool to_actor(napi_env env, napi_value value, Actor& actor) {
  if (is_undefined(env, value)) return true;
  const auto get = [&](const char* name) {
    napi_value result = nullptr;
    napi_get_named_property(env, value, name, &result);
    return result;
  };
  const napi_value uid = get("uid");
  const napi_value gid = get("gid");
  if (uid == nullptr || gid == nullptr || !to_id(env, uid, "uid", actor.uid) || !to_id(env, gid, "gid", actor.gid))
    return false;
  actor.checked = true;
  if (const napi_value groups = get("groups"); !is_undefined(env, groups)) {
    if (!to_groups(env, groups, actor.groups)) return false;
    actor.own_rights = true;
  }
  const napi_value beneath = get("beneath");
  return is_undefined(env, beneath) || to_path(env, beneath, actor.beneath);
}

}  // namespace envd
