-- The projections of the chaos runs: as they should be, and broken; and the
-- same fold apart, in plain Lua. A model keeps a trail that depends on the
-- order of its events and on the factor of the script's version.

local scripts = {}

scripts.names = { "stopping", "parking", "sorted" }

local heads = {
  stopping = [[
  on_error = "stop",
  fields = { count = "integer", trail = "integer" },
  handles = { "Opened", "Moved", "Closed" },
  apply_to_model = apply,]],
  parking = [[
  on_error = "park",
  retries = 1,
  handles = { "Opened", "Moved", "Closed" },
  apply_to_model = apply,]],
  sorted = [[
  on_error = "stop",
  fields = { count = "integer", trail = "integer" },
  indexes = { "trail" },
  on = { Opened = apply, Moved = apply, Closed = apply },]],
}

local text = [[
-- salt: %d
local function apply(model, event)
  %s
  if event.type == "Closed" then
    return nil
  end
  model = model or { count = 0, trail = 0 }
  model.count = model.count + 1
  model.trail = (model.trail * %d + event.data.n) %% 1000003
  return model
end

return {
  name = "%s",
  version = %d,
%s
  extract_model_id = function(event) return event.data.accounts end,
}
]]

-- What breaks a script for some of its events.
local faults = {
  raise = 'if event.data.n % 11 == 3 then error "refused" end',
  nonsense = "if event.data.n % 13 == 5 then return 42 end",
  undeclared = "if event.data.n % 13 == 6 then return event.data.m.n end",
  endless = "if event.data.n % 17 == 1 then while true do end end",
  greedy = 'if event.data.n % 19 == 1 then return ("x"):rep(1 << 40) end',
}

-- And for all of them: the file itself is of no use.
local files = {
  empty = function() return "" end,
  cut = function(whole) return whole:sub(1, #whole // 2) end,
  raises = function() return "error 'at the top'" end,
  binary = function() return "\27Lua\0\1\2" end,
  gone = function() return nil end,
}

scripts.breakages = { "raise", "nonsense", "undeclared", "endless", "greedy",
  "empty", "cut", "raises", "binary", "gone" }

-- Of the version, so that models of another version show.
local function factor(version)
  return 29 + 2 * version
end

-- The text of a script, nil where there is to be no file. state: name,
-- version, salt, broken (of scripts.breakages)
function scripts.text(state)
  local whole = text:format(state.salt, faults[state.broken] or "",
    factor(state.version), state.name, state.version, heads[state.name])
  local spoil = files[state.broken]
  if spoil then
    return spoil(whole)
  end
  return whole
end

local function apply(model, event, by)
  if event.type == "Closed" then
    return nil
  end
  model = model or { count = 0, trail = 0 }
  model.count = model.count + 1
  model.trail = (model.trail * by + event.data.n) % 1000003
  return model
end

-- What the models of a version are after these events.
function scripts.fold(events, version)
  local models = {}
  for _, event in ipairs(events) do
    if event.type ~= "Noise" then
      for _, id in ipairs(event.data.accounts) do
        models[id] = apply(models[id], event, factor(version))
      end
    end
  end
  return models
end

return scripts
