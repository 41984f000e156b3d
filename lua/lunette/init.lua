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

local methods = core.methods
local step_one = methods.step

-- One step of each projection. Like run_once, it goes on after a failure and
-- then tells the first.
local function step_all(engine)
  local projections, message, code = engine:status()
  if not projections then
    return nil, message, code
  end
  local total, failure = false, nil
  for _, projection in ipairs(projections) do
    local result = table.pack(step_one(engine, projection.name))
    if result[1] then
      total = (total or 0) + result[1]
    elseif result[1] == nil and result[3] ~= "not_found" then
      failure = failure or result
    end
  end
  if failure then
    return table.unpack(failure, 1, failure.n)
  end
  return total
end

function methods:step(name)
  if name == nil then
    return step_all(self)
  end
  return step_one(self, name)
end

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
