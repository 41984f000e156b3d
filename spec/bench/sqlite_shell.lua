-- What the shell of SQLite answers.

local helper = require "spec.helper"

return function(file, statement)
  local code, out, err = helper.run { "sqlite3", file, statement }
  assert(code == 0, err)
  return out
end
