-- For specs of projections: given these events, these are the models.
--
--   local replay = require("lunette.testing").replay
--
--   local models = replay("projections/account_summary.lua", {
--     { type = "AccountOpened", data = { account_id = "a1", owner = "Ada" } },
--   })
--   assert.equal(0, models.a1.balance)
--
-- Every replay has an engine and memory stores of its own. A projection is a
-- path, a name (NAME.lua beside the spec, here, or in projections/) or a table
-- { source = "return {...}", name = "what errors call it" }.

local core = require "lunette.core"
local lunette = require "lunette"

local testing = {}

local batch_sizes = { 1, 2, 7, "all" }
local all_events = 1000000
local most_models = 1000000
local most_differences = 10
local most_loads = 100

local first_moment = 1767225600000000 -- 2026-01-01T00:00:00Z
local second = 1000000

-- ---- projections ----------------------------------------------------------

-- Where a bare name may be found; the spec is the first caller outside here.
local function places(name)
  local here = debug.getinfo(1, "S").source
  local level = 2
  while debug.getinfo(level, "S").source == here do
    level = level + 1
  end
  local spec = debug.getinfo(level, "S").source
  local beside = (spec:match "^@(.*/)" or "") .. name .. ".lua"
  local plain = name .. ".lua"
  local below = "projections/" .. plain
  return beside == plain and { plain, below } or { beside, plain, below }
end

local function find(projection)
  if type(projection) == "table" then
    return projection
  end
  if type(projection) ~= "string" then
    error("a projection is a path, a name or a table with its source", 3)
  end
  local is_path = projection:find "/" or projection:find "%.lua$"
  local paths = is_path and { projection } or places(projection)
  for _, path in ipairs(paths) do
    local source, message, code = core.read_script(path)
    if source then
      return { source = source, name = path }
    elseif code ~= "not_found" then
      error(message, 3)
    end
  end
  error("no projection at " .. table.concat(paths, ", "), 3)
end

-- The same projection answering queries with its models as they are. All on
-- the first line, so that errors keep their line numbers.
local function without_handle_query(projection)
  if not projection.source:find "handle_query" then
    return projection
  end
  return {
    name = projection.name,
    source = "local projection = (function(...) " .. projection.source
      .. "\nend)(...) projection.handle_query = nil return projection",
  }
end

-- ---- events ---------------------------------------------------------------

-- What a spec left out is filled in, the same way in every run.
local function complete(event, i)
  local full = {}
  for key, value in pairs(event) do
    full[key] = value
  end
  full.stream = event.stream or "test"
  full.id = event.id or ("00000000-0000-4000-8000-%012d"):format(i)
  full.recorded_at = event.recorded_at or first_moment + i * second
  return full
end

local function check_events(events)
  if type(events) ~= "table" then
    error("events must be a list", 3)
  end
  for key in pairs(events) do
    if math.type(key) ~= "integer" or key < 1 or key > #events then
      error(("events must be a list, and this has a field %s")
        :format(tostring(key)), 3)
    end
  end
  for i, event in ipairs(events) do
    if type(event) ~= "table" or type(event.type) ~= "string" then
      error("event " .. i .. " must be a table with a type", 3)
    end
  end
end

local function check_options(options, known)
  if options ~= nil and type(options) ~= "table" then
    error("options must be a table", 3)
  end
  for name in pairs(options or {}) do
    if not known[name] then
      error(("there is no option %q"):format(tostring(name)), 3)
    end
  end
end

-- ---- one run --------------------------------------------------------------

local function check(ok, message, code, detail)
  if ok == nil then
    error(detail and message .. "\n" .. detail or message, 0)
  end
  return ok, code
end

local function open(batch, settings)
  local all = {
    events = "memory:",
    models = "memory:",
    query_limit = most_models,
    query_limit_max = most_models,
    retry_ms = 1,
    retry_max_ms = 1,
  }
  if batch then
    all.batch_events = batch == "all" and all_events or batch
    all.live_events = all.batch_events
  end
  for name, value in pairs(settings or {}) do
    all[name] = value
  end
  return check(lunette.open(all))
end

-- Step by step, loading the script anew after each: what it kept outside its
-- models is gone.
local function step_anew(engine, name, projection)
  while check(engine:step(name)) do
    check(engine:register(projection))
  end
end

-- An engine that has applied the events, and the projection's name.
local function run(projection, events, way, settings)
  local engine = open(way.batch, settings)
  local name = check(engine:register(projection))
  local list = {}
  for i, event in ipairs(events) do
    list[i] = complete(event, i)
  end
  if #list > 0 then
    check(engine:append(list))
  end
  if way.anew then
    step_anew(engine, name, projection)
  end
  check(engine:run_once())
  return engine, name
end

local function without_nulls(row)
  local model = {}
  for field, value in pairs(row) do
    if field ~= "id" and value ~= lunette.null then
      model[field] = value
    end
  end
  return model
end

local function models_of(projection, events, way, settings)
  local engine <close>, name = run(projection, events, way, settings)
  local models = {}
  for _, row in ipairs(check(engine:query(name))) do
    models[row.id] = without_nulls(row)
  end
  return models, check(engine:parked(name)), name
end

-- ---- comparing ------------------------------------------------------------

local function show(value)
  return value == nil and "nothing" or lunette.encode(value)
end

local function sorted_keys(a, b)
  local keys, seen = {}, {}
  for _, t in ipairs { a, b } do
    for key in pairs(t) do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  table.sort(keys, function(x, y)
    return tostring(x) < tostring(y)
  end)
  return keys
end

local function differences(a, b, path, found)
  for _, key in ipairs(sorted_keys(a, b)) do
    local x, y = a[key], b[key]
    local place = path == "" and tostring(key) or path .. "." .. tostring(key)
    if type(x) == "table" and type(y) == "table" then
      differences(x, y, place, found)
    elseif x ~= y then
      found[#found + 1] = { place = place, x = x, y = y }
    end
  end
  return found
end

local function describe(name, first, way, found)
  local lines = { name .. ": " .. way.cause }
  for i = 1, math.min(#found, most_differences) do
    local one = found[i]
    lines[#lines + 1] = ("  %s: %s in %s, %s in %s"):format(one.place,
      show(one.x), first.name, show(one.y), way.name)
  end
  if #found > most_differences then
    lines[#lines + 1] = "  and " .. #found - most_differences .. " more"
  end
  return table.concat(lines, "\n")
end

-- ---- ways to replay -------------------------------------------------------

local function in_batches(size)
  return {
    name = "batches of " .. size,
    batch = size,
    cause = "models depend on where batches end; a handler keeps something"
      .. " outside its model",
  }
end

-- So that no replay of many events takes long, in batches of some.
local function loaded_anew(count)
  local size = math.max(1, (count + most_loads - 1) // most_loads)
  return {
    name = "batches of " .. size .. ", the script loaded anew after each",
    batch = size,
    anew = true,
    cause = "models differ when the script is loaded again between batches; a"
      .. " handler keeps something in a local variable of the script, or"
      .. " depends on the order of pairs",
  }
end

local function ways_of(events, options)
  if options.batch then
    return { in_batches(options.batch) }
  end
  local ways = {}
  for i, size in ipairs(batch_sizes) do
    ways[i] = in_batches(size)
  end
  ways[#ways + 1] = loaded_anew(#events)
  return ways
end

-- ---- what specs call ------------------------------------------------------

local function check_script(projection)
  local engine <close> = open()
  check(engine:register(projection))
end

local function replay(projection, events, options)
  check_script(projection)
  local ways = ways_of(events, options)
  local bare = without_handle_query(projection)
  local models, parked
  for i, way in ipairs(ways) do
    local other, other_parked, name =
      models_of(bare, events, way, options.settings)
    local found = differences(models or other, other, "", {})
    if #found > 0 then
      error(describe(name, ways[1], way, found), 0)
    end
    if i == 1 then
      models, parked = other, other_parked
    end
  end
  return models, parked
end

local function query(projection, events, terms, options)
  local engine <close>, name = run(projection, events, {}, options.settings)
  return check(engine:query(name, terms))
end

-- The caller's line is what a reader of a failing spec wants to see; it is
-- at level 2 because what specs call ends with a tail call to this.
local function raise_for_caller(ok, ...)
  if not ok then
    error(..., 2)
  end
  return ...
end

-- The models by id, as plain tables without the id and without null fields,
-- and the list of parked events. Replays in batches of 1, 2, 7 and all events
-- and once more with the script loaded anew between batches, and raises if the
-- models differ. options: batch (a number, to replay once),
-- settings (of the engine).
---@param projection string|{ source: string, name?: string }
---@param events table[] each with a type at least
---@param options? { batch?: integer|"all", settings?: table }
---@return table<string|integer, table> models
---@return table[] parked
function testing.replay(projection, events, options)
  projection = find(projection)
  check_events(events)
  check_options(options, { batch = true, settings = true })
  return raise_for_caller(pcall(replay, projection, events, options or {}))
end

-- What a query answers after the events; terms or a builder, as engine:query
-- takes them. options: settings.
---@param projection string|{ source: string, name?: string }
---@param events table[] each with a type at least
---@param terms? string[]|lunette.query
---@param options? { settings?: table }
---@return table[] rows
function testing.query(projection, events, terms, options)
  projection = find(projection)
  check_events(events)
  check_options(options, { settings = true })
  return raise_for_caller(
    pcall(query, projection, events, terms, options or {}))
end

return testing
