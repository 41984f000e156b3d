-- Many projections in one engine: what they cost while nothing happens, how
-- long an event takes to be visible in all of them, and how long many take to
-- catch up.
--
--   BENCH_MANY      how many are live, for each a table: "200 1000"
--   BENCH_MARKS     events that all of them handle, 200
--   BENCH_IDLE      seconds without an event, 10
--   BENCH_CATCH_UP  how many catch up, 20; 0: that is left out

local helper = require "spec.helper"
local measure = require "bench.measure"
local tables = require "bench.table"

local settings = {
  live = os.getenv "BENCH_MANY" or "200 1000",
  marks = os.getenv "BENCH_MARKS" or "200",
  idle = tonumber(os.getenv "BENCH_IDLE" or "10"),
  catch_up = math.tointeger(os.getenv "BENCH_CATCH_UP" or "20"),
}
local MARKS_A_SECOND = "5"
local LIVE_WITHIN = 60 -- seconds, or it is said how many were

local counter = [[
return {
  name = "NAME",
  version = 1,
  fields = { count = "integer" },
  extract_model_id = function(event) return event.data.account_id end,
  on = {
    AccountOpened = function(model)
      model = model or { count = 0 }
      model.count = model.count + 1
      return model
    end,
  },
}
]]

-- A folder of so many scripts of a text, and their names.
local function scripts(text, count)
  local folder, names = helper.tmpdir(), {}
  for i = 1, count do
    names[i] = ("many_%04d"):format(i)
    helper.write_file(folder .. "/" .. names[i] .. ".lua",
      (text:gsub('name = "[^"]*"', ('name = "%s"'):format(names[i]), 1)))
  end
  return folder, names
end

local function read_status(child, name)
  return tonumber(helper.read_file(("/proc/%d/status"):format(child:pid()))
    :match("\n" .. name .. ":%s+(%d+)"))
end

-- Of all its threads, in seconds; the clock of /proc has 100 ticks in one.
local function cpu_seconds(child)
  local user, system = helper.read_file(("/proc/%d/stat"):format(child:pid()))
    :match "%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
  return (user + system) / 100
end

local function count_live(child)
  return select(2, child:stderr():gsub(": live\n", ""))
end

local function wait_until_live(child, count)
  local start = helper.now_ms()
  while count_live(child) < count do
    if helper.now_ms() - start > LIVE_WITHIN * 1000 or child:wait(0) then
      return nil, count_live(child)
    end
    helper.sleep_ms(20)
  end
  return (helper.now_ms() - start) / 1000
end

local function idle_percent(child)
  helper.sleep_ms(settings.idle * 200) -- it has just become live
  local before, start = cpu_seconds(child), helper.now_ms()
  helper.sleep_ms(settings.idle * 1000)
  return (cpu_seconds(child) - before) / (helper.now_ms() - start) * 100000
end

local function visible(pair, names)
  local done, child = measure.try(measure.join({
    helper.build .. "/bench/latency", pair.appends, pair.models,
    MARKS_A_SECOND, settings.marks }, table.unpack(names)))
  if not done then
    print(child:stderr())
  end
  return child:stdout():match "(%S+) (%S+) (%S+)"
end

-- What is measured in a turn: how it is called, and its figures' format.
local figures = {
  { "live", "all are live after, s", "%.2f" },
  { "threads", "threads", "%.0f" },
  { "connections", "connections to PostgreSQL", "%.0f" },
  { "idle", "processor while nothing happens, % of a core", "%.1f" },
  { "half", "event visible in all, ms: 50th percentile", "%.1f" },
  { "most", "event visible in all, ms: 99th percentile", "%.1f" },
  { "all", "event visible in all, ms: at most", "%.1f" },
  { "memory", "most memory, MiB", "%.0f" },
}

local function live_once(store, pair, folder, names)
  pair.clear()
  local child = helper.spawn(measure.command(pair, folder))
  local seconds, were_live = wait_until_live(child, #names)
  local turn = { live = seconds }
  if turn.live then
    turn.threads = read_status(child, "Threads")
    turn.connections = store:connections()
    turn.idle = idle_percent(child)
    turn.half, turn.most, turn.all = visible(pair, names)
    turn.memory = read_status(child, "VmHWM") / 1024
  else
    print(("after %d s %d of %d are live: %s"):format(LIVE_WITHIN, were_live,
      #names, child:stderr():match "([^\n]*)\n$" or ""))
  end
  child:kill "TERM"
  if not child:wait(60000) then
    child:kill "KILL"
    child:wait()
  end
  return turn
end

local function live(store, count)
  local folder, names = scripts(counter, count)
  local pair = store:log(10, 10)
  local turns = {}
  for turn = 1, measure.turns do
    turns[turn] = live_once(store, pair, folder, names)
  end
  pair.drop()
  tables.figures(("%s: %d projections live"):format(store.name, count),
    figures, turns)
end

-- account_summary, so many times over.
local function catch_up(store)
  local row = tables.begin(("%s: projections that catch up over %.0f events")
    :format(store.name, measure.events), { { "projections", 11, "%.0f" },
    { "seconds", 8, "%.1f" }, { "least to most", 14 },
    { "applied/s", 10, "," }, { "peak MiB", 8, "%.0f" } })
  local folder = scripts(helper.read_file(measure.script {}),
    settings.catch_up)
  local pair = store:log(measure.events, 50000)
  local seconds, peak = {}, 0
  for turn = 1, measure.turns do
    pair.clear()
    local start = helper.now_ms()
    local _, child = measure.must(measure.join(measure.command(pair, folder),
      "--once", "--log-level", "error"))
    seconds[turn] = (helper.now_ms() - start) / 1000
    peak = math.max(peak, child:peak_kib() / 1024)
  end
  pair.drop()
  local spread = measure.spread(seconds)
  row { settings.catch_up, spread.median, measure.range(spread, "%.1f"),
    settings.catch_up * measure.events / spread.median, peak }
end

return function(store)
  for count in settings.live:gmatch "%d+" do
    live(store, math.tointeger(count))
  end
  if settings.catch_up > 0 then
    catch_up(store)
  end
end
