-- Lunette in plain Lua 5.4: turn an event log into read models.
--
--   local lunette = require "lunette"
--   local engine = assert(lunette.open {
--     events = "sqlite:events.db",
--     models = "sqlite:models.db",
--   })
--
-- Expected failures return nil, message, code and sometimes a detail such as a
-- traceback; misuse raises. See docs/embedding.md.

local core = require "lunette.core"

---@type lunette
local lunette = {
  version = core.version,
  open = core.open,
  check = core.check,
  query = core.query,
  null = core.null,
  array = core.array,
  encode = core.encode,
  decode = core.decode,
}

return lunette
