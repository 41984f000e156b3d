-- Does all that an engine can be asked to, to stores that may hold anything:
--   lua5.4 spec/stores/look_at_everything.lua < LINES
-- A line is "NAME<tab>EVENTS<tab>MODELS". For each it prints "begin NAME", an
-- "error MESSAGE" for each call that failed (as Lua writes a string), and
-- "end NAME MILLISECONDS".

local helper = require "spec.helper"
local lunette = require "lunette"

local script = [[
return {
  name = "tampered",
  version = 1,
  on_error = "park",
  fields = { n = "integer", label = "text", at = "timestamp", rest = "json" },
  extract_model_id = function(event) return event.stream end,
  apply_to_model = function(model, event)
    model = model or { n = 0 }
    if event.data.bad then error "bad" end
    model.n = model.n + 1
    model.label = event.id
    model.at = event.recorded_at
    model.rest = { seen = event.data, before = model.rest }
    return model
  end,
}
]]

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local calls = {
  function(e) return e:status() end,
  function(e) return e:checkpoint "tampered" end,
  function(e) return e:parked "tampered" end,
  function(e) return e:skipped "tampered" end,
  function(e) return e:gaps "tampered" end,
  function(e) return e:events {} end,
  function(e)
    return e:query("tampered", { "order=n", "rest->seen=not.is.null" })
  end,
  function(e) return e:get("tampered", "s1") end,
  function(e) return e:append { stream = "s9", type = "T", data = {} } end,
  function(e) return e:register { source = script, name = "tampered.lua" } end,
  function(e) return e:run_once() end,
  function(e) return e:pause "tampered" end,
  function(e) return e:resume "tampered" end,
  function(e) return e:retry "tampered" end,
  function(e) return e:query("tampered", {}) end,
  function(e) return e:start() end,
  function(e) return e:retry("tampered", nil, 1) end,
  function(e) return e:resume("tampered", 1) end,
  function(e) return e:stop() end,
  function(e) return e:rebuild("tampered", 1) end,
  function(e) return e:discard("tampered", nil, 1) end,
  function(e) return e:run_once() end,
  function(e) return e:status() end,
  function(e) return e:get("tampered", "s1") end,
}

local function try(call, ...)
  local fine, value, err = pcall(call, ...)
  if not fine or value == nil and err then
    say("error", ("%q"):format(tostring(fine and err or value))
      :gsub("\\\n", "\\n"), "")
  end
  return fine and value
end

local function settings(events, models)
  return { events = events, models = models, synchronous = "off",
    busy_timeout_ms = 200, call_timeout_ms = 5000, retry_ms = 10,
    retry_max_ms = 20 }
end

for line in io.lines() do
  local name, events, models = line:match "^(.-)\t(.-)\t(.*)$"
  local began = helper.now_ms()
  say("begin", name)
  local engine = try(lunette.open, settings(events, models))
  for _, call in ipairs(engine and calls or {}) do
    try(call, engine)
  end
  if engine then
    engine:close()
  end
  say("end", name, ("%d"):format(helper.now_ms() - began))
end
