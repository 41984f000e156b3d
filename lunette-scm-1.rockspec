rockspec_format = "3.0"
package = "lunette"
version = "scm-1"
source = {
  url = "git+https://example.org/lunette.git",
}
description = {
  summary = "Read models from event logs, with projections written in Lua",
  detailed = [[
    Lunette turns an event log into read models. A projection is a small Lua
    script; a C engine reads events in batches, calls the script, and stores
    models and checkpoint in one transaction. Stores: SQLite files,
    PostgreSQL, memory.
  ]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = {
  "lua >= 5.4, < 5.5",
}
test_dependencies = {
  "busted >= 2.1",
}
-- libpq is found by pkg-config: its header lies elsewhere on every system.
external_dependencies = {
  SQLITE = { header = "sqlite3.h" },
  UUID = { header = "uuid/uuid.h" },
  XXHASH = { header = "xxhash.h" },
}
-- By make, because the module is linked with -z nodelete, which the builtin
-- build has no word for.
build = {
  type = "make",
  build_target = "core",
  build_variables = {
    BUILD = "build/rock-objects",
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS) -g",
    CPPFLAGS = "-I$(SQLITE_INCDIR) -I$(UUID_INCDIR) -I$(XXHASH_INCDIR)",
    LUA_CFLAGS = "-I$(LUA_INCDIR)",
  },
  install_pass = false,
  install = {
    lua = {
      ["lunette"] = "lua/lunette/init.lua",
      ["lunette.testing"] = "lua/lunette/testing.lua",
      ["lunette.types"] = "lua/lunette/types.lua",
    },
    lib = {
      ["lunette.core"] = "build/rock-objects/lua/lunette/core.so",
    },
  },
}
test = {
  type = "busted",
}
