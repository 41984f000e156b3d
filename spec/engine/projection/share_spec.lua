-- Live projections share one reading of the tail: whoever joins it, falls
-- behind, stops and joins again applies each event once and in order, whatever
-- comes late meanwhile.

local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local late_log = require "spec.stores.postgres.events.late_log"

local seed = helper.seed(1)

local STEPS = 250

-- A model for each stream that refuses what does not come in order.
local script = [[
return {
  name = "NAME",
  version = 1,
  HANDLES
  fields = { n = "integer", last = "integer", trail = "integer" },
  extract_model_id = function(event)
    return event.stream
  end,
  apply_to_model = function(model, event)
    model = model or { n = 0, last = -1, trail = 0 }
    if event.version <= model.last then
      error(event.version .. " after " .. model.last)
    end
    for _ = 1, BUSY do end
    model.n = model.n + 1
    model.last = event.version
    model.trail = (model.trail * 31 + event.version + 1) % 1000003
    return model
  end,
}
]]

local wishes = {
  every = {},
  only_a = { types = { "A" } },
  only_b = { types = { "B" } },
  none = { types = { "Never" } },
  slow = { busy = 300000 },
}

local function text_of(name, remark)
  local wish = wishes[name]
  return (script:gsub("%u%u%u%u+", {
    NAME = name,
    HANDLES = wish.types and 'handles = { "' .. wish.types[1] .. '" },' or "",
    BUSY = tostring(wish.busy or 0),
  })) .. "-- " .. (remark or "") .. "\n"
end

-- As late_log, where nobody can be late.
local simple_log = {}
simple_log.__index = simple_log

local function new_simple_log(url, random)
  return setmetatable({
    store = assert(event_store.open(url)), random = random, committed = {},
  }, simple_log)
end

function simple_log:step()
  local event = {
    stream = "s" .. self.random:within(1, 12),
    type = self.random:chance(40) and "A" or "B", data = "{}",
  }
  event.version = assert(self.store:append { event })[1].version
  self.committed[#self.committed + 1] = event
end

function simple_log:close()
  self.store:close()
end

-- What the models have to be.
local function fold(name, committed)
  local types, models = wishes[name].types, {}
  table.sort(committed, function(a, b)
    return a.version < b.version
  end)
  for _, event in ipairs(committed) do
    if not types or types[1] == event.type then
      local model = models[event.stream] or { n = 0, trail = 0 }
      model.n = model.n + 1
      model.trail = (model.trail * 31 + event.version + 1) % 1000003
      models[event.stream] = model
    end
  end
  local rows = {}
  for stream, model in pairs(models) do
    rows[#rows + 1] = stream .. " " .. model.n .. " " .. model.trail
  end
  table.sort(rows)
  return table.concat(rows, "\n")
end

-- Nothing before there is a table.
local function rows_of(place, name)
  local made, out = pcall(place.sql, place, "models.db",
    "SELECT id || ' ' || n || ' ' || trail FROM " .. name)
  local rows = {}
  if not made then
    return "no such table"
  end
  for row in out:gmatch "[^\n]+" do
    rows[#rows + 1] = row
  end
  table.sort(rows)
  return table.concat(rows, "\n")
end

describe("projections that share a reading #threads, seed " .. seed, function()
  local place, random, running

  before_each(function()
    place = workplace.new()
    random = helper.random(seed)
    place.env.LUNETTE_MODELS = "sqlite:models.db"
    place.env.LUNETTE_LIVE_EVENTS = "3"
    place.env.LUNETTE_BATCH_EVENTS = "9"
    place.env.LUNETTE_POLL_MS = "5"
    place.env.LUNETTE_LOG_LEVEL = "debug"
    place.env.LUNETTE_LEASE_MS = "500"
    for name in pairs(wishes) do
      place:write("projections/" .. name .. ".lua", text_of(name))
    end
  end)

  local function start()
    running = place:spawn { "run" }
  end

  local function stop(signal)
    running:kill(signal)
    running:wait()
    running = nil
  end

  after_each(function()
    if running then
      stop "KILL"
    end
  end)

  local names = { "every", "none", "only_a", "only_b", "slow" }
  local paused

  -- At any moment, and nothing may come of it.
  local operations = {
    function()
      stop "KILL"
      start()
    end,
    function()
      stop "TERM"
      start()
    end,
    function()
      local name = random:pick(names)
      place:write("projections/" .. name .. ".lua",
        text_of(name, tostring(random:within(1, 1000000))))
    end,
    function()
      local name = random:pick(names)
      place:run { "pause", name }
      paused[name] = true
    end,
    function()
      for name in pairs(paused) do
        place:run { "resume", name }
      end
      paused = {}
    end,
  }

  local function is_right(committed)
    for _, name in ipairs(names) do
      if rows_of(place, name) ~= fold(name, committed) then
        return false
      end
    end
    return true
  end

  -- In this run of the command.
  local function have_all_joined()
    local log = running:stderr()
    for _, name in ipairs(names) do
      if not log:find(name .. ": shares the reading", 1, true) then
        return false
      end
    end
    return true
  end

  local function check(writing)
    paused = {}
    start()
    for _ = 1, STEPS do
      writing:step()
      if random:chance(4) then
        random:pick(operations)()
      end
    end
    writing:close()
    operations[5]()
    local right = pcall(helper.wait, function()
      return is_right(writing.committed)
    end, 60)
    helper.wait(have_all_joined)
    stop "TERM"
    for _, name in ipairs(names) do
      assert.equal(fold(name, writing.committed), rows_of(place, name), name)
    end
    assert.is_true(right)
  end

  it("apply each event of SQLite once", function()
    place.env.LUNETTE_EVENTS = "sqlite:events.db"
    local url = "sqlite:" .. place:path "events.db"
    check(new_simple_log(url, random))
  end)

  describe("#postgres", function()
    local server, reason = postgres.start()
    if not server then
      pending(reason)
      return
    end

    for name, kind in pairs(late_log.kinds) do
      it("apply each event of " .. name .. " once", function()
        local database = server:new_database()
        if kind.schema then
          database:sql(kind.schema)
        end
        place.env.LUNETTE_EVENTS = database:with(kind.query)
        assert(event_store.open(place.env.LUNETTE_EVENTS)):close()
        check(late_log.new(kind, database, random))
      end)
    end
  end)
end)
