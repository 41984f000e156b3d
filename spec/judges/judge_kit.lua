-- For the judges: servers of several versions, writers of other event stores
-- (Node programs), and a fold of what these read back to compare models with.
--
-- A model keeps a trail that depends on the order of its events, and counts
-- versions that did not rise.

local helper = require "spec.helper"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"
local workplace = require "spec.engine.cli.workplace"

local kit = {
  folder = os.getenv "LUNETTE_JUDGES",
  missing = os.getenv "LUNETTE_JUDGES_MISSING",
  versions = {},
}

for version in (os.getenv "LUNETTE_JUDGES_SERVERS" or ""):gmatch "%d+" do
  kit.versions[#kit.versions + 1] = version
end

-- ---- servers

-- The user who runs the server may not be let into the folder of the build.
local function programs(version)
  local native = kit.folder .. "/node_modules/postgres-" .. version
    .. "/native"
  local folder = helper.tmpdir()
  local code, _, err = helper.run { "sh", "-c",
    'cp -r "$0" "$1" && chmod -R a+rX "$1"', native, folder }
  assert(code == 0, err)
  return folder .. "/native/bin"
end

-- A server of this version.
function kit.server(version)
  return assert(postgres.own { bin = programs(version) })
end

-- ---- writers

local function node(words)
  return { "node", table.unpack(words) }
end

-- A process; options as for helper.spawn.
function kit.write(writer, url, seed, seconds)
  return helper.spawn(node { writer .. ".mjs", "write", url, tostring(seed),
    tostring(seconds) }, { cwd = kit.folder })
end

-- Every event that the writer's own interface reads back.
function kit.read_back(writer, url)
  local code, out, err = helper.run(node { writer .. ".mjs", "read", url },
    { cwd = kit.folder, timeout = 120 })
  assert(code == 0, err)
  local events = {}
  for line in out:gmatch "[^\n]+" do
    events[#events + 1] = assert(lunette.decode(line))
  end
  return events
end

-- ---- projections

local body = [[
local function apply(model, event)
  model = model or { count = 0, trail = 0, last = -1, disorder = 0 }
  if event.version <= model.last then
    model.disorder = model.disorder + 1
  end
  model.last = event.version
  model.count = model.count + 1
  model.trail = (model.trail * 31 + event.data.n) %% 1000003
  return model
end

return {
  name = "%s",
  version = 1,
  fields = { count = "integer", trail = "integer", last = "integer",
    disorder = "integer" },
  extract_model_id = function(event) return event.stream end,
  %s
}
]]

-- The same fold of every event, of some types by two words for it.
kit.projections = {
  every = { text = "apply_to_model = apply" },
  named = {
    text = 'handles = { "Set", "Noted" }, apply_to_model = apply',
    types = { Set = true, Noted = true },
  },
  by_type = {
    text = "on = { Set = apply, Noted = apply }",
    types = { Set = true, Noted = true },
  },
}

-- Models by id. options: types (a set), prefix (of streams)
function kit.fold(events, options)
  local models = {}
  for _, event in ipairs(events) do
    local wanted = not options.types or options.types[event.type]
    local within = event.stream:find(options.prefix or "", 1, true) == 1
    if wanted and within and event.type ~= "Demand" then
      local model = models[event.stream]
        or { count = 0, trail = 0, disorder = 0 }
      model.last = event.version
      model.count = model.count + 1
      model.trail = (model.trail * 31 + event.n) % 1000003
      models[event.stream] = model
    end
  end
  return models
end

-- ---- a trial

-- A folder to run the command in, with all projections.
function kit.place(events, models)
  local place = workplace.new()
  place.env.LUNETTE_EVENTS = events
  place.env.LUNETTE_MODELS = models
  place.env.LUNETTE_LEASE_MS = "1000" -- that of the killed runs out
  for name, projection in pairs(kit.projections) do
    place:write("projections/" .. name .. ".lua",
      body:format(name, projection.text))
  end
  return place
end

-- Run in every place, now and then a second engine beside the first, and kill
-- them all, until the writer has ended; what it says.
function kit.kill_while_writing(writer, places, r)
  repeat
    local running = {}
    for _, place in ipairs(places) do
      for _ = 1, r:within(1, 2) do
        running[#running + 1] = place:spawn { "run" }
      end
    end
    local code = writer:wait(r:within(300, 2000)) -- any moment will do
    for _, engine in ipairs(running) do
      engine:kill "KILL"
      engine:wait()
    end
  until code
  assert(writer:wait() == 0, writer:stderr())
  return lunette.decode(writer:stdout())
end

local function models_of(place, name)
  local reader <close> = assert(lunette.open {
    events = place.env.LUNETTE_EVENTS,
    models = place.env.LUNETTE_MODELS:gsub("^sqlite:", "%0"
      .. place.folder .. "/"),
  })
  local models = {}
  for _, row in ipairs(assert(reader:query(name, { "limit=10000" }))) do
    models[row.id], row.id = row, nil
  end
  return models
end

-- Ids of models that differ, with both.
local function differences(expected, found)
  local list = {}
  for id, model in pairs(expected) do
    if lunette.encode(model) ~= lunette.encode(found[id] or {}) then
      list[id] = { expected = model, found = found[id] }
    end
  end
  for id, model in pairs(found) do
    list[id] = list[id] or not expected[id] and { found = model } or nil
  end
  return list
end

-- Catches up in this place, once the leases of the killed have run out, and
-- compares every projection with the fold of these events. options: prefix
-- (of the streams that are read)
function kit.check(place, events, options)
  helper.wait(function()
    local code, _, err = place:run({ "run", "--once" }, { timeout = 120 })
    assert(code == 0 or err:find "is run by process", err)
    return code == 0
  end)
  local same = require "luassert".same
  for name, projection in pairs(kit.projections) do
    same({}, differences(kit.fold(events, {
      types = projection.types,
      prefix = options and options.prefix,
    }), models_of(place, name)), name .. " in " .. place.env.LUNETTE_EVENTS)
  end
end

return kit
