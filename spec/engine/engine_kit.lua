-- For specs of the engine: engines on either kind of store, a projection that
-- fails where an event says so, and what its models have to be.

local helper = require "spec.helper"
local lunette = require "lunette"
local postgres = require "spec.postgres_server"

-- The tag tells a run without a server what is pending there.
local kit = { kinds = { "memory", "sqlite", "sqlite to #postgres" } }

local database
local schemas = 0

-- Why specs on a kind of stores have to be pending; nil where there are some.
function kit.missing(kind)
  if kind:find "postgres" then
    return select(2, postgres.start())
  end
end

local function new_place()
  database = database or assert(postgres.start()):new_database()
  schemas = schemas + 1
  return database:with("schema=s" .. schemas)
end

-- ---- engines --------------------------------------------------------------

local engines = {}

-- A pair of stores: settings to open engines with. Beside the kinds above:
-- "postgres", "postgres to sqlite".
function kit.stores(kind)
  kind = kind:gsub("#", "")
  if kind == "memory" then
    return { events = "memory:", models = "memory:" }
  end
  local folder = helper.tmpdir()
  local place = kind ~= "sqlite" and new_place()
  return {
    events = place and kind ~= "sqlite to postgres" and place
      or "sqlite:" .. folder .. "/events.db",
    models = place and kind ~= "postgres to sqlite" and place
      or "sqlite:" .. folder .. "/models.db",
    synchronous = "off",
  }
end

function kit.merge(...)
  local all = {}
  for _, part in ipairs { ... } do
    for key, value in pairs(part) do
      all[key] = value
    end
  end
  return all
end

-- Closed by kit.close_all() if not before.
function kit.open(stores, settings)
  local engine = assert(lunette.open(kit.merge(stores, settings or {})))
  engines[#engines + 1] = engine
  return engine
end

function kit.close_all()
  for _, engine in ipairs(engines) do
    engine:close()
  end
  engines = {}
end

-- A new engine on the same stores; those in memory only know the old one.
function kit.reopen(engine, stores, settings)
  if stores.models == "memory:" then
    return engine
  end
  engine:close()
  return kit.open(stores, settings)
end

function kit.register(engine, source, name)
  return assert(engine:register {
    source = source,
    name = name or "script.lua",
  })
end

-- ---- what is there --------------------------------------------------------

function kit.status(engine, name)
  for _, projection in ipairs(assert(engine:status())) do
    if projection.name == name then
      return projection
    end
  end
  return nil
end

function kit.wait_state(engine, name, state, seconds)
  return helper.wait(function()
    local status = kit.status(engine, name)
    return status and status.state == state and status
  end, seconds)
end

-- Every model by its id, without the id.
function kit.models(engine, name)
  local models = {}
  for _, row in ipairs(assert(engine:query(name, { "limit=10000" }))) do
    models[row.id], row.id = row, nil
  end
  return models
end

-- Parked events as { model id = { the n of each, in order } }.
function kit.parked(engine, name, id)
  local parked = {}
  for _, item in ipairs(assert(engine:parked(name, id))) do
    local list = parked[item.model_id] or {}
    parked[item.model_id] = list
    list[#list + 1] = item.data.n
  end
  return parked
end

-- ---- a projection that fails where an event says so -----------------------

-- data: n, ids (a list, or one id), and any of
--   fail = true or an id     raises after it has changed the model
--   fail_extract = true      raises in extract_model_id
--   bad = "key", "fraction", "nan", "type", "meta"   a model that cannot be
local ledger = [[
local broken = %s

local function spoil(model, bad)
  if bad == "key" then model.undeclared = 1
  elseif bad == "fraction" then model.total = model.total + 0.5
  elseif bad == "nan" then model.mean = 0 / 0
  elseif bad == "type" then return "no model"
  elseif bad == "meta" then return setmetatable(model, {})
  end
  return model
end

return {
  name = "%s",
  version = 1,
  fields = { total = "integer", log = "text", mean = "number" },
  on_error = "%s",
  retries = %d,
  extract_model_id = function(event)
    if broken and event.data.fail_extract then
      error("no model for " .. event.data.n)
    end
    return event.data.ids
  end,
  apply_to_model = function(model, event, id)
    local data = event.data
    model = model or { total = 0, log = "", mean = 0 }
    model.total = model.total + data.n
    model.log = model.log .. data.n .. ","
    model.mean = model.total / 2
    if broken and (data.fail == true or data.fail == id) then
      error("refused " .. data.n)
    end
    return broken and spoil(model, data.bad) or model
  end,
}
]]

-- options: name, on_error, retries, fixed
function kit.ledger(options)
  options = options or {}
  return ledger:format(not options.fixed, options.name or "ledger",
    options.on_error or "stop", options.retries or 0)
end

function kit.event(data)
  return { stream = "s", type = "Noted", data = data }
end

function kit.append(engine, list)
  local events = {}
  for i, data in ipairs(list) do
    events[i] = kit.event(data)
  end
  return assert(engine:append(events))
end

local function ids_of(data)
  return type(data.ids) == "table" and data.ids or { data.ids }
end

local function fails(data, id)
  return data.fail == true or data.fail == id or data.bad ~= nil
end

local function note(models, id, n)
  local model = models[id] or { total = 0, log = "" }
  models[id] = model
  model.total = model.total + n
  model.log = model.log .. n .. ","
  model.mean = model.total / 2
end

local function set_aside(parked, id, n)
  local list = parked[id] or {}
  parked[id] = list
  list[#list + 1] = n
end

-- What the ledger has to make of these events: models, parked, skipped (each
-- "n" or "n id").
function kit.fold(list, on_error)
  local models, parked, skipped = {}, {}, {}
  for _, data in ipairs(list) do
    if data.fail_extract then
      skipped[#skipped + 1] = tostring(data.n)
    else
      for _, id in ipairs(ids_of(data)) do
        if parked[id] or fails(data, id) and on_error == "park" then
          set_aside(parked, id, data.n)
        elseif fails(data, id) then
          skipped[#skipped + 1] = data.n .. " " .. id
        else
          note(models, id, data.n)
        end
      end
    end
  end
  return models, parked, skipped
end

return kit
